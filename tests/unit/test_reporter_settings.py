"""What a Reporter is told, by arguments and by the environment, and what it refuses."""

from __future__ import annotations

import sys

import pytest
import redis
from redis_fixture import RedisProcess

from perftui.metrics.reporter import Reporter, program_name


@pytest.mark.parametrize("name", ["", "  ", "a/b", "a\nb", "x" * 101, "\udcff", "a\x1b[31m"])
def test_a_service_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"service is .*printable characters without a slash"):
        Reporter("redis://localhost:1", name)


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFTUI_SERVICE", "Kasse 2 (blå)")
    assert Reporter("redis://localhost:1").service == "Kasse 2 (blå)"
    assert Reporter("redis://localhost:1", "shop").service == "shop"
    monkeypatch.setenv("PERFTUI_SERVICE", "")
    monkeypatch.setattr(sys, "argv", ["/usr/bin/gunicorn", "app:app"])
    assert Reporter("redis://localhost:1").service == "gunicorn"


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/srv/shop/worker.py", "worker"),
        ("/srv/shop/__main__.py", "shop"),
        ("-c", "python"),
        ("-m", "python"),
        ("", "python"),
        ("/usr/bin/a\nb", "a_b"),
    ],
)
def test_a_program_gives_its_name(program: str, name: str) -> None:
    assert program_name(program) == name


@pytest.mark.parametrize(
    ("variable", "value"),
    [("REDIS_URL", "localhost:6379"), ("PERFTUI_SERVICE", "a/b")],
)
def test_a_mistake_in_the_environment_is_logged_and_no_error(
    variable: str,
    value: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(variable, value)
    with Reporter() as reporter:
        assert reporter.status.state == "off"
        assert variable in reporter.status.error
    assert len(caplog.records) == 1
    assert variable in caplog.text


def test_what_is_no_synchronous_redis_is_refused(redis_server: RedisProcess) -> None:
    asynchronous = redis.asyncio.Redis.from_url(redis_server.url)
    with pytest.raises(TypeError, match=r"asyncio client.*pass the URL, or a redis\.Redis"):
        Reporter(asynchronous)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="redis is a int; pass a URL"):
        Reporter(6379)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"caches is or contains \{\}; it must be a CacheManager"):
        Reporter(redis_server.url, caches={})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "http://localhost",
        "redis://:s3cret/word@localhost:6379",
        "redis://:x@localhost:99999999",
        "redis://user:s3cret?word@localhost",
        "redis://localhost?socket_timeout=s3cret",
    ],
)
def test_a_wrong_url_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as caught:
        Reporter(url, "shop")
    assert "s3cret" not in str(caught.value)
    assert "word" not in str(caught.value).replace("PASSWORD", "").replace("password", "")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("interval", [0.0, -1.0, 6.0, float("nan"), float("inf")])
def test_an_interval_that_readers_take_for_silence_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="interval is"):
        Reporter("redis://localhost:1", "shop", interval=interval)
    with pytest.raises(ValueError, match="longest_pause"):
        Reporter("redis://localhost:1", "shop", longest_pause=1.0)
