"""What CodeProfiler raises; each message says what to do."""

from __future__ import annotations


class ProfilerError(RuntimeError):
    """A CodeProfiler cannot do what it was asked for."""


class NotProfilingError(ProfilerError):
    """It was to stop or to tell something, and does not profile."""


class AlreadyProfilingError(ProfilerError):
    """It was to start, and profiles already."""


class OtherProfilerError(ProfilerError):
    """Another profiler is active where only one can be."""
