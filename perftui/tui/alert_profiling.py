"""Profiles the process behind an alert beside the screen, one at a time."""

from __future__ import annotations

from collections.abc import Callable

from perftui.alert_profile import AlertProfile
from perftui.analysis.alerting.suspect import suspect_of
from perftui.monitor import Monitor
from perftui.snapshot import Absent, Alert, Snapshot
from perftui.text import printable
from perftui.tui.jobs import Job

Say = Callable[[str, str], None]


class AlertProfiling:
    """Begins a profile for an alert, and says how it ended; used by the screen's thread."""

    def __init__(self, monitor: Monitor, say: Say) -> None:
        self._monitor = monitor
        self._say = say
        self._profile: AlertProfile | None = None
        self._job: Job[tuple[str, ...]] | None = None

    @property
    def running(self) -> bool:
        """Whether a profile is under way, or its end has not been told yet."""
        return self._job is not None

    def begin(self, alert: Alert, snapshot: Snapshot) -> bool:
        """Profile what is behind an alert; False after saying why that cannot be done."""
        if self._profile is not None:
            self._say(f"process {self._profile.pid} is being profiled for an alert: wait for its "
                      "end", "warning")  # fmt: skip
            return False
        if not alert.fingerprint:
            self._say(f"a rule of {printable(alert.origin)}: nothing can be attached to it here",
                      "warning")  # fmt: skip
            return False
        suspect = suspect_of(alert, snapshot)
        if isinstance(suspect, Absent):
            fix = f": {suspect.fix}" if suspect.fix else ""
            self._say(printable(suspect.reason + fix), "warning")
            return False
        self._profile = AlertProfile(alert, suspect.pid, self._monitor)
        self._job = Job(self._profile.run, self._profile.cancel)
        what = f"{printable(suspect.name)} ({suspect.pid}) for {self._profile.seconds:.0f} s"
        self._say(f"profiling {what}, then attached to the alert", "accent")
        return True

    def poll(self) -> bool:
        """Say how the profile ended, once it has; return whether it goes on."""
        job = self._job
        if job is None or not job.done:
            return job is not None
        self._job = self._profile = None
        if job.error:
            self._say(f"nothing was attached: {printable(job.error)}", "warning")
        else:
            self._say("attached to the alert: enter shows its evidence", "accent")
        return False

    def close(self) -> None:
        """End a profile that is under way; nothing is attached then."""
        if self._job is not None:
            self._job.cancel()
