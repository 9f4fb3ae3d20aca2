"""Which options of a Redis URL say how other programs connect, and nothing about where."""

from __future__ import annotations

IGNORED_OPTIONS = frozenset(
    {
        "client_name",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_keepalive",
        "socket_timeout",
        "timeout",
    }
)
"""Passed over: every connection here has timeouts of its own."""
