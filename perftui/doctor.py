"""Checks what the monitor needs on this machine; each finding is fine, a note or a problem."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from perftui.finding import Finding, of_absent
from perftui.text import printable

if TYPE_CHECKING:
    import redis

    from perftui.config import Loaded, Settings
    from perftui.sources.redis.connection import RedisTarget

OLDEST_REDIS = (6, 0)
SMALL = (80, 24)
PTRACE_SCOPE = "/proc/sys/kernel/yama/ptrace_scope"

__all__ = ["Finding", "examine", "has_problem", "json_of", "text_of"]


def examine(load: Callable[[], Loaded]) -> list[Finding]:
    """Return all findings; `load` reads the settings and may raise ConfigError."""
    from perftui.config import ConfigError, Settings

    findings = [*_python(), *_terminal()]
    settings = Settings()
    loaded: Loaded | None = None
    try:
        loaded = load()
    except ConfigError as error:
        findings.append(Finding("problem", "configuration", str(error), "correct or remove it"))
    else:
        settings = loaded.settings
        findings += _configuration(loaded)
    from perftui.doctor_alerts import alert_findings
    from perftui.doctor_haproxy import haproxy_findings
    from perftui.doctor_metrics import metrics_findings

    return [
        *findings,
        *_profiler(settings.profile.pid),
        *_redis(settings),
        *haproxy_findings(settings),
        *metrics_findings(settings),
        *alert_findings(loaded),
        *_cgroup(),
        *_demo(),
    ]


def has_problem(findings: list[Finding]) -> bool:
    """Return whether any finding is a problem."""
    return any(finding.verdict == "problem" for finding in findings)


def text_of(findings: list[Finding]) -> str:
    """Return the findings line by line, each fix below its finding."""
    lines = []
    for finding in findings:
        what = printable(finding.what)
        lines.append(f"{finding.verdict:<8} {finding.subject:<14} {what}")
        if finding.fix:
            lines.append(f"{'':<23} fix: {printable(finding.fix)}")
    problems = sum(finding.verdict == "problem" for finding in findings)
    counted = {0: "no problems", 1: "1 problem"}.get(problems, f"{problems} problems")
    return "\n".join([*lines, counted]) + "\n"


def json_of(findings: list[Finding]) -> str:
    """Return the findings as JSON: `{"problems": N, "findings": [...]}`."""
    clean = [Finding(f.verdict, f.subject, printable(f.what), printable(f.fix)) for f in findings]
    problems = sum(finding.verdict == "problem" for finding in findings)
    line = msgspec.json.encode({"problems": problems, "findings": clean})
    return msgspec.json.format(line, indent=2).decode() + "\n"


def _python() -> Iterator[Finding]:
    from perftui.version import __version__

    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(
        "ok",
        "python",
        f"{sys.implementation.name} {version}, perftui {__version__}, {os.uname().sysname}",
    )


def _terminal() -> Iterator[Finding]:
    from perftui.tui.terminal import check_terminal, colour_depth, has_braille, wants_ascii

    problem = check_terminal(os.environ)
    if problem is not None:
        # A doctor in a script is no reason to fail: once and demo --headless need no terminal.
        what, _, fix = problem.partition("; ")
        yield Finding("note", "terminal", what, fix)
        return
    columns, rows = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1)
    place = "over SSH" if os.environ.get("SSH_TTY") else "local"
    if columns < SMALL[0] or rows < SMALL[1]:
        what = f"{columns}x{rows} is small: panes are shown one at a time and cut"
        yield Finding("note", "terminal", what, f"enlarge it to {SMALL[0]}x{SMALL[1]} or more")
    else:
        yield Finding("ok", "terminal", f"TERM={os.environ['TERM']}, {columns}x{rows}, {place}")
    depth = colour_depth(os.environ)
    if depth == "none":
        reason = "NO_COLOR is set" if os.environ.get("NO_COLOR") else "TERM has none"
        yield Finding("ok", "colours", f"none ({reason})")
    elif depth == "16":
        fix = "export TERM=xterm-256color if the terminal can"
        yield Finding("note", "colours", "16, the theme terminal is used", fix)
    else:
        yield Finding("ok", "colours", depth)
    if wants_ascii(os.environ):
        fix = "export LANG=C.UTF-8"
        yield Finding("note", "characters", "the locale asks for ASCII: charts are coarse", fix)
    else:
        charts = "braille" if has_braille(os.environ) else "block"
        yield Finding("ok", "characters", f"UTF-8, charts in {charts}")
    yield Finding("ok", "mouse", "clicks and wheel only; --no-mouse leaves them to the terminal")


def _configuration(loaded: Loaded) -> Iterator[Finding]:
    from perftui.config import ConfigError, config_file
    from perftui.tui.theme import load_theme

    if loaded.path is None:
        yield Finding("ok", "configuration", f"defaults; {config_file()} does not exist")
    else:
        yield Finding("ok", "configuration", str(loaded.path))
    name = loaded.settings.screen.theme
    try:
        load_theme(name)
    except ConfigError as error:
        yield Finding("problem", "theme", str(error), "set screen.theme to auto or one of these")
    else:
        yield Finding("ok", "theme", name)


def _profiler(pid: int | None) -> Iterator[Finding]:
    from perftui.sources.pyspy.process import find_py_spy

    py_spy = find_py_spy()
    if py_spy is None:
        what = "py-spy is missing, so there are no top calls"
        yield Finding("problem", "profiler", what, "pip install py-spy")
        return
    yield Finding("ok", "profiler", f"py-spy at {py_spy}")
    yield from _ptrace_scope(py_spy)
    if pid is not None:
        yield from _permission(pid)


def _permission(pid: int) -> Iterator[Finding]:
    from perftui.sources.pyspy.preflight import preflight
    from perftui.sources.source import SourceError

    try:
        found = preflight(pid)
        problem = found.problem
    except SourceError as error:
        problem = error.absent
    if problem is not None:
        yield of_absent("problem", "profiling", problem)
    else:
        yield Finding("ok", "profiling", f"process {pid} is Python {found.python} and may be read")


def _ptrace_scope(py_spy: str) -> Iterator[Finding]:
    """See the kernel's Documentation/admin-guide/LSM/Yama.rst for the meaning of the numbers."""
    try:
        with open(PTRACE_SCOPE, encoding="ascii") as file:
            scope = int(file.read())
    except (OSError, ValueError):
        return
    if scope == 0 or os.geteuid() == 0:
        yield Finding("ok", "ptrace", f"kernel.yama.ptrace_scope is {scope}")
    elif scope >= 3:
        what = "kernel.yama.ptrace_scope is 3: nobody may profile until the next boot"
        yield Finding("problem", "ptrace", what, "boot without kernel.yama.ptrace_scope=3")
    else:
        fix = f"sudo setcap cap_sys_ptrace=ep {os.path.realpath(py_spy)}"
        what = f"kernel.yama.ptrace_scope is {scope}: processes you did not start cannot be read"
        yield Finding("note", "ptrace", what, fix)


def _redis(settings: Settings) -> Iterator[Finding]:
    if not settings.redis.url:
        fix = "--redis redis://HOST:PORT, or set REDIS_URL"
        yield Finding("note", "redis", "not configured: no caches, services and pools", fix)
        return
    from perftui.sources.redis.connection import RedisTarget

    try:
        target = RedisTarget.parse(settings.redis.url)
    except ValueError as error:
        fix = "write redis://USER:PASSWORD@HOST:PORT/DB"
        yield Finding("problem", "redis", str(error), fix)
        return
    # A check may wait longer than a sample: a slow server is a note here, not a missing one.
    yield from _ask_redis(target, max(settings.redis.timeout, 2.0))


def _ask_redis(target: RedisTarget, timeout: float) -> Iterator[Finding]:
    import time

    import redis

    from perftui.sources.redis.connection import connect, failure

    client = connect(target, timeout)
    try:
        client.ping()
        begin = time.perf_counter()
        client.ping()
        latency = time.perf_counter() - begin
        yield Finding("ok", "redis", f"{target.address} answers in {latency * 1000:.1f} ms")
        yield from _redis_version(client)
        yield from _redis_rights(client, target)
    except (redis.RedisError, OSError) as error:
        yield of_absent("problem", "redis", failure(error, target, timeout).absent)
    finally:
        client.close()


def _redis_version(client: redis.Redis) -> Iterator[Finding]:
    import redis

    try:
        info = client.info("server")
    except redis.ResponseError:
        return
    assert isinstance(info, dict)
    text = str(info.get("redis_version", ""))
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if numbers and numbers < OLDEST_REDIS:
        what = f"version {text} is older than 6.0: local caches cannot be kept coherent"
        yield Finding("problem", "redis version", what, "upgrade to Redis 6.0, Valkey 7.2 or newer")
    else:
        yield Finding("ok", "redis version", text or "unknown")


def _redis_rights(client: redis.Redis, target: RedisTarget) -> Iterator[Finding]:
    import redis

    from perftui.metrics.report import INDEX_KEY, report_key
    from perftui.pool.keys import POOLS_KEY
    from perftui.sources.redis.failure import KEYS

    # Reads only, on the keys the panes read.
    probes = (
        ("INFO", "stats"),
        ("TIME",),
        ("ZRANGE", INDEX_KEY, "0", "0"),
        ("MGET", report_key("doctor", "probe")),
        ("SMEMBERS", POOLS_KEY),
    )
    user = target.username or "default"
    refused: dict[str, str] = {}
    for command in probes:
        try:
            client.execute_command(*command)
        except redis.exceptions.NoPermissionError as error:
            # A rule for keys that is not needed would make Redis refuse the whole command.
            of_keys = KEYS.search(str(error)) is not None
            refused[command[0]] = "'~perftui:*'" if of_keys else f"+{command[0].lower()}"
        except redis.ResponseError:
            # Another kind of refusal, such as a wrong type, is not about rights.
            continue
    if refused:
        what = f"user {user} may not use {', '.join(refused)}"
        rules = " ".join(dict.fromkeys(refused.values()))
        fix = f"{target.command} ACL SETUSER {user} {rules}"
        yield Finding("problem", "redis rights", what, fix)
    else:
        yield Finding("ok", "redis rights", f"user {user} may read what the panes show")


def _cgroup() -> Iterator[Finding]:
    from perftui.sources.cgroup.source import CgroupSource
    from perftui.sources.source import SourceError

    source = CgroupSource()
    try:
        group = source.sample()
    except SourceError as error:
        yield of_absent("note", "cgroup", error.absent)
        return
    finally:
        source.close()
    limits = []
    if isinstance(group.cpu_limit, float):
        limits.append(f"{group.cpu_limit:g} cores")
    if isinstance(group.memory_limit, int):
        limits.append(f"{group.memory_limit / 2**30:.2f} GiB")
    shown = " and ".join(limits) or "no limit"
    yield Finding("ok", "cgroup", f"version {group.version}, {shown}, {group.path}")


def _demo() -> Iterator[Finding]:
    from perftui.demo.redis_binary import find_redis_server, how_to_install

    server = find_redis_server()
    if server is None:
        what = "no redis-server for perftui demo"
        yield Finding("note", "demo", what, how_to_install())
    else:
        yield Finding("ok", "demo", f"uses {server}")
