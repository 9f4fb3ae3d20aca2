"""Where a page or server is reached over HTTP, parsed from settings and shown without secrets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, unquote, urlsplit

PORTS = {"http": 80, "https": 443}
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
ESCAPE_HINT = "in a user name or password write # as %23, / as %2F, ? as %3F, @ as %40"
OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
SIZE_LIMIT = 16_000_000


@dataclasses.dataclass(frozen=True)
class HttpTarget:
    """One page or server; `url` is without user, password and query, which are kept apart.

    `timeout` is seconds for one whole request, `size_limit` bytes of an unpacked answer.
    `section` is the part of the configuration that the settings come from, for advice. Neither
    `repr` nor `address` shows a password, a query or the value of a header.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = dataclasses.field(default=(), repr=False)
    bearer_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify: bool = True
    timeout: float = 2.0
    size_limit: int = SIZE_LIMIT
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    query: str = dataclasses.field(default="", repr=False)
    section: str = ""

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        headers: Iterable[str] = (),
        bearer_file: str = "",
        ca_file: str = "",
        cert_file: str = "",
        key_file: str = "",
        verify: bool = True,
        timeout: float = 2.0,
        size_limit: int = SIZE_LIMIT,
        section: str = "",
    ) -> HttpTarget:
        """Return the target of an http:// or https:// URL and `Name: value` headers.

        Raises ValueError that names what is wrong, never the secret.
        """
        parts = _parts(url)
        username, password = unquote(parts.username or ""), unquote(parts.password or "")
        if (username or password) and bearer_file:
            raise ValueError("give either user and password in the URL or a bearer file, not both")
        if key_file and not cert_file:
            raise ValueError("a key file needs the file of its certificate as well")
        return cls(
            url=f"{parts.scheme}://{_place(parts)}{parts.path}",
            headers=_headers(headers),
            bearer_file=bearer_file,
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
            verify=verify,
            timeout=timeout,
            size_limit=size_limit,
            username=username,
            password=password,
            query=parts.query,
            section=section,
        )

    @property
    def address(self) -> str:
        """The URL as it may be shown: scheme, host, port and path."""
        return self.url

    @property
    def scheme(self) -> str:
        """Either `http` or `https`."""
        return self.url.partition("://")[0]

    @property
    def host(self) -> str:
        """Name or number of the host, IPv6 without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port, the usual one of the scheme where none is given."""
        return urlsplit(self.url).port or PORTS[self.scheme]

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def setting(self, name: str) -> str:
        """Return the full name of a setting of this target, for advice."""
        return f"{self.section}.{name}" if self.section else name


def _parts(url: str) -> SplitResult:
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("the URL contains blanks or control characters; write a blank as %20")
    scheme = url.partition("://")[0].lower()
    if "://" not in url or scheme not in PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname
    except ValueError:
        # The texts of urllib quote what they could not read, which may be the password.
        raise ValueError(f"the host or port of the URL cannot be read; {ESCAPE_HINT}") from None
    if not host:
        raise ValueError(f"the URL names no host; {ESCAPE_HINT}")
    if "@" in parts.path or "@" in parts.query:
        # Most likely what stands before it is a password with a / or ? in it.
        raise ValueError(f"the path of the URL must not contain @; {ESCAPE_HINT}")
    if port == 0:
        raise ValueError("the port of the URL must be 1 to 65535")
    if parts.fragment or url.endswith("#"):
        raise ValueError(f"the URL must not contain #; {ESCAPE_HINT}")
    return parts


def _place(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError(f"the host of the URL is not a valid name; {ESCAPE_HINT}") from None
    host = f"[{host}]" if ":" in host else host
    return host if parts.port is None else f"{host}:{parts.port}"


def _headers(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not HEADER_NAME.fullmatch(name):
            raise ValueError('a header must look like "Name: value"')
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"the header {name} cannot be set")
        if any(
            (character < " " and character != "\t") or character == "\x7f" for character in value
        ):
            raise ValueError(f"the value of the header {name} contains control characters")
        headers.append((name, value))
    return tuple(headers)
