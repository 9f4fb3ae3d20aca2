"""A catalogue from a mapping or a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from perftui.queries.catalogue import Catalogue


def catalogue_of(catalogue: Catalogue | Mapping[str, Any] | str | Path | None) -> Catalogue:
    """Return the catalogue itself, that of a mapping, or that of a TOML or JSON file.

    A mapping has the key `endpoints`, or is one of endpoints to facts. Raises ValueError naming
    the file and the part that is wrong, OSError if the file cannot be read.
    """
    if catalogue is None:
        return Catalogue()
    if isinstance(catalogue, Catalogue):
        return catalogue
    if isinstance(catalogue, Mapping):
        return _made(catalogue, "catalogue")
    path = Path(catalogue)
    try:
        text = path.read_text("utf-8")
        content = tomllib.loads(text) if path.suffix == ".toml" else msgspec.json.decode(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"catalogue {path}: {error}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"catalogue {path}: a table of endpoints is wanted")  # noqa: TRY004
    return _made(content, f"catalogue {path}")


def _made(content: Mapping[str, Any], where: str) -> Catalogue:
    whole = dict(content) if "endpoints" in content else {"endpoints": dict(content)}
    try:
        made = msgspec.convert(whole, Catalogue)
    except msgspec.ValidationError as error:
        raise ValueError(f"{where}: {error}") from None
    for endpoint, facts in made.endpoints.items():
        for part, size in (
            ("max_page_size", facts.max_page_size),
            ("default_page_size", facts.default_page_size),
        ):
            if size is not None and size < 1:
                raise ValueError(f"{where}: {endpoint}: {part}: {size} is less than 1")
        if not 0 < facts.first_page_budget <= 3_600:
            raise ValueError(f"{where}: {endpoint}: first_page_budget: seconds above 0 are wanted")
        if any(not index for index in facts.indexes or ()):
            raise ValueError(f"{where}: {endpoint}: indexes: an index has no column")
    return made
