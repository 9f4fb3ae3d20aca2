"""Every setting there is: its type, limits, default and, in one place, what it does."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

SourceName = Literal["host", "cgroup", "processes", "top_calls", "redis", "services", "pools"]
SOURCE_NAMES: tuple[str, ...] = get_args(SourceName)

REDIS_URL_PATTERN = r"^$|^(redis|rediss|unix)://"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, and unknown keys are errors in the JSON schema too."""


class Monitor(Section, frozen=True):
    """What is sampled, and how often."""

    interval: Annotated[float, Meta(ge=0.25, le=60, description="Seconds between two samples.")] = (
        1.0
    )
    history: Annotated[
        float, Meta(ge=60, le=86400, description="Seconds of history kept for charts.")
    ] = 900.0
    sources: Annotated[
        tuple[SourceName, ...],
        Meta(description="Sources that run; Redis ones need redis.url as well."),
    ] = ("host", "cgroup", "processes", "top_calls", "redis", "services", "pools")


class Redis(Section, frozen=True):
    """The Redis or Valkey server that services report to."""

    url: Annotated[
        str,
        Meta(
            pattern=REDIS_URL_PATTERN,
            description="redis://, rediss:// or unix:// URL; empty: no Redis is watched.",
        ),
    ] = ""
    timeout: Annotated[
        float, Meta(ge=0.05, le=30, description="Seconds to wait for one answer of Redis.")
    ] = 0.5


class Profile(Section, frozen=True):
    """The sampling profiler behind the pane of top calls."""

    pid: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Process whose calls are sampled; unset: none until one is chosen."),
    ] = None
    mode: Annotated[
        Literal["auto", "exact", "safe"],
        Meta(
            description="exact pauses the process for each sample, safe never does, "
            "auto is exact while the pauses stay small."
        ),
    ] = "auto"
    rate: Annotated[float, Meta(ge=1, le=1000, description="Samples per second.")] = 100.0
    window: Annotated[
        float, Meta(ge=1, le=300, description="Seconds of samples that the table shows.")
    ] = 5.0


class Screen(Section, frozen=True):
    """How the dashboard looks and what it asks of the terminal."""

    theme: Annotated[
        str,
        Meta(
            min_length=1,
            description="Theme by name; auto takes terminal where there are 16 colours, "
            "else night.",
        ),
    ] = "auto"
    color: Annotated[
        Literal["auto", "never", "16", "256", "truecolor"],
        Meta(description="Colours to use; auto asks TERM, COLORTERM and NO_COLOR."),
    ] = "auto"
    ascii: Annotated[
        Literal["auto", "on", "off"],
        Meta(description="Draw with ASCII only; auto does where the encoding is not UTF-8."),
    ] = "auto"
    charts: Annotated[
        Literal["auto", "braille", "block", "ascii"],
        Meta(description="Characters that charts are drawn with; auto picks by terminal."),
    ] = "auto"
    mouse: Annotated[
        bool, Meta(description="Take clicks and the wheel; off leaves them to the terminal.")
    ] = True
    layout: Annotated[
        Literal["auto", "overview", "profile", "cache", "pool", "compact"],
        Meta(description="Panes at the start; auto picks by terminal size."),
    ] = "auto"
    cell_diff: Annotated[
        bool, Meta(description="Send only cells that changed (PERFTUI_DIFF=0 switches it off).")
    ] = True


class Actions(Section, frozen=True):
    """What the dashboard may change."""

    allow: Annotated[
        bool, Meta(description="Allow actions that change something, such as invalidate or drain.")
    ] = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree; each section is one table of the configuration file."""

    monitor: Monitor = Monitor()
    redis: Redis = Redis()
    profile: Profile = Profile()
    screen: Screen = Screen()
    actions: Actions = Actions()
    keys: Annotated[
        dict[str, Annotated[str, Meta(min_length=1)]],
        Meta(description='Keys by action id, several with commas: "app.quit" = "q,f10".'),
    ] = {}


SECTIONS: dict[str, type[Section]] = {
    "monitor": Monitor,
    "redis": Redis,
    "profile": Profile,
    "screen": Screen,
    "actions": Actions,
}
"""Tables with fixed keys; `keys` has free ones and is handled apart."""
