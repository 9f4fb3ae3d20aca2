"""Settings: precedence, messages, schema and the dump that can be read again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perftui.config import (
    SOURCE_NAMES,
    ConfigError,
    Loaded,
    RuleSettings,
    Settings,
    config_dir,
    dump_toml,
    load_settings,
    mask_url,
    mask_webhook,
    place_of,
    schema,
)
from perftui.config.errors import closest


def load(
    tmp_path: Path,
    toml: str | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, tuple[str, object]] | None = None,
) -> Loaded:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)}
    if toml is not None:
        (tmp_path / "perftui").mkdir(exist_ok=True)
        (tmp_path / "perftui" / "config.toml").write_text(toml)
    return load_settings(flags, None, {**home, **(environ or {})})


def message(tmp_path: Path, **sources) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **sources)
    return str(caught.value).replace(str(tmp_path / "perftui" / "config.toml"), "FILE")


def test_defaults_need_no_file(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.settings == Settings()
    assert loaded.origins == {}
    assert loaded.path is None
    assert loaded.settings.monitor.sources == SOURCE_NAMES


def test_later_sources_win(tmp_path: Path) -> None:
    toml = "[monitor]\ninterval = 2\nhistory = 100\n[redis]\nurl = 'redis://file'\n"
    toml += "[screen]\ntheme = 'day'\nascii = true\n[keys]\n'app.quit' = 'q, f10'\n"
    environ = {"REDIS_URL": "redis://variable", "PERFTUI_MONITOR_INTERVAL": "3"}
    loaded = load(tmp_path, toml, environ, {"monitor.interval": ("--interval", "4")})
    settings = loaded.settings
    assert settings.monitor.interval == 4.0
    assert settings.monitor.history == 100.0
    assert settings.redis.url == "redis://variable"
    assert settings.screen.theme == "day"
    assert settings.screen.ascii == "on"
    assert settings.keys == {"app.quit": "q,f10"}
    assert loaded.origins == {
        "monitor.interval": "flag --interval",
        "monitor.history": "file",
        "redis.url": "environment REDIS_URL",
        "screen.theme": "file",
        "screen.ascii": "file",
        "keys.app.quit": "file",
    }


def test_environment_words(tmp_path: Path) -> None:
    environ = {
        "PERFTUI_DIFF": "0",
        "PERFTUI_SCREEN_MOUSE": "off",
        "PERFTUI_SCREEN_ASCII": "1",
        "PERFTUI_MONITOR_SOURCES": "host, redis",
        "PERFTUI_PROFILE_PID": "12",
        "PERFTUI_REDIS_URL": "unix:///own",
        "REDIS_URL": "redis://alias",
        "PERFTUI_SCREEN_THEME": "",
        "PERFTUI_SERVICE": "shop",
    }
    settings = load(tmp_path, environ=environ).settings
    assert settings.screen.cell_diff is False
    assert settings.screen.mouse is False
    assert settings.screen.ascii == "on"
    assert settings.monitor.sources == ("host", "redis")
    assert settings.profile.pid == 12
    assert settings.redis.url == "unix:///own"
    assert settings.screen.theme == "auto"


def test_lists_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "PERFTUI_SCRAPE_URLS": "http://a/metrics, https://b:1/m",
        "PERFTUI_SCRAPE_DISCOVER": "yes",
        "PERFTUI_PROMETHEUS_HEADERS": "X-Scope-OrgID: a,Accept: x, y;q=0.1,Link: z,http://c",
        "PERFTUI_OPERATIONS_LABELS": "method,path",
        "PERFTUI_OPERATIONS_PRESETS": "otel",
    }
    settings = load(tmp_path, environ=environ).settings
    assert settings.scrape.urls == ("http://a/metrics", "https://b:1/m")
    assert settings.scrape.discover is True
    assert settings.prometheus.headers == (
        "X-Scope-OrgID: a", "Accept: x, y;q=0.1", "Link: z, http://c",
    )  # fmt: skip
    assert settings.operations.labels == ("method", "path")
    assert settings.operations.presets == ("otel",)


def test_a_flag_that_repeats_is_a_list(tmp_path: Path) -> None:
    flags = {"scrape.urls": ("--scrape", ["http://a", "http://b"])}
    loaded = load(tmp_path, "[scrape]\nurls = ['http://file']\n", flags=flags)
    assert loaded.settings.scrape.urls == ("http://a", "http://b")
    assert loaded.origins["scrape.urls"] == "flag --scrape"
    wrong = {"scrape.urls": ("--scrape", ["http://a", "localhost"])}
    assert message(tmp_path, flags=wrong).startswith("--scrape is ['http://a', 'localhost']")


@pytest.mark.parametrize(
    "header", ["X: a\nY: b", "X: a\r", "X: a\n", ": a", "", "X Y: a", "naïve: a"]
)
def test_a_header_is_one_line_with_a_name(tmp_path: Path, header: str) -> None:
    toml = f"[prometheus]\nheaders = [{json.dumps(header, ensure_ascii=False)}]\n"
    assert 'a header such as "Name: value"' in message(tmp_path, toml=toml)


def test_named_file(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[profile]\nrate = 50\n")
    assert load_settings(None, path, {}).settings.profile.rate == 50.0
    assert load_settings(None, None, {"PERFTUI_CONFIG": str(path)}).path == path
    with pytest.raises(ConfigError, match=r"missing\.toml: no such file \(--config names it\)"):
        load_settings(None, tmp_path / "missing.toml", {})
    with pytest.raises(ConfigError, match="PERFTUI_CONFIG names it"):
        load_settings(None, None, {"PERFTUI_CONFIG": str(tmp_path / "missing.toml")})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(None, tmp_path, {})


def test_relative_base_directory_is_ignored() -> None:
    environ = {"XDG_CONFIG_HOME": "relative", "HOME": "/home/x"}
    assert config_dir(environ) == Path("/home/x/.config/perftui")
    assert config_dir({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/perftui")


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (
            "[monitor]\n\ninterval = 0.1\n",
            "FILE line 3: monitor.interval is 0.1; it must be a number from 0.25 to 60",
        ),
        (
            "[monitor]\nintervall = 1\n",
            "FILE line 2: unknown key monitor.intervall; did you mean interval? "
            "(keys of monitor: history, interval, sources)",
        ),
        (
            "\n[monitr]\n",
            "FILE line 2: unknown table monitr; did you mean monitor? "
            "(tables: actions, alerts, haproxy, keys, monitor, operations, profile, prometheus, "
            "redis, rules, scrape, screen)",
        ),
        (
            "redis = 'redis://localhost'\n",
            "FILE line 1: redis is a table: write [redis] and its keys below",
        ),
        (
            "[profile]\nmode = 'exat'\n",
            'FILE line 2: profile.mode is "exat"; it must be one of auto, exact, safe; '
            "did you mean exact?",
        ),
        (
            "[profile]\npid = 0\n",
            "FILE line 2: profile.pid is 0; it must be a whole number from 1 up",
        ),
        (
            "[screen]\nmouse = 'yes'\n",
            'FILE line 2: screen.mouse is "yes"; it must be true or false',
        ),
        (
            "[monitor]\nsources = ['host', 'redos']\n",
            "FILE line 2: monitor.sources is ['host', 'redos']; it must be a list of cgroup, "
            "descriptors, file_systems, haproxy, host, pools, processes, prometheus, queries, "
            "redis, redis_detail, scrape, services, top_calls; did you mean redis?",
        ),
        (
            "[scrape]\nurls = 'http://a/metrics'\n",
            'FILE line 2: scrape.urls is "http://a/metrics"; it must be a list, each item of it a '
            "URL that begins with http://, https://",
        ),
        (
            "[scrape]\nurls = ['http://a', 'ftp://me:hush@b']\n",
            "FILE line 2: scrape.urls is ['http://a', 'ftp://me:***@b']; it must be a list, each "
            "item of it a URL that begins with http://, https://",
        ),
        (
            "[prometheus]\nurl = 'prom:9090'\n",
            'FILE line 2: prometheus.url is "prom:9090"; it must be empty or a URL that begins '
            "with http://, https://",
        ),
        (
            "[prometheus]\nheaders = ['Authorization hush']\n",
            "FILE line 2: prometheus.headers is ***; it must be a list, each item of it a header "
            'such as "Name: value"',
        ),
        (
            "[prometheus]\nheaders = 'Authorization: hush'\n",
            "FILE line 2: prometheus.headers is ***; it must be a list, each item of it a header "
            'such as "Name: value"',
        ),
        (
            "[prometheus]\nca_file = 7\n",
            "FILE line 2: prometheus.ca_file is 7; it must be text",
        ),
        (
            "[operations]\nlabels = ['path', 'a b']\n",
            "FILE line 2: operations.labels is ['path', 'a b']; it must be a list, each item of it "
            "a name that matches ^[a-zA-Z_][a-zA-Z0-9_]*$",
        ),
        (
            "[operations]\nmetric = '1x'\n",
            'FILE line 2: operations.metric is "1x"; it must be empty or a name that matches '
            "^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        ),
        (
            "[operations]\npresets = ['htp']\n",
            "FILE line 2: operations.presets is ['htp']; it must be a list of celery, django, "
            "fastapi, grpc, http, otel, perftui; did you mean http?",
        ),
        (
            "redis.timeout = nan\n",
            "FILE line 1: redis.timeout is nan; it must be a number from 0.05 to 30",
        ),
        (
            "[redis]\nurl = 'http://me:hush@host'\n",
            'FILE line 2: redis.url is "http://me:***@host"; it must be empty or a URL that '
            "begins with redis://, rediss://, unix://",
        ),
        (
            "[keys]\n'app.quit' = ''\n",
            "FILE line 2: keys.app.quit must be a key or several with commas, such as "
            '"q,f10"; write "comma" for the key ","',
        ),
        (
            "[a\n",
            "FILE line 1: not valid TOML: Expected ']' at the end of a table declaration "
            "(column 3)",
        ),
    ],
)
def test_message_names_place_key_and_remedy(tmp_path: Path, toml: str, expected: str) -> None:
    assert message(tmp_path, toml=toml) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"PERFTUI_SCREEN_THEM": "x"},
            "unknown variable PERFTUI_SCREEN_THEM; did you mean PERFTUI_SCREEN_THEME? "
            "(perftui config show lists the settings: PERFTUI_<SECTION>_<KEY>)",
        ),
        (
            {"PERFTUI_MONITOR_INTERVAL": "soon"},
            'PERFTUI_MONITOR_INTERVAL is "soon"; it must be a number from 0.25 to 60',
        ),
        (
            {"PERFTUI_KEYS_QUIT": "q"},
            "PERFTUI_KEYS_QUIT: keys are set in the table [keys] of the file only",
        ),
        (
            {"REDIS_URL": "localhost:6379"},
            'REDIS_URL is "localhost:6379"; it must be empty or a URL that begins with '
            "redis://, rediss://, unix://",
        ),
    ],
)
def test_message_names_the_variable(tmp_path: Path, environ, expected: str) -> None:
    assert message(tmp_path, environ=environ) == expected


RULES = """
[rules.R10]
warn = 85
"for" = "2min"
severity = 'critical'

[rules.own]
expr = 'redis.latency > 10ms'
min_n = 3
"""


def test_tables_of_rules(tmp_path: Path) -> None:
    loaded = load(tmp_path, RULES)
    assert loaded.settings.rules == {
        "R10": RuleSettings(warn=85, hold="2min", severity="critical"),
        "own": RuleSettings(expr="redis.latency > 10ms", min_n=3),
    }
    assert loaded.origins["rules.R10.for"] == "file"
    path = loaded.path
    assert path is not None
    assert place_of(path, "rules.R10.for") == f"{path} line 4"
    assert place_of(path, "rules.own.expr") == f"{path} line 8"
    assert place_of(path, "rules.own") == f"{path} line 7"
    assert place_of(path, "rules.other.expr") == ""
    assert place_of(None, "rules.own") == ""
    text = dump_toml(loaded.settings, loaded.origins)
    assert '[rules.own]\nexpr = "redis.latency > 10ms"  # file\nmin_n = 3  # file\n' in text
    assert load(tmp_path, text).settings == loaded.settings


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (
            "[rules.R10]\nwarm = 3\n",
            "FILE line 2: unknown key rules.R10.warm; did you mean warn? (keys of a rule: above, "
            "clear, crit, crit_clear, enabled, expr, for, hint, keep, min_n, pane, severity, "
            "smoothing, title, warn, warn_clear)",
        ),
        (
            "[rules]\nR10.severity = 'crit'\n",
            'FILE line 2: rules.R10.severity is "crit"; it must be one of critical, info, warning; '
            "did you mean critical?",
        ),
        (
            "[rules.R10]\nwarn = true\n",
            "FILE line 2: rules.R10.warn is true; it must be a number or text",
        ),
        (
            "[rules.R10]\nwarn = inf\n",
            "FILE line 2: rules.R10.warn is inf; it must be a number or text",
        ),
        (
            "[rules.R10]\nmin_n = -1\n",
            "FILE line 2: rules.R10.min_n is -1; it must be a whole number from 0 to 1e+09",
        ),
        (
            "[rules]\nR10 = 3\n",
            "FILE line 2: rules.R10 is a table: write [rules.R10] and its keys below",
        ),
        (
            "[rules.'1 x']\nexpr = 'a'\n",
            "FILE line 1: '1 x' cannot be the name of a rule: it must be letters, digits, _ and "
            "-, not begin with a digit and have at most 64 characters",
        ),
        (
            "[rules.'" + 65 * "x" + "']\nexpr = 'a'\n",
            f"FILE line 1: '{65 * 'x'}' cannot be the name of a rule: it must be letters, digits, "
            "_ and -, not begin with a digit and have at most 64 characters",
        ),
        (
            "[alerts]\nwebhook = 'ftp://hush/hush'\n",
            "FILE line 2: alerts.webhook is ***; it must be empty or a URL that begins with "
            "http://, https://",
        ),
        (
            "[alerts]\ncommand_timeout = 0\n",
            "FILE line 2: alerts.command_timeout is 0; it must be a number from 0.1 to 300",
        ),
    ],
)
def test_message_about_rules_and_alerts(tmp_path: Path, toml: str, expected: str) -> None:
    assert message(tmp_path, toml=toml) == expected


def test_alerts_from_variables(tmp_path: Path) -> None:
    environ = {
        "PERFTUI_ALERTS_BELL": "1",
        "PERFTUI_ALERTS_WEBHOOK": "https://hooks.example/T0/hush",
        "PERFTUI_ALERTS_DISABLED": "R10, R11",
    }
    loaded = load(tmp_path, environ=environ)
    assert loaded.settings.alerts.bell
    assert loaded.settings.alerts.disabled == ("R10", "R11")
    text = dump_toml(loaded.settings, loaded.origins)
    assert "hush" not in text
    shown = 'webhook = "https://hooks.example/***"  # environment PERFTUI_ALERTS_WEBHOOK'
    assert shown in text
    assert "rules are set in tables [rules.NAME]" in message(
        tmp_path, environ={"PERFTUI_RULES_R10_WARN": "3"}
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example/services/hush", "https://hooks.example/***"),
        ("https://u:hush@hooks.example:8443", "https://hooks.example:8443"),
        ("http://hooks.example?token=hush", "http://hooks.example/***"),
        ("hush", "***"),
        ("", ""),
    ],
)
def test_a_webhook_shows_its_host_alone(url: str, shown: str) -> None:
    assert mask_webhook(url) == shown


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("R1O", ["R09", "R10", "R31", "R01"], "; did you mean R10?"),
        ("thme", ["theme", "them"], "; did you mean theme?"),
        ("zzz", ["theme"], ""),
    ],
)
def test_the_closest_word(word: str, known: list[str], expected: str) -> None:
    assert closest(word, known) == expected


def test_message_names_the_flag(tmp_path: Path) -> None:
    flags = {"profile.pid": ("--pid", "web")}
    assert message(tmp_path, flags=flags) == '--pid is "web"; it must be a whole number from 1 up'


def test_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# ok\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"line 2: not UTF-8"):
        load_settings(None, path, {})


@given(st.text(max_size=80))
def test_any_file_gives_settings_or_one_message(text: str) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(text.encode(errors="surrogatepass"))
        file.flush()
        try:
            load_settings(None, file.name, {})
        except ConfigError as error:
            said = str(error)
        else:
            return
    assert said.startswith(file.name)


def test_dump_is_a_file_that_gives_the_same_settings(tmp_path: Path) -> None:
    toml = "[monitor]\ninterval = 2.5\nsources = ['host']\n[screen]\ntheme = 'd\"\\u00e9'\n"
    toml += "[keys]\n'app.quit' = 'q'\n"
    loaded = load(tmp_path, toml, {"PERFTUI_PROFILE_PID": "7"})
    text = dump_toml(loaded.settings, loaded.origins)
    assert "interval = 2.5  # file\n" in text
    assert "pid = 7  # environment PERFTUI_PROFILE_PID\n" in text
    assert "history = 900.0  # default\n" in text
    assert load(tmp_path, text).settings == loaded.settings
    assert "# pid is not set  # default" in dump_toml(Settings(), {})


def test_dump_masks_the_password(tmp_path: Path) -> None:
    loaded = load(tmp_path, environ={"REDIS_URL": "redis://me:hush@host:1/0?password=hush"})
    text = dump_toml(loaded.settings, loaded.origins)
    assert "hush" not in text
    assert 'url = "redis://me:***@host:1/0?password=***"  # environment REDIS_URL' in text


def test_dump_masks_headers_and_the_users_of_pages(tmp_path: Path) -> None:
    toml = "[prometheus]\nurl = 'https://me:hush@prom/p?token=hush'\nmatcher = 'a=\"b\"'\n"
    toml += "headers = ['Authorization: Bearer hush', 'X-Scope-OrgID: hush']\n"
    toml += "[scrape]\nurls = ['http://u:hush@a', 'http://b?access_token=hush&x=1']\n"
    loaded = load(tmp_path, toml)
    assert loaded.settings.prometheus.headers[1] == "X-Scope-OrgID: hush"
    text = dump_toml(loaded.settings, loaded.origins)
    assert "hush" not in text
    assert 'headers = ["Authorization: ***", "X-Scope-OrgID: ***"]  # file\n' in text
    assert 'urls = ["http://u:***@a", "http://b?access_token=***&x=1"]  # file\n' in text
    assert 'matcher = "a=\\"b\\""  # file\n' in text
    assert load(tmp_path, text).settings.prometheus.matcher == 'a="b"'


@given(st.text(st.characters(exclude_characters="/?#@:&;*="), min_size=4, max_size=20))
def test_no_password_survives_the_mask(password: str) -> None:
    for url in (f"redis://u:{password}@h:1/0", f"rediss://:{password}@h", f"redis://{password}@h"):
        assert password not in mask_url(url).removeprefix("rediss").removeprefix("redis")


@pytest.mark.parametrize("url", ["redis://u:p@ss@h", "redis://u:a:b@h", "unix://u:pw@/x.sock"])
def test_mask_errs_to_the_safe_side(url: str) -> None:
    shown = mask_url(url)
    assert shown.startswith(url.partition("u:")[0] + "u:***@")
    assert "ss@" not in shown
    assert "b@" not in shown
    assert "pw" not in shown


def test_schema_describes_every_key() -> None:
    document = json.loads(json.dumps(schema()))
    definitions = document["$defs"]
    sections = ("Monitor", "Redis", "Scrape", "Prometheus", "Operations", "Profile", "Screen")
    for name in (*sections, "Actions", "Alerts"):
        assert definitions[name]["additionalProperties"] is False
        for key, rule in definitions[name]["properties"].items():
            assert rule["description"].endswith((".", ")")), key
            assert "default" in rule, key
    assert set(definitions["Settings"]["properties"]) == set(Settings.__struct_fields__)
    defaults = tomllib.loads(dump_toml(Settings(), {}))
    assert set(defaults) == set(Settings.__struct_fields__)
