"""Deleting batches of keys on one server, as far as its user and its version allow."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perftui.cache.capture import CHUNK as CAPTURE_CHUNK
from perftui.cache.capture import Capture, captured, script
from perftui.cache.conversation import Conversation
from perftui.cache.dismantling import dismantle, large_keys
from perftui.cache.glob import literal_prefix
from perftui.cache.pacing import Pacing
from perftui.cache.topology import slot_of

if TYPE_CHECKING:
    import redis

    from perftui.cache.undo_journal import JournalWriter

UNLINK_CHUNK = 500
DEL_CHUNK = 100
"""DEL frees at once, so that big values hold up other clients; UNLINK leaves that to a thread."""


class RefusedError(Exception):
    """The server will not let keys be deleted at all."""


@dataclass
class Tally:
    """What has been done so far; `moved` keys belong to another server of the cluster now."""

    matched: int = 0
    deleted: int = 0
    denied: int = 0
    protected: int = 0
    unanswered: int = 0
    moved: int = 0
    too_large: int = 0
    not_kept: int = 0
    lookups: int = 0


class Deleter:
    """Deletes over one connection; with a journal, keys go into it as long as it has room."""

    def __init__(
        self,
        talk: Conversation,
        tally: Tally,
        pacing: Pacing,
        cancelled: threading.Event,
        clustered: bool,
    ) -> None:
        self._talk = talk
        self._tally = tally
        self._pacing = pacing
        self._cancelled = cancelled
        self._journal: JournalWriter | None = None
        self._capture = Capture()
        self._verb = "UNLINK"
        self._singly = clustered

    def prepare(self, pattern: bytes) -> str:
        """Find a command that may delete, by trying it on a key that does not exist.

        Returns it. Raises RefusedError for a replica and for a user who may not delete.
        """
        import redis

        refuse_replica(self._talk)
        absent = literal_prefix(pattern) + b"absent-" + secrets.token_hex(8).encode()
        for verb in ("UNLINK", "DEL"):
            reply = self._talk.ask_each([(verb, absent)])[0]
            if isinstance(reply, redis.ReadOnlyError):
                raise RefusedError("this server is a read-only replica; invalidate on its primary")
            if isinstance(reply, redis.exceptions.NoPermissionError):
                # Not this key says nothing about the others; not this command says all.
                if "command" in str(reply):
                    continue
            elif isinstance(reply, redis.ResponseError) and not _elsewhere(reply):
                if "unknown command" in str(reply).lower():
                    continue
                raise reply
            self._verb = verb
            return verb
        raise RefusedError(
            "this user may run neither UNLINK nor DEL; allow: ACL SETUSER USER +unlink"
        )

    def keep(self, journal: JournalWriter | None, capture: Capture) -> None:
        """Put the keys that are deleted from now on into a journal, as the server allows it."""
        self._journal = journal
        self._capture = capture

    def delete(self, keys: Sequence[bytes]) -> bool:
        """Delete these keys; False when cancelled before all were handed over.

        Raises what Conversation.ask raises, OSError when the journal cannot be written.
        """
        start = 0
        while start < len(keys):
            if self._cancelled.is_set():
                return False
            journal = self._journal
            keeps = journal is not None and journal.fits(1)
            size = UNLINK_CHUNK if self._verb == "UNLINK" else DEL_CHUNK
            size = min(size, CAPTURE_CHUNK) if keeps else size
            chunk = list(keys[start : start + size])
            self._tally.unanswered = len(chunk)
            if keeps and journal is not None:
                self._keep_and_delete(journal, chunk)
            else:
                if journal is not None:
                    self._tally.not_kept += len(chunk)
                self._delete(chunk)
            self._pacing.noted(self._talk.waited)
            self._tally.unanswered = 0
            start += size
        return True

    def _delete(self, keys: list[bytes]) -> None:
        import redis

        if self._verb == "DEL":
            keys = self._without_large(keys)
            if not keys:
                return
        if self._singly:
            self._delete_singly(keys)
            return
        try:
            self._tally.deleted += self._talk.ask(self._verb, *keys)
        except redis.exceptions.NoPermissionError:
            # One key that is not the user's refuses the whole command.
            self._delete_singly(keys)
        except redis.ResponseError as error:
            if not _across_slots(error):
                raise
            self._singly = True
            self._delete_singly(keys)

    def _without_large(self, keys: list[bytes]) -> list[bytes]:
        """Delete the very large keys in small steps and return the others."""
        large = set(large_keys(self._talk, keys))
        self._tally.lookups += len(large)
        for key in large:
            self._tally.deleted += dismantle(self._talk, key, self._cancelled)
        return [key for key in keys if key not in large]

    def _delete_singly(self, keys: list[bytes]) -> None:
        """Delete with one command per key, all sent at once, and count those refused."""
        for start in range(0, len(keys), DEL_CHUNK):
            chunk = keys[start : start + DEL_CHUNK]
            replies = self._talk.ask_each((self._verb, key) for key in chunk)
            accepted, refusal = self._accepted(replies, [[key] for key in chunk])
            self._tally.deleted += sum(reply for reply in accepted if reply is not None)
            if refusal is not None:
                raise refusal

    def _keep_and_delete(self, journal: JournalWriter, keys: list[bytes]) -> None:
        """Read and delete in one step each for all keys, or for those of one slot, or for one."""
        import redis

        groups = _by_slot(keys) if self._singly else [keys]
        while groups:
            replies = self._talk.ask_each(
                script(self._verb, self._capture.clock, group) for group in groups
            )
            again: list[list[bytes]] = []
            final: list[tuple[list[bytes], Any]] = []
            for group, reply in zip(groups, replies, strict=True):
                if len(group) > 1 and _across_slots(reply):
                    self._singly = True
                    again += _by_slot(group)
                elif len(group) > 1 and isinstance(reply, redis.exceptions.NoPermissionError):
                    again += [[key] for key in group]
                else:
                    final.append((group, reply))
            accepted, refusal = self._accepted([two for _, two in final], [one for one, _ in final])
            for (group, _), reply in zip(final, accepted, strict=True):
                if reply is not None:
                    again += self._taken(journal, group, reply)
            if refusal is not None:
                raise refusal
            groups = again

    def _taken(self, journal: JournalWriter, group: list[bytes], reply: Any) -> list[list[bytes]]:
        """Put what a script answered into the journal; return the keys it has not come to."""
        done = captured(group, reply)
        self._tally.deleted += done.deleted
        self._tally.too_large += len(done.too_large)
        self._tally.lookups += done.lookups
        journal.add(done.kept)
        if self._verb == "DEL" and done.too_large:
            self._delete(done.too_large)
        rest = group[done.processed :]
        return [rest] if rest else []

    def _accepted(
        self, replies: list[Any], groups: list[list[bytes]]
    ) -> tuple[list[Any], redis.ResponseError | None]:
        """Return the replies, None for those that were refused, which are counted.

        The second value is the first refusal that is neither for want of permission nor because
        of a moved slot; it is to be raised once everything that was done has been counted.
        """
        import redis

        accepted: list[Any] = []
        other: redis.ResponseError | None = None
        for reply, group in zip(replies, groups, strict=True):
            refused = isinstance(reply, redis.ResponseError)
            accepted.append(None if refused else reply)
            if not refused:
                continue
            if isinstance(reply, redis.exceptions.NoPermissionError):
                self._tally.denied += len(group)
            elif _elsewhere(reply):
                self._tally.moved += len(group)
            else:
                other = other or reply
        return accepted, other


def refuse_replica(talk: Conversation) -> None:
    """Raise RefusedError, naming the primary, when the server is a replica, as far as it tells."""
    reply: Any = talk.ask_each([("ROLE",)])[0]
    if isinstance(reply, list) and len(reply) > 2 and reply[0] == b"slave":
        primary = f"{reply[1].decode('utf-8', 'backslashreplace')}:{int(reply[2])}"
        raise RefusedError(f"this server is a read-only replica of {primary}; invalidate there")


def _by_slot(keys: list[bytes]) -> list[list[bytes]]:
    slots: dict[int, list[bytes]] = {}
    for key in keys:
        slots.setdefault(slot_of(key), []).append(key)
    return list(slots.values())


def _across_slots(reply: object) -> bool:
    # Older clients have no exception of its own for CROSSSLOT, newer ones drop the word.
    return isinstance(reply, Exception) and "same slot" in str(reply)


def _elsewhere(reply: object) -> bool:
    import redis

    return isinstance(reply, redis.exceptions.AskError | redis.exceptions.TryAgainError)
