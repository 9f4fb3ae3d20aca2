"""The one registry of actions: bindings, footer, help, palette and remapping come from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from perftui.config.errors import ConfigError, closest


@dataclass(frozen=True)
class ActionSpec:
    """One thing a person can do.

    `call` is the Textual action string, `label` the word in the footer (empty: not shown there),
    `changes` marks an action that needs --allow-actions. With a `pane`, or several apart by
    blanks, the label is only shown while one of them has the focus.
    """

    id: str
    keys: str
    call: str
    group: str
    help: str
    label: str = ""
    changes: bool = False
    palette: bool = True
    pane: str = ""


ACTIONS: tuple[ActionSpec, ...] = (
    ActionSpec("focus.resources", "1", "focus_pane('resources')", "Panes", "Go to Resources"),
    ActionSpec("focus.alerts", "2", "focus_pane('alerts')", "Panes", "Go to Alerts"),
    ActionSpec("focus.top_calls", "3", "focus_pane('top_calls')", "Panes", "Go to Top calls"),
    ActionSpec("focus.cache", "4", "focus_pane('cache')", "Panes", "Go to Cache"),
    ActionSpec("focus.operations", "5", "focus_pane('operations')", "Panes",
               "Go to Operations, in the place of Processes"),
    ActionSpec("focus.servers", "6", "focus_pane('servers')", "Panes", "Go to Servers"),
    ActionSpec("focus.queries", "7", "focus_pane('queries')", "Panes",
               "Go to Queries, in the place of Operations"),
    ActionSpec("focus.processes", "8", "focus_pane('processes')", "Panes",
               "Go to Processes, in the place of Operations"),
    ActionSpec("focus.next", "tab,l,right", "focus_step(1)", "Panes", "Go to the next pane",
               palette=False),
    ActionSpec("focus.previous", "shift+tab,h,left", "focus_step(-1)", "Panes",
               "Go to the previous pane", palette=False),
    ActionSpec("pane.zoom", "enter", "zoom", "Panes",
               "Show the pane alone with its charts and details; again to return", "zoom"),
    ActionSpec("layout.next", "o", "next_layout", "Panes",
               "Next layout: overview, profile, cache, pool, compact"),
    ActionSpec("row.down", "down,j", "row(1)", "Rows", "Next row", palette=False),
    ActionSpec("row.up", "up,k", "row(-1)", "Rows", "Previous row", palette=False),
    ActionSpec("row.page_down", "pagedown", "page(1)", "Rows", "Next page of rows", palette=False),
    ActionSpec("row.page_up", "pageup", "page(-1)", "Rows", "Previous page of rows", palette=False),
    ActionSpec("row.first", "home,g", "edge(-1)", "Rows", "First row", palette=False),
    ActionSpec("row.last", "end,G", "edge(1)", "Rows", "Last row", palette=False),
    ActionSpec("row.filter", "slash", "filter", "Rows",
               "Keep only rows that contain a text; empty shows all", "filter"),
    ActionSpec("row.sort", "s", "sort", "Rows", "Sort by the next column", "sort"),
    ActionSpec("row.reverse", "S", "reverse", "Rows", "Turn the order of the rows round"),
    ActionSpec("row.tree", "T", "tree", "Rows", "Show processes as a tree, or as a list"),
    ActionSpec("row.copy", "y", "copy", "Rows",
               "Copy the selected row, or the query that is advised, to your clipboard (OSC 52)"),
    ActionSpec("process.profile", "p", "profile", "Profile",
               "Profile the process selected in Processes or behind the alert; else choose one",
               "profile"),
    ActionSpec("process.profile_stop", "P", "profile_stop", "Profile", "Stop profiling"),
    ActionSpec("profile.flame", "F", "profile_flame", "Profile",
               "Flame graph and call tree of the profile", "flame", pane="top_calls"),
    ActionSpec("profile.by", "b", "list_by", "Profile",
               "Top calls by function, line, file, module; Cache by namespace, process, command",
               "by", pane="top_calls cache"),
    ActionSpec("profile.options", "O", "profile_options", "Profile",
               "How to profile: mode, waiting threads, GIL only, native frames, subprocesses",
               "options", pane="top_calls"),
    ActionSpec("profile.dump", "D", "profile_dump", "Profile",
               "Stacks of all threads of the process as they are now", "stacks",
               pane="top_calls"),
    ActionSpec("profile.freeze", "z", "profile_freeze", "Profile",
               "Hold Top calls still, or go on", "freeze", pane="top_calls"),
    ActionSpec("profile.pin", "B", "profile_pin", "Profile",
               "Pin the profile of now as a baseline: what grew, what shrank; again unpins",
               "baseline", pane="top_calls"),
    ActionSpec("profile.save", "E", "profile_save", "Profile",
               "Export the profile: collapsed stacks, speedscope, SVG flame graph", "export",
               pane="top_calls"),
    ActionSpec("profile.mode", "M", "profile_mode", "Profile",
               "Next mode of the profiler: auto, exact, safe"),
    ActionSpec("profile.threads", "H", "profile_threads", "Profile",
               "Top calls for each thread, or for all together"),
    ActionSpec("profile.reset", "R", "profile_reset", "Profile",
               "Forget what was sampled and begin anew"),
    ActionSpec("alert.acknowledge", "a", "acknowledge", "Act",
               "Acknowledge the selected alert: you look after it; again takes that back", "ack",
               pane="alerts"),
    ActionSpec("alert.silence", "x", "silence", "Act",
               "Silence the selected alert, its rule or its subject for a time; again ends it",
               "silence", pane="alerts"),
    ActionSpec("alert.follow", "f", "follow", "Act",
               "Follow the selected alert to the pane that explains it", "follow", pane="alerts"),
    ActionSpec("cache.invalidate", "i", "invalidate", "Act",
               "Delete the keys in Redis that match a pattern: estimate, samples, confirmation",
               "invalidate", changes=True),
    ActionSpec("cache.undo", "u", "undo", "Act",
               "Put back keys that were deleted in the last minutes", changes=True),
    ActionSpec("cache.keys", "K", "browse_keys", "Act",
               "Look at the keys in Redis: type, lifetime, size, value; delete", "keys",
               pane="cache"),
    ActionSpec("cache.prefixes", "r", "sample_prefixes", "Act",
               "Sample which prefixes have most keys and take most memory; again cancels",
               "prefixes", pane="cache"),
    ActionSpec("server.drain", "d", "change_servers('drain')", "Act",
               "Drain the selected or marked servers: they finish, and get nothing new", "drain",
               changes=True, pane="servers"),
    ActionSpec("server.maint", "m", "change_servers('maint')", "Act",
               "Take the selected or marked servers into maintenance", "maint", changes=True,
               pane="servers"),
    ActionSpec("server.ready", "e", "change_servers('ready')", "Act",
               "Make the selected or marked servers ready again", "ready", changes=True,
               pane="servers"),
    ActionSpec("server.weight_up", "plus", "change_weight('+1')", "Act",
               "Raise the weight of the selected or marked servers", changes=True,
               pane="servers"),
    ActionSpec("server.weight_down", "minus", "change_weight('-1')", "Act",
               "Lower the weight of the selected or marked servers", changes=True,
               pane="servers"),
    ActionSpec("server.weight_own", "equals_sign", "change_weight('own')", "Act",
               "Give the selected or marked servers their own weight again", changes=True,
               pane="servers"),
    ActionSpec("server.mark", "v", "mark_server", "Act",
               "Mark the selected server, or take its mark away; actions are for all marked ones",
               "mark", pane="servers"),
    ActionSpec("server.unmark", "V", "unmark_servers", "Act", "Take all marks of servers away",
               pane="servers"),
    ActionSpec("demo.scenario", "n", "next_scenario", "Act", "Demo: next scenario"),
    ActionSpec("view.pause", "space", "pause", "View",
               "Hold the picture still; sampling, history and rules go on", "pause"),
    ActionSpec("view.theme", "t", "next_theme", "View", "Next theme"),
    ActionSpec("view.redraw", "ctrl+l", "redraw", "View", "Draw the whole screen anew"),
    ActionSpec("app.back", "escape", "leave", "View",
               "Leave the filter, the zoom or the pause", palette=False),
    ActionSpec("app.help", "question_mark,f1", "help", "View", "Show all keys", "help"),
    ActionSpec("app.quit", "q,ctrl+c", "quit", "View", "End perftui", "quit"),
    ActionSpec("operations.window", "W", "next_window", "View",
               "Next window: of Top calls 1 s to 30 s and since reset, of Operations to 5 min"),
    ActionSpec("operations.choose", "c", "choose_services", "View",
               "Choose services and hosts", "choose"),
    ActionSpec("app.palette", "ctrl+p,colon", "command_palette", "View",
               "Find an action by name", "palette", palette=False),
)  # fmt: skip

DEMO_ONLY = frozenset({"demo.scenario"})

_NAMES = {
    "slash": "/", "question_mark": "?", "colon": ":", "space": "space", "pagedown": "pgdn",
    "pageup": "pgup", "left": "left", "right": "right",
    "plus": "+", "minus": "-", "equals_sign": "=",
}  # fmt: skip


def keys_of(spec: ActionSpec, remapped: Mapping[str, str]) -> str:
    """Return the keys an action is bound to now, comma-separated."""
    return remapped.get(spec.id, spec.keys)


def shown_key(spec: ActionSpec, remapped: Mapping[str, str]) -> str:
    """Return the first key of an action as footer and help show it."""
    first = keys_of(spec, remapped).split(",")[0].strip()
    return _NAMES.get(first, first)


def shown_key_of(name: str, remapped: Mapping[str, str]) -> str:
    """Return the first key of the action of that id as footer and help show it."""
    return next(shown_key(spec, remapped) for spec in ACTIONS if spec.id == name)


def is_shown_with(spec: ActionSpec, pane: str) -> bool:
    """Return whether the footer shows an action while a pane has the focus."""
    return not spec.pane or pane in spec.pane.split()


def shown_keys(spec: ActionSpec, remapped: Mapping[str, str]) -> str:
    """Return all keys of an action as help shows them."""
    keys = keys_of(spec, remapped).split(",")
    return " ".join(_NAMES.get(key.strip(), key.strip()) for key in keys)


def available(in_demo: bool) -> list[ActionSpec]:
    """Return the actions that exist in this session."""
    return [spec for spec in ACTIONS if in_demo or spec.id not in DEMO_ONLY]


def check_keys(remapped: Mapping[str, str]) -> None:
    """Raise ConfigError for a key that is given to an action that does not exist."""
    known = [spec.id for spec in ACTIONS]
    for name in remapped:
        if name not in known:
            raise ConfigError(
                f"keys.{name}: there is no such action{closest(name, known)} "
                f"(actions: {', '.join(known)})"
            )
