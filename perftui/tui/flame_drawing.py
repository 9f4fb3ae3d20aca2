"""Has py-spy draw a flame graph into a file, on a thread of its own beside the screen."""

from __future__ import annotations

import atexit
from pathlib import Path

from perftui.monitor import Monitor
from perftui.profile_files import write_whole
from perftui.snapshot import ProfileRequest
from perftui.sources.pyspy.flame_svg import FlameRecording
from perftui.sources.source import SourceError
from perftui.tui.jobs import Job


class FlameError(Exception):
    """There is no flame graph; the message says why and what to do."""


class FlameDrawing:
    """One recording of `seconds` that becomes a picture; `sampled` are those that have passed.

    The live profile rests meanwhile: two py-spy that pause one process disturb each other. Raises
    FlameError when the process is sampled for an alert.
    """

    def __init__(
        self, monitor: Monitor, pid: int, request: ProfileRequest, seconds: int, path: Path
    ) -> None:
        if not monitor.hold_process(pid):
            raise FlameError(f"process {pid} is sampled for an alert now: try again in 10 s")
        self.sampled = 0.0
        self._pid = pid
        self._monitor = monitor
        self._path = path
        self._recording = FlameRecording(pid, request, seconds, monitor.settings.profile.rate)
        self.job: Job[None] = Job(self._draw, self._recording.cancel)

    def _told(self, seconds: float) -> None:
        self.sampled = seconds

    def _draw(self) -> None:
        atexit.register(self._recording.cancel)
        try:
            svg = self._recording.run(self._told)
        except SourceError as error:
            absent = error.absent
            fix = f": {absent.fix}" if absent.fix else ""
            raise FlameError(absent.reason + fix) from error
        finally:
            self._monitor.release_process(self._pid)
            atexit.unregister(self._recording.cancel)
        write_whole(self._path, svg.data, private=True)
