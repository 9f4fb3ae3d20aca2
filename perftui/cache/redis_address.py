"""Where a cache's Redis is: one server, a socket, a service that Sentinels watch, or a cluster.

Forms, all with `user:password@` before the host where there is one, percent-encoded:

    redis://host:6379/0                              one server (IANA provisional scheme)
    rediss://host:6379/0                             the same over TLS
    unix:///path/to/redis.sock?db=0                  a socket
    redis+sentinel://host1:26379,host2/service/0     the primary of a service
    redis+cluster://host1:6379,host2:6379            a cluster, by any of its nodes
    rediss+sentinel://…  rediss+cluster://…          over TLS

Options after `?`: db, username, password, sentinel_username, sentinel_password, ssl_ca_certs,
ssl_certfile, ssl_keyfile, ssl_cert_reqs (required, optional, none), ssl_check_hostname (true,
false). Options of redis-py about timeouts, retries and pools are passed over: a cache has its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from perftui.cache.redis_options import IGNORED_OPTIONS

Mode: TypeAlias = Literal["single", "unix", "sentinel", "cluster"]
DEFAULT_PORT = 6379
SENTINEL_PORT = 26379
CERTIFICATE_CHECKS = ("required", "optional", "none")
ESCAPES = "in a user name or password write # as %23, / as %2F, ? as %3F, @ as %40"

_MODES: dict[str, Mode] = {
    "redis": "single",
    "rediss": "single",
    "unix": "unix",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
_OPTIONS = frozenset(
    {
        "db",
        "username",
        "password",
        "sentinel_username",
        "sentinel_password",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
        "ssl_check_hostname",
    }
)
_SECRETS = frozenset({"password", "sentinel_password"})


class Tls(msgspec.Struct, frozen=True):
    """Files in PEM format, empty: the system's; `check` is required, optional or none."""

    ca_file: str = ""
    certificate: str = ""
    certificate_key: str = ""
    check: str = "required"
    check_hostname: bool = True


class RedisAddress(msgspec.Struct, frozen=True):
    """How to reach Redis; neither `repr` nor `shown` has a password.

    `nodes` are hosts and ports: of the server, of the Sentinels, or of some nodes of the cluster;
    none for a socket, which has a `path`.
    """

    mode: Mode = "single"
    nodes: tuple[tuple[str, int], ...] = (("localhost", DEFAULT_PORT),)
    path: str = ""
    service: str = ""
    db: int = 0
    username: str = ""
    password: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""
    tls: Tls | None = None

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Return the address in a URL.

        Raises ValueError that says what is wrong and how it is written, never a part of the URL
        that may be a secret.
        """
        scheme, found, rest = url.partition("://")
        mode = _MODES.get(scheme)
        if not found or mode is None:
            known = ", ".join(f"{each}://" for each in _MODES)
            raise ValueError(f"a Redis URL starts with one of {known}")
        if "#" in rest or any(c.isspace() for c in rest):
            raise ValueError(f"the Redis URL has a # or a space in it; {ESCAPES}")
        rest, _, query = rest.partition("?")
        options = _options(query)
        authority, slash, path = rest.partition("/")
        credentials, _, hosts = authority.rpartition("@")
        user, _, password = credentials.partition(":")
        username = unquote(user) or options.get("username", "")
        service = ""
        if mode == "unix":
            if hosts:
                raise ValueError("the URL of a socket has three slashes: unix:///path/redis.sock")
            socket, path = unquote(slash + path), ""
            if not socket.strip("/"):
                raise ValueError("the Redis URL names no socket: unix:///path/redis.sock")
        else:
            socket = ""
        if mode == "sentinel":
            service, _, path = path.partition("/")
            service = unquote(service)
            if not service:
                raise ValueError(
                    "the Redis URL names no service: redis+sentinel://host:26379/service/0"
                )
        db = _database(options.get("db", "") or path.strip("/"))
        if mode == "cluster" and db:
            raise ValueError("a cluster has database 0 only; leave the number out of the Redis URL")
        return cls(
            mode=mode,
            nodes=() if mode == "unix" else tuple(_nodes(hosts, mode)),
            path=socket,
            service=service,
            db=db,
            username=username,
            password=unquote(password) or options.get("password", ""),
            sentinel_username=options.get("sentinel_username", ""),
            sentinel_password=options.get("sentinel_password", ""),
            tls=_tls(options) if scheme.startswith("rediss") else None,
        )

    def __repr__(self) -> str:
        words = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"RedisAddress({words})"

    # Rich, and with it Textual, asks this one, and msgspec's own would show everything.
    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            (name, "***" if value and name in _SECRETS else value)
            for name, value in msgspec.structs.asdict(self).items()
        ]

    @property
    def shown(self) -> str:
        """The place for people: host:port/db, the path of a socket, a service or a cluster."""
        if self.mode == "unix":
            return f"{self.path} db {self.db}" if self.db else self.path
        nodes = ",".join(f"[{h}]:{p}" if ":" in h else f"{h}:{p}" for h, p in self.nodes)
        if self.mode == "sentinel":
            return f"{self.service}{f'/{self.db}' if self.db else ''} by Sentinel {nodes}"
        if self.mode == "cluster":
            return f"cluster of {nodes}"
        return f"{nodes}/{self.db}" if self.db else nodes

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in any message."""
        return tuple(each for each in (self.password, self.sentinel_password) if each)

    def client_options(self) -> dict[str, object]:
        """Return the keyword arguments of a redis-py client that are not about places or time."""
        options: dict[str, object] = {} if self.mode == "cluster" else {"db": self.db}
        if self.username:
            options["username"] = self.username
        if self.password:
            options["password"] = self.password
        return options | self.tls_options()

    def sentinel_options(self) -> dict[str, object]:
        """Return the keyword arguments for the connections to the Sentinels themselves."""
        options: dict[str, object] = {}
        if self.sentinel_username:
            options["username"] = self.sentinel_username
        if self.sentinel_password:
            options["password"] = self.sentinel_password
        return options | self.tls_options()

    def tls_options(self) -> dict[str, object]:
        """Return the keyword arguments for TLS, none without it."""
        tls = self.tls
        if tls is None:
            return {}
        options: dict[str, object] = {
            "ssl": True,
            "ssl_cert_reqs": tls.check,
            # OpenSSL refuses to compare names in certificates it does not check.
            "ssl_check_hostname": tls.check_hostname and tls.check != "none",
        }
        if tls.ca_file:
            options["ssl_ca_certs"] = tls.ca_file
        if tls.certificate:
            options["ssl_certfile"] = tls.certificate
        if tls.certificate_key:
            options["ssl_keyfile"] = tls.certificate_key
        return options


def _nodes(hosts: str, mode: Mode) -> Iterator[tuple[str, int]]:
    default = SENTINEL_PORT if mode == "sentinel" else DEFAULT_PORT
    places = hosts.split(",")
    if mode == "single" and len(places) > 1:
        raise ValueError(
            "the Redis URL has several hosts; for that write redis+sentinel:// or redis+cluster://"
        )
    for place in places:
        if place.startswith("["):
            host, bracket, port = place[1:].partition("]")
            wrong = not bracket or (bool(port) and not port.startswith(":"))
            port = port[1:]
        else:
            host, _, port = place.partition(":")
            wrong = ":" in port
        # The text itself may be half a password with an unescaped sign in it.
        if wrong or (port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535)):
            raise ValueError(
                f"host or port of the Redis URL is not valid (port: 1 to 65535; {ESCAPES})"
            )
        yield unquote(host) or "localhost", int(port) if port else default


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _OPTIONS:
            options[name] = value
        elif name not in IGNORED_OPTIONS:
            # The name may be the tail of a password that holds an unescaped question mark.
            raise ValueError(
                f"the Redis URL has an unknown option after the ?; known: "
                f"{', '.join(sorted(_OPTIONS))}; {ESCAPES}"
            )
    return options


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"the database of the Redis URL is not a number; {ESCAPES}")
    return int(text)


def _tls(options: dict[str, str]) -> Tls:
    check = options.get("ssl_cert_reqs", "required")
    if check not in CERTIFICATE_CHECKS:
        raise ValueError(f"ssl_cert_reqs must be one of {', '.join(CERTIFICATE_CHECKS)}")
    hostname = options.get("ssl_check_hostname", "true").lower()
    if hostname not in ("true", "false"):
        raise ValueError("ssl_check_hostname must be true or false")
    return Tls(
        ca_file=options.get("ssl_ca_certs", ""),
        certificate=options.get("ssl_certfile", ""),
        certificate_key=options.get("ssl_keyfile", ""),
        check=check,
        check_hostname=hostname == "true",
    )
