"""Options as data: the parser, the manual and the completions come from here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One option; `setting` is the `section.key` it sets, `value` what it sets without argument.

    One that `repeats` may be given several times and sets a list.
    """

    flag: str
    help: str
    metavar: str = ""
    setting: str = ""
    value: object = None
    choices: tuple[str, ...] = ()
    repeats: bool = False


GLOBAL_OPTIONS: tuple[tuple[str, tuple[Option, ...]], ...] = (
    (
        "What to watch",
        (
            Option("--pid", "profile this Python process", "PID", "profile.pid"),
            Option(
                "--redis",
                "watch this Redis: redis://, rediss:// or unix:// (a password is safer in "
                "REDIS_URL, where ps does not show it)",
                "URL",
                "redis.url",
            ),
            Option(
                "--haproxy",
                "watch the servers of this HAProxy by its stats socket: /run/haproxy/admin.sock or "
                "HOST:PORT; may be given several times",
                "SOCKET",
                "haproxy.sockets",
                repeats=True,
            ),
            Option(
                "--scrape",
                "read operations from this page of metrics, such as "
                "http://localhost:8000/metrics; may be given several times",
                "URL",
                "scrape.urls",
                repeats=True,
            ),
            Option(
                "--discover",
                "ask the ports that listen on this machine for /metrics and read what answers",
                "",
                "scrape.discover",
                True,
            ),
            Option(
                "--prometheus",
                "ask this Prometheus server for operations, processes and alerts of the fleet (a "
                "password is safer in PERFTUI_PROMETHEUS_URL)",
                "URL",
                "prometheus.url",
            ),
            Option("--interval", "seconds between samples, 0.25 to 60", "S", "monitor.interval"),
            Option(
                "--profile-mode",
                "auto, exact (pauses the process for each sample) or safe (never does)",
                "MODE",
                "profile.mode",
                choices=("auto", "exact", "safe"),
            ),
        ),
    ),
    (
        "Screen",
        (
            Option("--theme", "theme by name, or auto", "NAME", "screen.theme"),
            Option(
                "--color",
                "colours to use",
                "WHEN",
                "screen.color",
                choices=("auto", "never", "16", "256", "truecolor"),
            ),
            Option("--ascii", "draw with ASCII characters only", "", "screen.ascii", "on"),
            Option("--no-mouse", "leave the mouse to the terminal", "", "screen.mouse", False),
        ),
    ),
    (
        "General",
        (
            Option(
                "--allow-actions",
                "allow actions that change something, such as deleting cached keys",
                "",
                "actions.allow",
                True,
            ),
            Option("--config", "read this configuration file", "FILE"),
        ),
    ),
)

JSON = Option("--json", "print JSON instead of text")
