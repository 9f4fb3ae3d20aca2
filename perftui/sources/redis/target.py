"""Where a Redis server is, parsed from a URL and shown without its secrets."""

from __future__ import annotations

import dataclasses
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from perftui.cache.redis_options import IGNORED_OPTIONS

DEFAULT_PORT = 6379
SCHEMES = ("redis", "rediss", "unix")
CERTIFICATE_CHECKS = ("required", "optional", "none")
ESCAPE_HINT = "in a user name or password write # as %23, / as %2F, ? as %3F, @ as %40"


@dataclasses.dataclass(frozen=True)
class RedisTarget:
    """One Redis or Valkey server: `scheme` is redis, rediss (TLS) or unix.

    The password is left out of `repr`, `str` and `address`.
    """

    scheme: str = "redis"
    host: str = "localhost"
    port: int = DEFAULT_PORT
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    ca_file: str = ""
    certificate: str = ""
    certificate_key: str = ""
    certificate_check: str = "required"

    @classmethod
    def parse(cls, url: str) -> RedisTarget:
        """Return the target of a redis://, rediss:// or unix:// URL.

        TLS options are `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_cert_reqs`
        (required, optional, none). Raises ValueError that names what is wrong, never the secret.
        """
        if not url.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
            raise ValueError("a Redis URL starts with redis://, rediss:// or unix://")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The standard library quotes the offending text, which may be half a password.
            raise ValueError(
                f"host or port of the Redis URL is not valid (port: 1 to 65535; {ESCAPE_HINT})"
            ) from None
        if parts.fragment or url.endswith("#"):
            raise ValueError(f"the Redis URL has a # in it; {ESCAPE_HINT}")
        if port == 0:
            raise ValueError("port of the Redis URL is 0, it must be 1 to 65535")
        options = _options(parts)
        username = unquote(parts.username or "") or options.pop("username", "")
        password = unquote(parts.password or "") or options.pop("password", "")
        host, path, database = _place(parts)
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port or DEFAULT_PORT,
            path=path,
            db=_database(options.pop("db", database)),
            username=username,
            password=password,
            ca_file=options.pop("ssl_ca_certs", ""),
            certificate=options.pop("ssl_certfile", ""),
            certificate_key=options.pop("ssl_keyfile", ""),
            certificate_check=_certificate_check(options.pop("ssl_cert_reqs", "required")),
        )

    @property
    def address(self) -> str:
        """The server for the screen: host:port or socket path, `/db` when it is not database 0."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = self.path if self.scheme == "unix" else f"{host}:{self.port}"
        if not self.db:
            return place
        return f"{place} db {self.db}" if self.scheme == "unix" else f"{place}/{self.db}"

    @property
    def server(self) -> tuple[str, str, int]:
        """What two targets on the same server have in common, whatever their database or user."""
        return ("unix", self.path, 0) if self.scheme == "unix" else ("tcp", self.host, self.port)

    @property
    def command(self) -> str:
        """The redis-cli that reaches this server, without secrets."""
        if self.scheme == "unix":
            return f"redis-cli -s {self.path}"
        tls = " --tls" if self.scheme == "rediss" else ""
        return f"redis-cli -h {self.host} -p {self.port}{tls}"


def _options(parts: SplitResult) -> dict[str, str]:
    known = {
        "db",
        "username",
        "password",
        "ssl_ca_certs",
        "ssl_certfile",
        "ssl_keyfile",
        "ssl_cert_reqs",
    }
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in known:
            options[name] = value
        elif name not in IGNORED_OPTIONS:
            # The name itself may be the tail of a password that holds an unescaped question mark.
            raise ValueError(f"the Redis URL has an unknown option after the ?; {ESCAPE_HINT}")
    return options


def _place(parts: SplitResult) -> tuple[str, str, str]:
    if parts.scheme == "unix":
        if parts.hostname:
            raise ValueError("a socket URL has three slashes: unix:///path/to/redis.sock")
        path = unquote(parts.path)
        if not path.strip("/"):
            raise ValueError("the Redis URL names no socket: unix:///path/to/redis.sock")
        return "", path, ""
    return unquote(parts.hostname or "") or "localhost", "", unquote(parts.path).strip("/")


def _database(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"the database of the Redis URL is not a number; {ESCAPE_HINT}")
    return int(text)


def _certificate_check(text: str) -> str:
    if text not in CERTIFICATE_CHECKS:
        raise ValueError("ssl_cert_reqs of the Redis URL must be required, optional or none")
    return text
