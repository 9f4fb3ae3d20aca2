"""Connections to Redis, what their failures mean, and the server itself."""
