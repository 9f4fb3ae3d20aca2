"""Reads and unpacks the body of an answer, never more of it than is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import urllib3

from perftui.snapshot import State
from perftui.sources.http import failure as http_failure
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from perftui.sources.http.target import HttpTarget

CHUNK = 65536
GZIP = 16 + zlib.MAX_WBITS


def read_body(response: urllib3.BaseHTTPResponse, target: HttpTarget) -> bytes:
    """Return the whole body, unpacked, and give the connection back for the next request.

    Raises SourceError for one that is too big, late, cut off, or packed in another way than gzip.
    """
    try:
        body = b"".join(_pieces(response, target))
    except zlib.error:
        raise SourceError(
            State.UNAVAILABLE,
            f"{target.address} sends broken gzip data",
            "look for a proxy that changes the answers of the server",
        ) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, TimeoutError | urllib3.exceptions.TimeoutError):
            raise http_failure.late(target, True) from None
        raise http_failure.cut_off(
            target, "the connection was closed before all of it had come"
        ) from error
    response.release_conn()
    return body


def _pieces(response: urllib3.BaseHTTPResponse, target: HttpTarget) -> Iterator[bytes]:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    length = response.headers.get("content-length", "")
    packed = encoding in ("gzip", "x-gzip")
    if not packed and encoding not in ("", "identity"):
        raise SourceError(
            State.UNAVAILABLE,
            f"{target.address} answers in the encoding {encoding[:40]}, which was not asked for",
            "let it send gzip or plain text",
        )
    if length.isdecimal() and int(length) > target.size_limit:
        raise http_failure.too_big(target)
    unpacker = _Gunzip(target.size_limit) if packed else None
    size = received = 0
    for raw in response.stream(CHUNK, decode_content=False):
        received += len(raw)
        piece = raw if unpacker is None else unpacker.add(raw)
        size += len(piece)
        if max(size, received) > target.size_limit:
            raise http_failure.too_big(target)
        yield piece
    if unpacker is not None and received and not unpacker.complete:
        raise http_failure.cut_off(target, "its gzip data are not complete")


class _Gunzip:
    """Unpacks gzip data of any number of members, never more than one byte beyond a limit.

    The client's own decoder unpacks a chunk as a whole, which a few bytes can make gigabytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit + 1
        self._member = zlib.decompressobj(GZIP)

    @property
    def complete(self) -> bool:
        """Whether the data end where a member ends."""
        return self._member.eof

    def add(self, data: bytes) -> bytes:
        """Return what the data unpack to; raises zlib.error for broken ones."""
        found = []
        while data and self._left > 0:
            if self._member.eof:
                self._member = zlib.decompressobj(GZIP)
            piece = self._member.decompress(data, self._left)
            self._left -= len(piece)
            found.append(piece)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        return b"".join(found)
