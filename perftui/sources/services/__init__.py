"""Services that report to Redis: operations, caches and processes."""
