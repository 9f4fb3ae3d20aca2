"""Settings of a cache: the contract's defaults, what is refused and how, and no secrets."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from perftui.cache.config import CacheConfig, CacheConfigError
from perftui.cache.redis_address import RedisAddress


def test_the_defaults_are_those_of_the_contract() -> None:
    config = CacheConfig()
    assert config.settings == {"default_ttl": 300, "max_size": 1000, "eviction_policy": "lru"}
    assert config.backends == {
        "memory": {"enabled": True, "max_size": 100_000_000},
        "redis": {"enabled": True, "host": "localhost", "port": 6379, "db": 0},
    }
    assert (config.default_ttl, config.max_items, config.policy) == (300.0, 1000, "lru")
    assert (config.memory_enabled, config.memory_bytes) == (True, 100_000_000)
    assert (config.redis_enabled, config.redis.shown) == (True, "localhost:6379")
    assert (config.codec, config.prefix, config.negative_ttl) == ("json", b"", 5.0)
    assert (config.timeout, config.fallback_ttl, config.max_stale) == (0.25, 5.0, 0.0)


def test_what_is_left_out_has_its_default() -> None:
    config = CacheConfig(
        settings={"max_size": 5, "eviction_policy": "s3fifo"},
        backends={"redis": {"port": 6380}, "memory": {"enabled": False}},
        namespace="shop",
    )
    assert config.settings == {"default_ttl": 300, "max_size": 5, "eviction_policy": "s3fifo"}
    assert config.backends["redis"] == {
        "enabled": True,
        "host": "localhost",
        "port": 6380,
        "db": 0,
    }
    assert (config.memory_enabled, config.memory_bytes) == (False, 100_000_000)
    assert config.prefix == b"shop:"


@pytest.mark.parametrize(
    ("url", "shown", "options"),
    [
        ("redis://example.org", "example.org:6379", {"db": 0}),
        ("redis://example.org:1/2", "example.org:1/2", {"db": 2}),
        ("redis://[::1]:6380", "[::1]:6380", {"db": 0}),
        ("redis://", "localhost:6379", {"db": 0}),
        ("unix:///run/redis.sock?db=3", "/run/redis.sock db 3", {"db": 3}),
        (
            "redis://ann:p%40ss%2F%3F%23@h/0",
            "h:6379",
            {"db": 0, "username": "ann", "password": "p@ss/?#"},
        ),
        ("redis://:only@h", "h:6379", {"db": 0, "password": "only"}),
        ("unix://:word@/run/r.sock", "/run/r.sock", {"db": 0, "password": "word"}),
        ("redis://h?socket_timeout=5&db=4", "h:6379/4", {"db": 4}),
        (
            "rediss://h:6380?ssl_ca_certs=/ca.pem&ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
            "h:6380",
            {
                "db": 0,
                "ssl": True,
                "ssl_cert_reqs": "required",
                "ssl_check_hostname": True,
                "ssl_ca_certs": "/ca.pem",
                "ssl_certfile": "/c.pem",
                "ssl_keyfile": "/k.pem",
            },
        ),
        (
            "rediss://h?ssl_cert_reqs=none",
            "h:6379",
            {"db": 0, "ssl": True, "ssl_cert_reqs": "none", "ssl_check_hostname": False},
        ),
        (
            "redis+sentinel://ann:pw@a,b:1/shop/2",
            "shop/2 by Sentinel a:26379,b:1",
            {"db": 2, "username": "ann", "password": "pw"},
        ),
        ("redis+cluster://a:7000,[::1]:7001", "cluster of a:7000,[::1]:7001", {}),
    ],
)
def test_a_url_says_where_and_how(url: str, shown: str, options: dict[str, object]) -> None:
    config = CacheConfig(url=url)
    assert config.redis.shown == shown
    assert config.redis.client_options() == options
    assert CacheConfig(backends={"redis": {"url": url}}) == config


def test_sentinels_have_users_of_their_own() -> None:
    address = RedisAddress.parse(
        "rediss+sentinel://ann:pw@a/shop?sentinel_username=watch&sentinel_password=dog"
    )
    options = address.sentinel_options()
    assert (options["username"], options["password"], options["ssl"]) == ("watch", "dog", True)
    assert (address.mode, address.service, address.nodes) == ("sentinel", "shop", (("a", 26379),))
    assert address.secrets == ("pw", "dog")


def test_user_and_password_beside_a_url() -> None:
    config = CacheConfig(url="redis://ann:old@h", password="new")
    assert (config.redis.username, config.redis.password) == ("ann", "new")
    config = CacheConfig(
        backends={
            "redis": {
                "host": "h",
                "username": "bob",
                "password": "word",
                "ssl": True,
                "ssl_ca_certs": "/ca",
            }
        }
    )
    assert (config.redis.username, config.redis.password) == ("bob", "word")
    assert config.redis.client_options()["ssl_ca_certs"] == "/ca"
    assert config.backends["redis"] == {
        "enabled": True,
        "host": "h",
        "port": 6379,
        "db": 0,
        "ssl": True,
    }


def test_a_socket_by_its_path() -> None:
    config = CacheConfig(backends={"redis": {"path": "/run/r.sock", "db": 1}})
    assert (config.redis.mode, config.redis.path, config.redis.db) == ("unix", "/run/r.sock", 1)


SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"settings": {"default_tll": 3}}, "settings has no setting 'default_tll'; did you mean"),
        ({"settings": {3: 3}}, "it has default_ttl, max_size, eviction_policy"),
        ({"settings": [1]}, "settings is of type list, it must be a dict"),
        ({"settings": {"default_ttl": 0}}, "settings['default_ttl'] is 0, it must be seconds"),
        ({"settings": {"default_ttl": float("nan")}}, "settings['default_ttl'] is nan"),
        ({"settings": {"default_ttl": "5"}}, "settings['default_ttl'] is '5'"),
        ({"settings": {"default_ttl": 1e12}}, "at most 315,360,000"),
        ({"settings": {"max_size": 0}}, "settings['max_size'] is 0, it must be a whole number"),
        ({"settings": {"max_size": True}}, "settings['max_size'] is True"),
        ({"settings": {"eviction_policy": "lfu"}}, "it must be one of lru, s3fifo"),
        ({"backends": {"memcached": {}}}, "backends has no setting 'memcached'"),
        ({"backends": {"memory": {"enabled": 1}}}, "backends['memory']['enabled'] is 1"),
        ({"backends": {"memory": {"max_size": 1.5}}}, "backends['memory']['max_size'] is 1.5"),
        ({"backends": {"redis": {"hots": "h"}}}, "did you mean host?"),
        ({"backends": {"redis": {"port": 70000}}}, "a number from 1 to 65535"),
        ({"backends": {"redis": {"db": -1}}}, "backends['redis']['db'] is -1"),
        ({"backends": {"redis": {"host": "redis://h"}}}, "goes into url"),
        ({"backends": {"redis": {"path": "/s", "port": 1}}}, "port besides the path"),
        ({"backends": {"redis": {"ssl_ca_certs": "/ca"}}}, "without 'ssl': True"),
        ({"backends": {"redis": {"url": "redis://h", "port": 1}}}, "port besides a url"),
        ({"backends": {"redis": {"url": "redis://h"}}, "url": "redis://h"}, "both set"),
        ({"url": f"http://:{SECRET}@h"}, "url: a Redis URL starts with one of redis://"),
        ({"url": f"redis://:{SECRET}#x@h"}, "%23"),
        ({"url": f"redis://:{SECRET}?x@h"}, "unknown option"),
        ({"url": f"redis://:a/{SECRET}@h"}, "%2F"),
        ({"url": f"redis://:{SECRET}@h:99999"}, "1 to 65535"),
        ({"url": f"redis://:{SECRET}@a,b"}, "redis+cluster://"),
        ({"url": f"redis+cluster://:{SECRET}@a/3"}, "database 0 only"),
        ({"url": f"redis+sentinel://:{SECRET}@a"}, "names no service"),
        ({"url": "unix://run/redis.sock"}, "three slashes"),
        ({"url": "rediss://h?ssl_cert_reqs=maybe"}, "required, optional, none"),
        ({"url": 5}, "url is of type int"),
        ({"password": 5}, "password is of type int"),
        ({"prefix": "a", "namespace": "b"}, "both set"),
        ({"namespace": ""}, "namespace is empty"),
        ({"separator": ""}, "separator is empty"),
        ({"codec": "yaml"}, "codec is 'yaml', it must be one of json, msgpack, raw, pickle"),
        ({"codec": "pickle"}, "codec 'pickle' needs pickle_key"),
        ({"pickle_key": "hunter2"}, "pickle_key has 7 bytes, it must have 16 or more"),
        ({"negative_ttl": 6}, "negative_ttl is 6, it must be seconds, 0 or more and at most 5"),
        ({"fallback_ttl": 60}, "fallback_ttl is 60"),
        ({"timeout": 0}, "timeout is 0, it must be seconds, above 0 and at most 60"),
        ({"max_stale": -1}, "max_stale is -1"),
        ({"breaker_failures": 0}, "breaker_failures is 0"),
        ({"breaker_first": 5, "breaker_longest": 1}, "breaker_longest is 1, it must be seconds, 5"),
        ({"ghost": "yes"}, "ghost is 'yes', it must be True or False"),
    ],
)
def test_a_refusal_names_the_setting_and_no_secret(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(CacheConfigError) as refusal:
        CacheConfig(**arguments)
    assert words in str(refusal.value)
    assert isinstance(refusal.value, ValueError)
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"redis://ann:{SECRET}@h",
        f"redis://h?password={SECRET}",
        f"redis+sentinel://:{SECRET}@h/shop?sentinel_password={SECRET}",
        f"redis+cluster://:{SECRET}@h",
        f"unix://:{SECRET}@/run/r.sock",
    ],
)
def test_no_text_of_a_config_has_a_secret(url: str) -> None:
    config = CacheConfig(url=url, codec="pickle", pickle_key=SECRET)
    assert config.redis.password == SECRET
    shown = [config, config.redis, config.backends, config.settings]
    for thing in shown:
        for text in (repr(thing), str(thing), f"{thing}", pretty_repr(thing)):
            assert "hunter2" not in text
    assert "hunter2" not in config.redis.shown


@given(st.text())
@example("redis://:a]b@[")
@example("redis://[::1")
@example("redis://h:²")
def test_any_text_is_an_address_or_a_value_error(text: str) -> None:
    for url in (text, f"redis://{text}", f"redis+sentinel://{text}", f"redis://h?{text}"):
        try:
            RedisAddress.parse(url)
        except ValueError as error:
            assert type(error) is ValueError  # noqa: PT017


def test_a_config_is_frozen_and_says_so() -> None:
    config = CacheConfig()
    with pytest.raises(TypeError, match="frozen: make another"):
        config.settings["default_ttl"] = 60
    with pytest.raises(TypeError, match="frozen"):
        config.backends["redis"].update(port=1)
    with pytest.raises(TypeError, match="frozen"):
        config.backends["redis"] |= {"port": 1}
    with pytest.raises(TypeError, match="frozen"):
        config.default_ttl = 60.0
    with pytest.raises(TypeError, match="frozen"):
        del config.codec
    assert config == CacheConfig()


def test_copies_are_equal_and_frozen() -> None:
    config = CacheConfig(url="redis://h/1", settings={"max_size": 7})
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert hash(other) == hash(config)
        with pytest.raises(TypeError, match="frozen"):
            other.settings["max_size"] = 8
    assert config != CacheConfig()
    given_settings = {"max_size": 5}
    made = CacheConfig(settings=given_settings)
    given_settings["max_size"] = 6
    assert made.settings["max_size"] == 5
