"""How a cache is set up, checked before anything is connected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from perftui.cache import config_checks as check
from perftui.cache.codecs import CODECS, SHORTEST_PICKLE_KEY, CodecName
from perftui.cache.config_checks import CacheConfigError, FrozenSettings
from perftui.cache.memory_tier import POLICIES, Policy
from perftui.cache.redis_address import RedisAddress, Tls

__all__ = ["CacheConfig", "CacheConfigError"]

DEFAULT_SETTINGS = {"default_ttl": 300, "max_size": 1000, "eviction_policy": "lru"}
DEFAULT_MEMORY = {"enabled": True, "max_size": 100_000_000}
DEFAULT_REDIS = {"enabled": True, "host": "localhost", "port": 6379, "db": 0}
LONGEST_TTL = 315_360_000.0
"""Ten years in seconds."""
LONGEST_UNSEEN = 5.0
"""Seconds: the most that memory may be wrong where Redis does not tell of changes."""
_PLACE = ("host", "port", "db")
_TLS = {
    "ssl_ca_certs": "ca_file",
    "ssl_certfile": "certificate",
    "ssl_keyfile": "certificate_key",
    "ssl_cert_reqs": "check",
    "ssl_check_hostname": "check_hostname",
}
_IN_REDIS = ("enabled", "url", *_PLACE, "path", "username", "password", "ssl", *_TLS)


class CacheConfig:
    """Settings of a CacheManager, frozen; durations in seconds, sizes in bytes.

    `settings`: `default_ttl`, how long a value lives unless told otherwise; `max_size`, the most
    items in memory; `eviction_policy`, `lru` or `s3fifo`. `backends["memory"]`: `enabled`,
    `max_size` in bytes. `backends["redis"]`: `enabled`, `host`, `port`, `db`, or `path` of a socket
    or `url`, and `username`, `password`, `ssl` with the `ssl_…` options of redis-py. What is left
    out has its default. `url` is the same as `backends["redis"]["url"]`: redis://, rediss://,
    unix://, redis+sentinel://host:26379/service, redis+cluster://host:6379; see RedisAddress.

    `prefix` begins every key in Redis, and the cache is told of changes of such keys only;
    `namespace="shop"` is short for `prefix="shop:"`. Counts are kept by what comes in a key before
    the first `separator`. `codec` is json, msgpack, raw or pickle; `pickle_key` is the secret that
    pickles are signed with, without which none is read. `negative_ttl` is how long memory knows
    that a key is absent, 0 for not at all. `fallback_ttl` is how long memory keeps a value where
    Redis refuses to tell of changes, 0 for not at all; both at most 5. `timeout` is for connecting
    to Redis and for each answer. `max_stale` is how long memory is still read after the connection
    that tells of changes was lost; 0, never. That connection is asked every `ping_interval` and is
    lost when it does not answer within `ping_limit`. After `breaker_failures` failures Redis is
    left alone for `breaker_first`, twice as long after each further one, `breaker_longest` at most.
    `lease` is how long one process may take to load a value that the others wait for. `ghost` keeps
    the keys evicted last, to tell what a memory of twice the size would do.

    Raises CacheConfigError, a ValueError that names the setting and what it may be, never a secret.
    """

    settings: dict[str, Any]
    backends: dict[str, dict[str, Any]]
    default_ttl: float
    max_items: int
    policy: Policy
    memory_enabled: bool
    memory_bytes: int
    redis_enabled: bool
    redis: RedisAddress
    prefix: bytes
    separator: bytes
    codec: CodecName
    pickle_key: bytes | None
    negative_ttl: float
    fallback_ttl: float
    timeout: float
    max_stale: float
    ping_interval: float
    ping_limit: float
    breaker_failures: int
    breaker_first: float
    breaker_longest: float
    lease: float
    ghost: bool

    def __init__(
        self,
        settings: Mapping[str, Any] | None = None,
        backends: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
        prefix: str | bytes | None = None,
        namespace: str | None = None,
        separator: str = ":",
        codec: CodecName = "json",
        pickle_key: bytes | str | None = None,
        negative_ttl: float = 5.0,
        fallback_ttl: float = 5.0,
        timeout: float = 0.25,
        max_stale: float = 0.0,
        ping_interval: float = 0.5,
        ping_limit: float = 1.0,
        breaker_failures: int = 3,
        breaker_first: float = 1.0,
        breaker_longest: float = 30.0,
        lease: float = 10.0,
        ghost: bool = True,
    ) -> None:
        own = check.merged(settings, DEFAULT_SETTINGS, DEFAULT_SETTINGS, "settings")
        parts = check.merged(backends, {}, ("memory", "redis"), "backends")
        memory = check.merged(
            parts.get("memory"), DEFAULT_MEMORY, DEFAULT_MEMORY, "backends['memory']"
        )
        redis = check.merged(parts.get("redis"), {}, _IN_REDIS, "backends['redis']")
        redis_enabled = check.switch(redis.get("enabled", True), "backends['redis']['enabled']")
        address = _address(redis, url, username, password)
        values: dict[str, object] = {
            "default_ttl": check.number(
                own["default_ttl"], "settings['default_ttl']", most=LONGEST_TTL
            ),
            "max_items": check.whole(own["max_size"], "settings['max_size']", "items"),
            "policy": check.choice(own["eviction_policy"], "settings['eviction_policy']", POLICIES),
            "memory_enabled": check.switch(memory["enabled"], "backends['memory']['enabled']"),
            "memory_bytes": check.whole(
                memory["max_size"], "backends['memory']['max_size']", "bytes"
            ),
            "redis_enabled": redis_enabled,
            "redis": address,
            "separator": _separator(separator),
            "prefix": _prefix(prefix, namespace, separator),
            "codec": check.choice(codec, "codec", CODECS),
            "pickle_key": _pickle_key(pickle_key, codec),
            "negative_ttl": check.number(
                negative_ttl, "negative_ttl", least=0, most=LONGEST_UNSEEN
            ),
            "fallback_ttl": check.number(
                fallback_ttl, "fallback_ttl", least=0, most=LONGEST_UNSEEN
            ),
            "timeout": check.number(timeout, "timeout", most=60),
            "max_stale": check.number(max_stale, "max_stale", least=0),
            "ping_interval": check.number(ping_interval, "ping_interval", most=60),
            "ping_limit": check.number(ping_limit, "ping_limit", most=60),
            "breaker_failures": check.whole(breaker_failures, "breaker_failures", "failures"),
            "breaker_first": check.number(breaker_first, "breaker_first"),
            "breaker_longest": check.number(
                breaker_longest, "breaker_longest", least=breaker_first
            ),
            "lease": check.number(lease, "lease", most=3600),
            "ghost": check.switch(ghost, "ghost"),
            "settings": FrozenSettings(own),
            "backends": FrozenSettings(
                memory=FrozenSettings(memory), redis=_shown_redis(redis_enabled, address)
            ),
        }
        vars(self).update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise TypeError(f"CacheConfig is frozen: make another one with {name} as it shall be")

    def __delattr__(self, name: str) -> NoReturn:
        raise TypeError("CacheConfig is frozen")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, CacheConfig) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.redis, self.prefix, self.default_ttl, self.max_items, self.memory_bytes))

    def __repr__(self) -> str:
        hidden = {"settings", "backends", "redis", "pickle_key"}
        rest = {name: value for name, value in vars(self).items() if name not in hidden}
        place = self.redis.shown if self.redis_enabled else None
        signed = "***" if self.pickle_key else None
        words = ", ".join(f"{name}={value!r}" for name, value in rest.items())
        return f"CacheConfig(redis={place!r}, {words}, pickle_key={signed})"


def _address(
    redis: Mapping[str, Any], url: str | None, username: str | None, password: str | None
) -> RedisAddress:
    name = "backends['redis']"
    urls = [each for each in (url, redis.get("url")) if each is not None]
    if len(urls) > 1:
        raise CacheConfigError(f"url and {name}['url'] are both set; leave one of them out")
    if urls:
        both = [key for key in (*_PLACE, "path", "ssl", *_TLS) if key in redis]
        if both:
            raise CacheConfigError(
                f"{name} has {', '.join(both)} besides a url; put them into the url or leave it out"
            )
        try:
            address = RedisAddress.parse(check.text(urls[0], "url"))
        except CacheConfigError:
            raise
        except ValueError as error:
            raise CacheConfigError(f"url: {error}") from None
    else:
        address = _address_of_parts(redis, name)
    user = username if username is not None else redis.get("username")
    secret = password if password is not None else redis.get("password")
    if user is not None:
        address = msgspec.structs.replace(address, username=check.text(user, "username"))
    if secret is not None:
        address = msgspec.structs.replace(address, password=check.text(secret, "password"))
    return address


def _address_of_parts(redis: Mapping[str, Any], name: str) -> RedisAddress:
    db = check.whole(redis.get("db", 0), f"{name}['db']", "databases before it", least=0)
    tls = _tls(redis, name)
    if "path" in redis:
        both = [key for key in ("host", "port", "ssl") if key in redis]
        if both:
            raise CacheConfigError(f"{name} has {', '.join(both)} besides the path of a socket")
        path = check.text(redis["path"], f"{name}['path']")
        if not path:
            raise CacheConfigError(f"{name}['path'] is empty; it must be the path of a socket")
        return RedisAddress(mode="unix", nodes=(), path=path, db=db)
    host = check.text(redis.get("host", "localhost"), f"{name}['host']")
    if not host or any(c in host for c in "/@ "):
        raise CacheConfigError(
            f"{name}['host'] is not the name of a host; an address with :// goes into url"
        )
    port = redis.get("port", 6379)
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise CacheConfigError(
            f"{name}['port'] is {check.shown(port)}, it must be a number from 1 to 65535"
        )
    return RedisAddress(nodes=((host, port),), db=db, tls=tls)


def _tls(redis: Mapping[str, Any], name: str) -> Tls | None:
    options = {field: redis[key] for key, field in _TLS.items() if key in redis}
    if not check.switch(redis.get("ssl", False), f"{name}['ssl']"):
        if options:
            raise CacheConfigError(f"{name} has options of TLS without 'ssl': True")
        return None
    for key, field in _TLS.items():
        if key == "ssl_check_hostname":
            check.switch(options.get(field, True), f"{name}['{key}']")
        elif key == "ssl_cert_reqs":
            known = ("required", "optional", "none")
            check.choice(options.get(field, "required"), f"{name}['{key}']", known)
        else:
            check.text(options.get(field, ""), f"{name}['{key}']")
    return Tls(**options)


def _shown_redis(enabled: bool, address: RedisAddress) -> FrozenSettings:
    """Return the backend as the contract has it, and never a secret."""
    if address.mode == "unix":
        return FrozenSettings(enabled=enabled, path=address.path, db=address.db)
    host, port = address.nodes[0]
    found: dict[str, Any] = {"enabled": enabled, "host": host, "port": port, "db": address.db}
    if address.mode != "single":
        found["nodes"] = address.nodes
    if address.mode == "sentinel":
        found["service"] = address.service
    if address.tls is not None:
        found["ssl"] = True
    return FrozenSettings(found)


def _separator(separator: object) -> bytes:
    encoded = check.text(separator, "separator").encode()
    if not encoded:
        raise CacheConfigError("separator is empty; use separator=':'")
    return encoded


def _prefix(prefix: str | bytes | None, namespace: str | None, separator: str) -> bytes:
    if prefix is not None and namespace is not None:
        raise CacheConfigError("prefix and namespace are both set; namespace='a' is prefix='a:'")
    if namespace is not None:
        if not check.text(namespace, "namespace"):
            raise CacheConfigError("namespace is empty; leave it out for keys without a prefix")
        return (namespace + separator).encode()
    if prefix is None:
        return b""
    return prefix if isinstance(prefix, bytes) else check.text(prefix, "prefix").encode()


def _pickle_key(pickle_key: bytes | str | None, codec: str) -> bytes | None:
    if pickle_key is None:
        if codec == "pickle":
            raise CacheConfigError(
                "codec 'pickle' needs pickle_key, a secret that all readers share: without it "
                "whoever can write to Redis could run code here; or use codec='msgpack'"
            )
        return None
    if not isinstance(pickle_key, bytes | str):
        raise CacheConfigError(
            f"pickle_key is of type {type(pickle_key).__name__}, it must be bytes or str"
        )
    encoded = pickle_key.encode() if isinstance(pickle_key, str) else pickle_key
    if len(encoded) < SHORTEST_PICKLE_KEY:
        raise CacheConfigError(
            f"pickle_key has {len(encoded)} bytes, it must have {SHORTEST_PICKLE_KEY} or more; "
            "make one by: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return encoded
