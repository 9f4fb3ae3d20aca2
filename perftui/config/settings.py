"""Every setting there is: its type, limits, default and, in one place, what it does."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from perftui.config.rule_settings import RULE_NAME, RuleSettings

SourceName = Literal[
    "host",
    "cgroup",
    "processes",
    "file_systems",
    "descriptors",
    "top_calls",
    "redis",
    "redis_detail",
    "services",
    "pools",
    "haproxy",
    "queries",
    "scrape",
    "prometheus",
]
SOURCE_NAMES: tuple[str, ...] = get_args(SourceName)

PresetName = Literal["perftui", "http", "otel", "django", "fastapi", "grpc", "celery"]
PRESET_NAMES: tuple[str, ...] = get_args(PresetName)

REDIS_URL_PATTERN = r"^$|^(redis|rediss|unix)://"
HTTP_URL_PATTERN = r"^$|^(http|https)://"
PAGE_URL_PATTERN = r"^(http|https)://"
HEADER_PATTERN = r"^(?![\s\S]*[\r\n])[!#$%&'*+.^_`|~0-9A-Za-z-]+:"
"""Field name of RFC 9110 section 5.1; a line end would begin another header."""
LABEL_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
NO_LABEL_PATTERN = r"^$|^[a-zA-Z_][a-zA-Z0-9_]*$"
SECRET = {"writeOnly": True}
"""Marks a setting whose value is never shown."""


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
    ] = (
        "host",
        "cgroup",
        "processes",
        "file_systems",
        "descriptors",
        "top_calls",
        "redis",
        "redis_detail",
        "services",
        "pools",
        "haproxy",
        "queries",
        "scrape",
        "prometheus",
    )


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


class Haproxy(Section, frozen=True):
    """Load balancers whose servers are shown, and changed where the socket allows it."""

    sockets: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=300)], ...],
        Meta(
            description="Stats sockets: the path of a Unix socket, such as "
            "/run/haproxy/admin.sock, or HOST:PORT. Level admin is needed to change servers."
        ),
    ] = ()
    interval: Annotated[
        float, Meta(ge=0.5, le=300, description="Seconds between two readings.")
    ] = 1.0
    timeout: Annotated[
        float, Meta(ge=0.1, le=30, description="Seconds that one answer may take.")
    ] = 2.0


class Scrape(Section, frozen=True):
    """Pages of metrics that are read directly, as Prometheus would."""

    urls: Annotated[
        tuple[Annotated[str, Meta(pattern=PAGE_URL_PATTERN)], ...],
        Meta(description="Pages to read, such as http://localhost:8000/metrics."),
    ] = ()
    discover: Annotated[
        bool,
        Meta(description="Ask every port that listens on this machine for /metrics as well."),
    ] = False
    interval: Annotated[
        float, Meta(ge=0.5, le=300, description="Seconds between two readings, more if costly.")
    ] = 2.0
    timeout: Annotated[
        float, Meta(ge=0.1, le=60, description="Seconds that reading one page may take.")
    ] = 2.0
    size_limit: Annotated[
        int, Meta(ge=10_000, le=1_000_000_000, description="Bytes a page may have, unpacked.")
    ] = 16_000_000
    ca_file: Annotated[
        str, Meta(description="File of certificates to trust; empty: those of the system.")
    ] = ""
    verify: Annotated[bool, Meta(description="Check the certificate of an https page.")] = True


class Prometheus(Section, frozen=True):
    """A Prometheus server, or Thanos, Mimir or VictoriaMetrics, which answer the same API."""

    url: Annotated[
        str,
        Meta(
            pattern=HTTP_URL_PATTERN,
            description="URL with path prefix and, for basic authentication, user and password; "
            "empty: none is asked.",
        ),
    ] = ""
    interval: Annotated[
        float, Meta(ge=1, le=300, description="Seconds between two queries for rates and errors.")
    ] = 5.0
    quantile_interval: Annotated[
        float, Meta(ge=1, le=600, description="Seconds between two queries for quantiles.")
    ] = 15.0
    timeout: Annotated[
        float, Meta(ge=0.1, le=120, description="Seconds that one query may take.")
    ] = 5.0
    matcher: Annotated[
        str, Meta(description='Label matchers for every query, such as job="shop",env="prod".')
    ] = ""
    headers: Annotated[
        tuple[Annotated[str, Meta(pattern=HEADER_PATTERN)], ...],
        Meta(
            description='Headers for every request, such as "X-Scope-OrgID: tenant".',
            extra_json_schema=SECRET,
        ),
    ] = ()
    bearer_file: Annotated[
        str, Meta(description="File with the token for bearer authentication, read anew each time.")
    ] = ""
    ca_file: Annotated[
        str, Meta(description="File of certificates to trust; empty: those of the system.")
    ] = ""
    cert_file: Annotated[str, Meta(description="File with the client's certificate.")] = ""
    key_file: Annotated[str, Meta(description="File with the key of that certificate.")] = ""
    verify: Annotated[bool, Meta(description="Check the certificate of the server.")] = True


class Operations(Section, frozen=True):
    """How metrics of other programs are understood as operations, and what is shown first."""

    window: Annotated[
        Literal["10s", "1min", "5min"],
        Meta(description="Window that the pane of operations begins with."),
    ] = "10s"
    presets: Annotated[
        tuple[PresetName, ...],
        Meta(description="Known families of metric names that are looked for."),
    ] = ("perftui", "http", "otel", "django", "fastapi", "grpc", "celery")
    metric: Annotated[
        str,
        Meta(
            pattern=r"^$|^[a-zA-Z_:][a-zA-Z0-9_:]*$",
            description="Histogram or summary of your own with the duration of calls, without "
            "_bucket or _count.",
        ),
    ] = ""
    labels: Annotated[
        tuple[Annotated[str, Meta(pattern=LABEL_PATTERN)], ...],
        Meta(description="Labels whose values make the name of an operation; empty: the preset's."),
    ] = ()
    status_label: Annotated[
        str,
        Meta(
            pattern=NO_LABEL_PATTERN,
            description="Label that tells how a call ended; empty: the preset's.",
        ),
    ] = ""
    failure: Annotated[
        str,
        Meta(description="Regular expression of the values of status_label that are failures."),
    ] = ""
    service_label: Annotated[
        str,
        Meta(
            pattern=NO_LABEL_PATTERN,
            description="Label with the name of the service; empty: job, or host and port.",
        ),
    ] = ""


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
        float,
        Meta(
            ge=0,
            le=30,
            description="Seconds of samples that the table shows; 0: all since the last reset.",
        ),
    ] = 5.0
    gil: Annotated[
        bool, Meta(description="Count only threads that hold the lock of the interpreter.")
    ] = False
    idle: Annotated[
        bool, Meta(description="Count waiting threads too: time of the clock, not of the CPU.")
    ] = False
    native: Annotated[
        bool, Meta(description="Show C functions too; every sample then pauses for longer.")
    ] = False
    subprocesses: Annotated[
        bool, Meta(description="Profile the processes that descend from it, too, added up.")
    ] = False


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


class Alerts(Section, frozen=True):
    """Who is told of alerts and how; the rules have tables of their own, `[rules.NAME]`."""

    enabled: Annotated[
        bool,
        Meta(description="Evaluate rules; off shows only the alerts of a Prometheus server."),
    ] = True
    disabled: Annotated[
        tuple[Annotated[str, Meta(pattern=RULE_NAME)], ...],
        Meta(description="Rules that are not evaluated, by id or name: perftui rules list."),
    ] = ()
    bell: Annotated[
        bool, Meta(description="Ring the terminal's bell when an alert begins to fire.")
    ] = False
    notify: Annotated[
        bool,
        Meta(description="Ask the terminal for a desktop notification, with OSC 9 or OSC 777."),
    ] = False
    exec: Annotated[
        str,
        Meta(description="Command that is run on each change of an alert; empty: none."),
    ] = ""
    webhook: Annotated[
        str,
        Meta(
            pattern=HTTP_URL_PATTERN,
            description="URL that each change of an alert is posted to; empty: none.",
            extra_json_schema=SECRET,
        ),
    ] = ""
    command_timeout: Annotated[
        float, Meta(ge=0.1, le=300, description="Seconds that command or webhook may take.")
    ] = 10.0
    min_interval: Annotated[
        float,
        Meta(ge=0, le=86400, description="Seconds between two notices of the same alert."),
    ] = 30.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree; each section is one table of the configuration file."""

    monitor: Monitor = Monitor()
    redis: Redis = Redis()
    haproxy: Haproxy = Haproxy()
    scrape: Scrape = Scrape()
    prometheus: Prometheus = Prometheus()
    operations: Operations = Operations()
    profile: Profile = Profile()
    screen: Screen = Screen()
    actions: Actions = Actions()
    alerts: Alerts = Alerts()
    rules: Annotated[
        dict[Annotated[str, Meta(pattern=RULE_NAME)], RuleSettings],
        Meta(
            description="Rules by id or name: [rules.R10] changes one of the catalogue, a new "
            "name with expr is a rule of your own."
        ),
    ] = {}
    keys: Annotated[
        dict[str, Annotated[str, Meta(min_length=1)]],
        Meta(description='Keys by action id, several with commas: "app.quit" = "q,f10".'),
    ] = {}


SECTIONS: dict[str, type[Section]] = {
    "monitor": Monitor,
    "redis": Redis,
    "haproxy": Haproxy,
    "scrape": Scrape,
    "prometheus": Prometheus,
    "operations": Operations,
    "profile": Profile,
    "screen": Screen,
    "actions": Actions,
    "alerts": Alerts,
}
"""Tables with fixed keys; `keys` and `rules` have free ones and are handled apart."""
