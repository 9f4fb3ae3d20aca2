"""Why Redis could not be read, in words, with the command that helps."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING

from perftui.snapshot import State
from perftui.sources.source import SourceError

if TYPE_CHECKING:
    from perftui.sources.redis.target import RedisTarget

COMMAND = re.compile(r"permissions? to run the '([^']+)' command")
KEYS = re.compile(r"permissions? to access (?:a|one of the) key")


def failure(error: BaseException, target: RedisTarget, timeout: float | None = None) -> SourceError:
    """Return what an exception of the Redis client means for the user.

    The texts are those of Redis 6 and 7 and Valkey; `timeout` in seconds is named in the reason.
    """
    return _server_said(error, target) or _network_said(error, target, timeout)


def _server_said(error: BaseException, target: RedisTarget) -> SourceError | None:
    text = str(error)
    lower = text.lower()
    place = f"Redis at {target.address}"
    user = target.username or "default"
    if found := COMMAND.search(text):
        # Redis writes a subcommand as config|get, which is also how SETUSER wants it.
        command = found.group(1).lower()
        rule = f"'+{command}'" if "|" in command else f"+{command}"
        return SourceError(
            State.DENIED,
            f"{place} does not allow user {user} to run {command.replace('|', ' ').upper()}",
            f"{target.command} ACL SETUSER {user} {rule}",
        )
    if KEYS.search(text):
        return SourceError(
            State.DENIED,
            f"{place} does not allow user {user} to read keys under perftui:",
            f"{target.command} ACL SETUSER {user} '~perftui:*'",
        )
    if "wrongpass" in lower or "invalid username-password" in lower or "invalid password" in lower:
        return SourceError(
            State.DENIED,
            f"{place} refused the user name or password of user {user}",
            "put the right ones in the Redis URL: redis://USER:PASSWORD@HOST:PORT",
        )
    if "authentication required" in lower or "noauth" in lower:
        return SourceError(
            State.DENIED,
            f"{place} wants a password",
            "put it in the Redis URL: redis://:PASSWORD@HOST:PORT",
        )
    if "without any password configured" in lower or "no password is set" in lower:
        return SourceError(
            State.DENIED,
            f"{place} has no password, but the Redis URL gives one",
            "take the password out of the Redis URL, or set requirepass on the server",
        )
    if "max number of clients" in lower:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} has reached its maximum number of clients",
            f"{target.command} CONFIG SET maxclients 20000",
        )
    if "loading the dataset" in lower:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} is still loading its data",
            "wait; INFO persistence shows loading_eta_seconds",
        )
    if "protected mode" in lower:
        return SourceError(
            State.DENIED,
            f"{place} is in protected mode and takes local connections only",
            "set a password (requirepass) on the server and put it in the Redis URL",
        )
    if "db index is out of range" in lower or "invalid database" in lower:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} has no database {target.db}",
            "name a lower database in the Redis URL, or raise `databases` on the server",
        )
    if "master" in lower and "link with master is down" in lower:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} is a replica that lost its primary",
            f"{target.command} INFO replication",
        )
    return None


def _network_said(error: BaseException, target: RedisTarget, timeout: float | None) -> SourceError:
    import redis

    place = f"Redis at {target.address}"
    cause = _cause(error)
    if isinstance(cause, ssl.SSLError) or "SSL" in str(error):
        return _tls(cause if isinstance(cause, ssl.SSLError) else error, target)
    if isinstance(error, redis.TimeoutError | TimeoutError | socket.timeout):
        within = f" within {timeout:g} s" if timeout else ""
        return SourceError(
            State.UNAVAILABLE,
            f"{place} did not answer{within}",
            f"see whether it is stopped, overloaded or behind a firewall: {target.command} PING",
        )
    if isinstance(cause, socket.gaierror):
        return SourceError(
            State.UNAVAILABLE,
            f"the host name {target.host} of Redis cannot be resolved",
            f"correct the host in the Redis URL, or check DNS: getent hosts {target.host}",
        )
    number = cause.errno if isinstance(cause, OSError) else None
    if number == errno.ENOENT:
        return SourceError(
            State.UNAVAILABLE,
            f"Redis socket {target.path} does not exist",
            "start Redis with `unixsocket` set to this path, or correct the Redis URL",
        )
    if number == errno.ECONNREFUSED:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} refused the connection",
            "start it (systemctl start redis), or correct the address in the Redis URL",
        )
    if number in (errno.EACCES, errno.EPERM):
        return SourceError(
            State.DENIED,
            f"this user may not open the socket of {place}",
            "join the group of the socket (usermod -aG redis USER), or set unixsocketperm 770",
        )
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
        return SourceError(
            State.UNAVAILABLE,
            f"there is no route to Redis at {target.address}",
            f"check the network: ping {target.host}",
        )
    if number in (errno.ECONNRESET, errno.EPIPE) or "closed by server" in str(error):
        return SourceError(
            State.UNAVAILABLE,
            f"{place} closed the connection",
            "it restarted, has maxclients already, or wants TLS (rediss://)",
        )
    if isinstance(error, redis.AuthenticationError):
        return SourceError(
            State.DENIED,
            f"{place} refused to log in user {target.username or 'default'}",
            "put the right user and password in the Redis URL",
        )
    return SourceError(State.UNAVAILABLE, f"{place}: {_plain(error, target)}")


def _tls(error: BaseException, target: RedisTarget) -> SourceError:
    text = str(error)
    place = f"Redis at {target.address}"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} has a certificate that is not trusted here",
            "add ?ssl_ca_certs=/path/to/ca.crt to the Redis URL",
        )
    if "WRONG_VERSION_NUMBER" in text or "UNEXPECTED_EOF" in text or "EOF occurred" in text:
        return SourceError(
            State.UNAVAILABLE,
            f"{place} does not speak TLS",
            "use redis:// in place of rediss://, or the TLS port of the server",
        )
    if "CERTIFICATE_REQUIRED" in text or "HANDSHAKE_FAILURE" in text:
        return SourceError(
            State.DENIED,
            f"{place} wants a client certificate",
            "add ?ssl_certfile=/path/client.crt&ssl_keyfile=/path/client.key to the Redis URL",
        )
    return SourceError(State.UNAVAILABLE, f"{place}: TLS failed: {_plain(error, target)}")


def _cause(error: BaseException) -> BaseException | None:
    """Return the operating system's error behind the client's own, which only quotes it."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None or isinstance(seen, OSError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _plain(error: BaseException, target: RedisTarget) -> str:
    text = str(error) or type(error).__name__
    if target.password:
        text = text.replace(target.password, "***")
    return " ".join(text.split())[:200]
