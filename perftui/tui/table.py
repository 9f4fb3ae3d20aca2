"""Tables as data: columns, sorting, filter, tree order and the lines they become."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from perftui.text import Align, cell_width, fit
from perftui.tui.glyphs import Glyphs
from perftui.tui.lines import Line, Span

R = TypeVar("R")
SortKey = Callable[[R], Any]


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column; `cell` gives text and style name, `sort` the value to order by.

    A `flex` column takes the room that is left up to `most`, `width` is its least. Columns with the
    highest `spare` are dropped first when the pane is narrow; 0 is never dropped.
    """

    id: str
    title: str
    width: int
    cell: Callable[[R], Span]
    sort: SortKey[R] | None = None
    align: Align = "right"
    flex: bool = False
    most: int = 1000
    spare: int = 0
    descending: bool = True


@dataclass(frozen=True)
class Blocks(Generic[R]):
    """Records that take a few lines each instead of cells, under the heading of their section.

    A section without a name has no heading. `more` follows the number of records further down.
    """

    lines: Callable[[R], Sequence[Line]]
    section: Callable[[R], str]
    more: str = "more"


@dataclass(frozen=True)
class Table(Generic[R]):
    """Records with the columns that show them; `empty` stands where there is no record.

    `copied` is what goes to the clipboard of a record instead of its row.
    """

    columns: tuple[Column[R], ...]
    records: Sequence[R]
    key: Callable[[R], Hashable]
    text: Callable[[R], str]
    empty: tuple[Line, ...] = ()
    parent: Callable[[R], Hashable] | None = None
    tree_column: str = ""
    copied: Callable[[R], str] | None = None
    blocks: Blocks[R] | None = None


@dataclass(frozen=True)
class TableState:
    """What the person chose for one table."""

    sort: str = ""
    reverse: bool = False
    filter: str = ""
    tree: bool = False


@dataclass(frozen=True)
class Arranged(Generic[R]):
    """The records in the order they are shown, with the tree prefix of each where there is one."""

    records: list[R]
    prefixes: dict[Hashable, str] = field(default_factory=dict)


def arrange(table: Table[R], state: TableState, glyphs: Glyphs) -> Arranged[R]:
    """Return the records that pass the filter, sorted and, on request, as a tree."""
    records = list(table.records)
    if state.filter:
        wanted = state.filter.casefold()
        records = [record for record in records if wanted in table.text(record).casefold()]
    column = next((c for c in table.columns if c.id == state.sort and c.sort), None)
    if column is not None and column.sort is not None:
        records.sort(key=column.sort, reverse=column.descending is not state.reverse)
    elif state.reverse and table.blocks is None:
        records.reverse()
    if state.tree and table.parent is not None:
        return _as_tree(table, records, glyphs)
    return Arranged(records)


def _as_tree(table: Table[R], records: list[R], glyphs: Glyphs) -> Arranged[R]:
    assert table.parent is not None
    known = {table.key(record) for record in records}
    children: dict[Hashable, list[R]] = {}
    roots: list[R] = []
    for record in records:
        parent = table.parent(record)
        if parent in known and parent != table.key(record):
            children.setdefault(parent, []).append(record)
        else:
            roots.append(record)
    ordered: list[R] = []
    prefixes: dict[Hashable, str] = {}
    stack = [(root, "", "") for root in reversed(roots)]
    while stack:
        record, own, below = stack.pop()
        key = table.key(record)
        if key in prefixes:
            continue
        prefixes[key] = own
        ordered.append(record)
        family = children.get(key, [])
        for index in range(len(family) - 1, -1, -1):
            last = index == len(family) - 1
            stack.append(
                (
                    family[index],
                    below + (glyphs.last_branch if last else glyphs.branch),
                    below + ("   " if last else glyphs.trunk),
                )
            )
    return Arranged(ordered, prefixes)


def fit_columns(columns: Sequence[Column[R]], width: int) -> list[tuple[Column[R], int]]:
    """Return the columns that have room, each with its width, one cell apart."""
    chosen = list(columns)
    while len(chosen) > 1 and sum(c.width for c in chosen) + len(chosen) - 1 > width:
        spare = max(chosen, key=lambda column: column.spare)
        if spare.spare == 0:
            break
        chosen.remove(spare)
    room = max(0, width - sum(c.width for c in chosen) - (len(chosen) - 1))
    flexible = [column for column in chosen if column.flex]
    sized = []
    for column in chosen:
        extra = 0
        if column.flex:
            extra = room // len(flexible)
            if column is flexible[0]:
                extra += room % len(flexible)
        sized.append((column, max(column.width, min(column.most, column.width + extra))))
    return sized


def header_line(sized: list[tuple[Column[R], int]], state: TableState, glyphs: Glyphs) -> Line:
    """Return the column titles; the sorted one carries an arrow in the direction of its values."""
    spans: list[Span] = []
    for index, (column, width) in enumerate(sized):
        if index:
            spans.append((" ", "header"))
        title = column.title
        style = "header"
        if column.id == state.sort:
            falling = column.descending is not state.reverse
            arrow = glyphs.down if falling else glyphs.up
            room = max(0, width - cell_width(arrow))
            if cell_width(title) > room:
                title = fit(title, room, ellipsis=glyphs.ellipsis)
            title = f"{title}{arrow}"
            style = "accent"
        spans.append((fit(title, width, column.align, glyphs.ellipsis), style))
    return tuple(spans)


def record_line(
    record: R,
    sized: list[tuple[Column[R], int]],
    glyphs: Glyphs,
    tree_column: str = "",
    prefix: str = "",
) -> Line:
    """Return one record as a line, adjacent equal styles joined."""
    spans: list[Span] = []
    held, held_style = "", "text"
    for index, (column, width) in enumerate(sized):
        text, style = column.cell(record)
        if index:
            if held_style == "text":
                held += " "
            else:
                spans.append((held, held_style))
                held, held_style = " ", "text"
        if prefix and column.id == tree_column and width > cell_width(prefix):
            spans += [(held, held_style), (prefix, "muted")]
            held, held_style = "", style
            width -= cell_width(prefix)
        text = fit(text, width, column.align, glyphs.ellipsis)
        if style == held_style:
            held += text
        else:
            spans.append((held, held_style))
            held, held_style = text, style
    spans.append((held, held_style))
    return tuple(span for span in spans if span[0])


def next_sort(
    table: Table[Any], state: TableState, default: str, seen: Collection[str]
) -> TableState:
    """Return the state sorted by the next of the `seen` columns that can be sorted by."""
    ids = [column.id for column in table.columns if column.sort is not None and column.id in seen]
    if not ids:
        return state
    current = state.sort or default
    index = ids.index(current) + 1 if current in ids else 0
    return replace(state, sort=ids[index % len(ids)], reverse=False)
