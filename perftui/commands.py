"""Commands as data: the parser, the manual and the completions come from here."""

from __future__ import annotations

from dataclasses import dataclass

from perftui.options import JSON, Option


@dataclass(frozen=True)
class Command:
    """One command; `argument` names its positional argument, of which `choices` are allowed.

    Without choices it is any text, and may be left out. `file` names one behind it that may be left
    out, `words` any number of them. Without any of the choices `default` is meant, if there is one.
    """

    name: str
    help: str
    about: str
    options: tuple[Option, ...] = ()
    argument: str = ""
    choices: tuple[str, ...] = ()
    file: str = ""
    words: str = ""
    default: str = ""


COMMANDS: tuple[Command, ...] = (
    Command(
        "demo",
        "watch a small real shop, with nothing to set up",
        "Starts a small web shop with its own Redis, traffic and a pool of workers, watches it, "
        "and stops all of it at the end. Actions are allowed: everything in it is the demo's own.",
        (
            Option("--scenario", "situation to begin with", "NAME"),
            Option("--headless", "print one report instead of opening the dashboard"),
            Option("--seconds", "length of the measured window, implies --headless", "N"),
            Option("--json", "print the report as JSON, implies --headless"),
            Option("--screenshot", "write a picture of the dashboard as SVG and end", "FILE"),
            Option("--size", "columns and rows of the picture, 120x40 when not given", "WxH"),
            Option("--press", "keys to press before the picture, with commas", "KEYS"),
        ),
    ),
    Command(
        "once",
        "measure for a moment, print a report and end",
        "Measures for some seconds and prints one report: plain text for people, logs and screen "
        "readers, or the JSON document for programs. What could not be measured is named with "
        "the reason and the fix; in JSON it is null and explained under states.",
        (
            JSON,
            Option("--seconds", "length of the measured window, 1 when not given", "N"),
            Option(
                "--window",
                "window of the operations; without it, that of the settings",
                "WINDOW",
                choices=("10s", "1min", "5min", "all"),
            ),
            Option(
                "--fail-on",
                "exit with 3 when an alert fires: critical, or any for warning",
                "SEVERITY",
                choices=("critical", "warning"),
            ),
        ),
    ),
    Command(
        "alerts",
        "follow alerts, a line for each change",
        "Watches without a screen and prints a line whenever an alert begins, fires, recovers or "
        "ends, loses its source, or is silenced. With --exec or --webhook somebody is told of "
        "each alert that fires and of its end: at most once within alerts.min_interval for the "
        "same alert, and in one summary when there are many. The command runs without a shell, "
        "gets the JSON on standard input and the key facts in variables PERFTUI_ALERT_CHANGE, "
        "_SEVERITY, _RULE, _SUBJECT, _MESSAGE, _TEXT and others.",
        (
            Option("--json", "print JSON Lines instead of text"),
            Option("--seconds", "end after this time; without it, when interrupted", "N"),
            Option("--exec", "run this command when an alert fires or ends", "CMD", "alerts.exec"),
            Option(
                "--webhook",
                "post JSON to this URL when an alert fires or ends (a token is safer in "
                "PERFTUI_ALERTS_WEBHOOK)",
                "URL",
                "alerts.webhook",
            ),
            Option(
                "--fail-on",
                "exit with 3 if an alert has fired: critical, or any for warning",
                "SEVERITY",
                choices=("critical", "warning"),
            ),
        ),
    ),
    Command(
        "profile",
        "profile one Python process for a while, print the table and end",
        "Samples the process from outside with py-spy, without a change to it, and prints in which "
        "functions it spends its CPU time: as text, as JSON, as stacks for other tools, or as "
        "flame graph. PID may be left out where profile.pid is set. In auto mode the process is "
        "paused for each sample while that costs it at most 2 % of its time. A process that ends "
        "before is no failure: what was sampled is printed, as after Ctrl-C.",
        (
            Option("--seconds", "how long to sample, 0.5 to 3600; 10 when not given", "N"),
            Option("--rate", "samples per second at most, 1 to 1000", "R", "profile.rate"),
            Option(
                "--by",
                "what the rows of table and JSON are: function, line, file or module",
                "WHAT",
                choices=("function", "line", "file", "module"),
            ),
            Option("--threads", "each thread by itself"),
            Option("--limit", "rows at most; 30 of the table and all of the JSON else", "N"),
            Option("--json", "print JSON instead of text"),
            Option("--collapsed", "print collapsed stacks, which flame graph tools read"),
            Option("--speedscope", "print a document that speedscope.app shows"),
            Option("--flame", "write the flame graph of py-spy, an SVG for a browser", "FILE"),
            Option("--output", "write to this file instead of standard output", "FILE"),
            Option(
                "--mode",
                "auto, exact (pauses the process for each sample) or safe (never does)",
                "MODE",
                "profile.mode",
                choices=("auto", "exact", "safe"),
            ),
            Option(
                "--subprocesses",
                "the processes that descend from it too, such as workers",
                "",
                "profile.subprocesses",
                True,
            ),
            Option(
                "--idle",
                "count waiting threads too: time of the clock, not of the CPU",
                "",
                "profile.idle",
                True,
            ),
            Option(
                "--gil",
                "count only threads that hold the lock of the interpreter",
                "",
                "profile.gil",
                True,
            ),
            Option("--native", "show C functions too", "", "profile.native", True),
        ),
        argument="PID",
    ),
    Command(
        "exporter",
        "serve the readings as a page of metrics for Prometheus",
        "Runs without a screen and serves what it measures of host, control group, file systems, "
        "Redis, caches, server pools and alerts on http://ADDRESS/metrics until it is interrupted. "
        "Operations are not on the page: the services expose them themselves. What is missing or "
        "old is left out, "
        "and perftui_source_up says so. There is no password: on an address that others can reach "
        "anybody can read the page.",
        (
            Option(
                "--listen",
                "HOST:PORT, [IPV6]:PORT or :PORT to serve on, 127.0.0.1:9465 when not given; :PORT "
                "is every address of this machine",
                "ADDRESS",
            ),
        ),
    ),
    Command(
        "agent-check",
        "tell HAProxy how a server fares: its weight by its load, drain, maintenance",
        "Answers the agent checks of HAProxy (server … weight 100 agent-check agent-port PORT) for "
        "this machine or container, or for a server of a pool in Redis. The nearer CPU, memory or "
        "requests come to their thresholds, the less weight the server gets. Drain and "
        "maintenance of the pool are HAProxy's, too, and after SIGTERM the server drains until no "
        "request is at work. Give the servers weight 100: a share of weight 1, the default, is 0. "
        "While Redis is away the last answer holds.",
        (
            Option("--listen", "HOST:PORT, [IPV6]:PORT or :PORT to answer on", "ADDRESS"),
            Option("--local", "measure this container or machine"),
            Option("--pool", "the pool of the server in Redis", "NAME"),
            Option("--server", "the id of the server in the pool", "ID"),
            Option("--floor", "least weight in percent for its load, 10 when not given", "N"),
            Option("--down-above", "down above a threshold, instead of less weight only"),
            Option(
                "--drain-seconds",
                "how long to drain after SIGTERM at most, 30 when not given",
                "N",
            ),
        ),
    ),
    Command(
        "doctor",
        "check what perftui needs, and say how to get it",
        "Checks terminal, Python, profiler and its rights, Redis, control group, configuration, "
        "the rules for alerts and who is told of them, and also pages of metrics and the "
        "Prometheus server, where they are configured. "
        "Each line is ok, note or problem, a problem with its exact fix.",
        (JSON,),
    ),
    Command(
        "rules",
        "list the rules for alerts, check your own, test them on series",
        "list prints every rule with its levels and durations, and which of them the configuration "
        "sets. check says what is wrong with the rules of the configuration, or of FILE, and exits "
        "with 2 then. test replays the series of FILE on the rules, exits with 1 when "
        "an expectation is not met: the names are those of once --json, each has a value per tick. "
        "50x60 is 50 for 60 ticks, 50..90x5 a ramp, _x10 no value; numbers may have a unit, such "
        "as 500ms; a list has one value per tick. Of a list in the document the name says which "
        'element, such as \'operations[service="shop", operation="pay"].p95\'. A rule of your own '
        'is a table [rules.NAME] with expr, such as expr = \'operations[service="shop"].p95 > '
        "500ms'; test finds it in the configuration, or in that of --config.",
        (Option("--json", "print JSON instead of text"),),
        argument="WHAT",
        choices=("list", "check", "test"),
        file="FILE",
    ),
    Command(
        "cache",
        "show caches, list keys, delete by pattern, and undo it",
        "stats prints the hit ratios of every tier and the Redis behind them. scan lists keys "
        "that match PATTERN with their size. get prints what KEY holds: decoded, harmless to a "
        "terminal, and of a large value only the beginning, up to 64 KB. prefixes prints "
        "which prefixes take the most memory "
        "and have the most keys, scaled up from a sample with the range they are in; one huge key "
        "in millions is found by --full only. invalidate deletes keys at a pace that other clients "
        "hardly notice, from one server or all primaries of a cluster, and tells the memory tiers "
        "of all services at once; it asks for the count or the host to be typed, or takes --yes, "
        "which is all it needs: --allow-actions is for the dashboard. undo puts back what the "
        "newest deletion of the last ten minutes took, or that of the journal ID, with value, "
        "type and expiry, and never overwrites what was written since; up to 100,000 keys and 64 "
        "MB are kept in $XDG_STATE_HOME/perftui/undo, readable by you alone. audit prints who "
        "changed what. PATTERN is a glob of Redis: * ? [a-z] [^a], a backslash before a character "
        "that means itself, \\xNN for a byte. Exits with 0 when all was done, 1 when something "
        "failed, 3 when not all was done: cancelled, not confirmed, or keys this user may not "
        "touch.",
        (
            Option("--json", "print JSON instead of text, JSON Lines for scan"),
            Option("--dry-run", "count exactly what would be deleted or restored, and do nothing"),
            Option("--yes", "delete or restore without asking"),
            Option(
                "--pace",
                "normal, or gentle, which rests as long as it works",
                "PACE",
                choices=("normal", "gentle"),
            ),
            Option("--no-undo", "keep no deleted keys; faster, and no values on this disk"),
            Option("--details", "list type and expiry too, which Redis counts as hits"),
            Option("--full", "look at all keys for prefixes, about 100,000 in a second"),
            Option(
                "--limit",
                "most keys, prefixes or entries to list; 100, 20 and 50 when not given",
                "N",
            ),
            Option("--seconds", "length of the window of stats, 2 when not given", "N"),
        ),
        argument="WHAT",
        choices=("stats", "scan", "get", "prefixes", "invalidate", "undo", "audit"),
        file="PATTERN|KEY|ID",
    ),
    Command(
        "pool",
        "show pools of servers, and take servers out and back",
        "ls prints the pools in Redis and the backends of HAProxy, show their servers, events what "
        "happened to them and who did it, advice how many servers a pool should have and why. "
        "drain lets servers finish and gives them nothing new, maint takes them out and does not "
        "judge them, ready brings them back, weight sets how much they get: 0 is nothing, +N and "
        "-N change it, own is what the server registered with. Each says what would follow and "
        "asks, or takes --yes; one that leaves no server needs --force. Of two pools of one name "
        "the one of HAProxy is POOL@SOCKET. Exits with 0 when all was done, 1 when it was refused, "
        "3 when not all was done.",
        (
            Option("--json", "print JSON instead of text, JSON Lines for events"),
            Option("--all", "all servers of the pool"),
            Option("--reason", "why, for those who look at the events", "TEXT"),
            Option("--yes", "change without asking"),
            Option("--force", "change even if no server is left to take requests"),
            Option("--wait", "wait so long until no request is at work at a drained server", "N"),
            Option("--follow", "go on and print events as they happen"),
            Option("--seconds", "length of the window of rates, 1 when not given", "N"),
        ),
        argument="WHAT",
        choices=("ls", "show", "events", "advice", "drain", "ready", "maint", "weight"),
        words="POOL SERVER...",
        default="show",
    ),
    Command(
        "queries",
        "say which queries of an API cost most in vain, and what a change would save",
        "analyze prints advice with its evidence, the query that saves most first: from FILE, a "
        "log of observations as JSON Lines (- is standard input), or without one from what "
        "services report to Redis. explain prints all that is known of one query, by its ID or "
        "the beginning of it. Savings have an interval and are never added up; without evidence "
        "there is no number. A catalogue is a TOML or JSON file of endpoints: indexes, unique "
        "fields, greatest page size. Exits with 1 when nothing was observed.",
        (
            Option("--json", "print JSON instead of text"),
            Option("--catalogue", "what is known of endpoints, for FILE", "PATH"),
            Option(
                "--window",
                "seconds of tracked reads after which a field is unused, for FILE; a week "
                "when not given",
                "N",
            ),
            Option("--limit", "most queries to print, 20 when not given", "N"),
        ),
        argument="WHAT",
        choices=("analyze", "explain"),
        words="FILE|ID...",
        default="analyze",
    ),
    Command(
        "config",
        "show the settings in force, their schema or the file's path",
        "show prints every setting with its value and where that comes from, as a configuration "
        "file; schema prints the JSON schema of that file; path prints where it is looked for.",
        argument="WHAT",
        choices=("show", "schema", "path"),
    ),
    Command(
        "completion",
        "print the completion script for a shell",
        'For bash add eval "$(perftui completion bash)" to ~/.bashrc; for zsh write it to a file '
        "_perftui in a directory of $fpath; for fish to ~/.config/fish/completions/perftui.fish.",
        argument="SHELL",
        choices=("bash", "zsh", "fish", "tcsh"),
    ),
)


def command_named(name: str) -> Command:
    """Return the command of that name, which must be one of COMMANDS."""
    return next(command for command in COMMANDS if command.name == name)
