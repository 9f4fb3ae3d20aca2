"""Fixtures for all tests."""

from __future__ import annotations

from redis_fixture import redis_server, start_redis

__all__ = ["redis_server", "start_redis"]
