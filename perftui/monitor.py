"""Schedules the sources and publishes one snapshot per tick, the newest winning."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from perftui.assembly import assemble, history_values
from perftui.history import History
from perftui.journal_upkeep import JournalUpkeep
from perftui.mailbox import Mailbox
from perftui.own_cost import OwnCost
from perftui.profiling.request import default_request
from perftui.snapshot import (
    Absent,
    Alert,
    ProfileRequest,
    Selection,
    Snapshot,
    SourceStatus,
    State,
)
from perftui.source_demand import (
    AT_FIRST,
    EVIDENCE,
    aim,
    demand,
    profile_sources,
    select,
    suspicious,
)
from perftui.sources.catalogue import build_sources, configured
from perftui.sources.runner import SourceRunner
from perftui.sources.source import SelectingSource, Source
from perftui.window_sampling import WindowSampling

if TYPE_CHECKING:
    from perftui.analysis.alerting.engine import AlertEngine
    from perftui.analysis.alerting.silences import Silence
    from perftui.config import Settings

TICK_OFFSET = 0.15
"""Seconds between the moment the sources sample and the tick that collects what they found."""
SOON = 0.05

HELD = Absent(
    State.NOT_COLLECTED,
    "the process is being sampled for a file or an alert",
    "wait: it goes on by itself",
)


class Monitor:
    """Runs sources, history and rules on threads of its own, whoever looks or does not look."""

    def __init__(
        self,
        settings: Settings,
        sources: Callable[[Settings], list[Source[Any]]] = build_sources,
    ) -> None:
        self.settings = settings
        self.mailbox: Mailbox[Snapshot] = Mailbox()
        interval = settings.monitor.interval
        self.history = History(max(60, int(settings.monitor.history / interval)))
        self._build_sources = sources
        self._cost = OwnCost()
        self._alerts: AlertEngine | None = None
        self._condition = threading.Condition()
        self._runners: list[SourceRunner[Any]] = []
        self._needs: frozenset[str] = AT_FIRST
        self._rules_need: frozenset[str] = frozenset()
        self._suspicion = False
        self._profiled: int | None = settings.profile.pid
        self._held: frozenset[int] = frozenset()
        self._profile_window: float | None = None
        self._selection = Selection()
        self._stopping = False
        self._nudged = False
        self._version = 0
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)

    def start(self) -> None:
        """Start sampling; returns at once, sources import what they need on their own threads."""
        self._thread.start()

    def stop(self, patience: float = 0.3) -> None:
        """End all threads; one that hangs in a call is left behind after `patience` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join(patience)
        closers = [threading.Thread(target=runner.stop, daemon=True) for runner in self._runners]
        for closer in closers:
            closer.start()
        deadline = time.monotonic() + patience + 1.2
        for closer in closers:
            closer.join(max(0.0, deadline - time.monotonic()))
        for runner in self._runners:
            runner.join(max(0.0, min(patience, deadline - time.monotonic())))

    def count_terminal_bytes(self, total: Callable[[], int]) -> None:
        """Have the bytes that were sent to the terminal so far included in the monitor's cost."""
        self._cost.count_terminal_bytes(total)

    def demand(self, needs: frozenset[str]) -> None:
        """Say which of the on-demand sources are looked at now; the others rest."""
        with self._condition:
            self._needs = needs
            runners = list(self._runners)
        self._apply_demand(runners)

    def profile(self, pid: int | None) -> None:
        """Choose the process whose calls are sampled, None for none.

        One that could not be read is tried anew, as whatever process has this id now.
        """
        with self._condition:
            self._profiled = pid
            runners = list(self._runners)
        for source in profile_sources(runners):
            # One that is held has to rest before it is aimed at.
            source.rest(source.name not in self._shown)
            source.set_target(pid)
        self._apply_demand(runners)

    def hold_process(self, pid: int) -> bool:
        """Keep py-spy away from a process for another profiler; False when one has it already.

        What was sampled is kept. Whoever holds a process has to call `release_process`.
        """
        with self._condition:
            if pid in self._held:
                return False
            self._held |= {pid}
            runners = list(self._runners)
        self._apply_demand(runners)
        return True

    def release_process(self, pid: int) -> None:
        """Let the chosen process be sampled again."""
        with self._condition:
            self._held -= {pid}
            runners = list(self._runners)
        self._apply_demand(runners)

    def widen_profile(self, seconds: float | None) -> None:
        """Have the profile cover so many seconds, with stacks, whatever is selected; None ends.

        It is sampled for that even when nothing shows it.
        """
        with self._condition:
            self._profile_window = seconds
            runners = list(self._runners)
        self._tell_selection(runners)
        self._apply_demand(runners)

    @property
    def profile_is_held(self) -> bool:
        """Whether another profiler has the chosen process, or maybe one of its tree."""
        held = self._held
        return self._profiled in held or bool(held and self.profile_request.subprocesses)

    @property
    def _shown(self) -> frozenset[str]:
        if self.profile_is_held:
            return self._needs - {"top_calls"}
        return self._needs if self._profile_window is None else self._needs | {"top_calls"}

    @property
    def profile_request(self) -> ProfileRequest:
        """How the process is profiled now: as the selection says, else as the settings do."""
        return self._selection.profile or default_request(self.settings.profile)

    def reset_profile(self) -> None:
        """Forget the calls that were sampled and begin anew."""
        with self._condition:
            runners = list(self._runners)
        for source in profile_sources(runners):
            source.reset()

    @property
    def profiled(self) -> int | None:
        """Process id whose calls are sampled."""
        return self._profiled

    def select(self, selection: Selection) -> None:
        """Choose hosts, the operation whose details are read, and how a process is profiled."""
        with self._condition:
            if selection == self._selection:
                return
            self._selection = selection
            runners = list(self._runners)
        self._tell_selection(runners)
        self._apply_demand(runners)
        for runner in runners:
            if isinstance(runner.source, SelectingSource):
                runner.hurry()

    def _tell_selection(self, runners: list[SourceRunner[Any]]) -> None:
        selection = self._selection
        if self._profile_window is not None:
            widened = msgspec.structs.replace(
                self.profile_request, window=self._profile_window, stacks=True
            )
            selection = msgspec.structs.replace(selection, profile=widened)
        select(runners, selection)

    @property
    def selection(self) -> Selection:
        """Hosts and operation that are looked at, and how a process is profiled."""
        return self._selection

    def acknowledge(self, fingerprint: str) -> bool:
        """Note that this user looks after an alert, or take that back; False for an unknown one."""
        from perftui.user_alerts import user_name

        alerts = self._alerts
        known = alerts is not None and (
            alerts.unacknowledge(fingerprint) or alerts.acknowledge(fingerprint, user_name())
        )
        self.refresh()
        return known

    def attach(self, alert: Alert, lines: tuple[str, ...]) -> bool:
        """Add lines to the evidence of an alert, also when it has ended meanwhile."""
        known = self._alerts is not None and self._alerts.attach(
            alert.fingerprint, lines, alert.since
        )
        self.refresh()
        return known

    def silence(self, alert: Alert, seconds: float, comment: str, scope: str = "alert") -> Silence:
        """Silence an alert, or with the scope `rule` or `subject` all that share it.

        Raises ValueError when the seconds are not more than zero or there are no alerts yet.
        """
        from perftui.user_alerts import silence

        if self._alerts is None:
            raise ValueError("no alerts yet")
        made = silence(self._alerts, alert, seconds, comment, scope)
        self.refresh()
        return made

    def unsilence(self, fingerprint: str) -> bool:
        """End the silences that cover an alert; False when there is none."""
        ended = self._alerts is not None and self._alerts.unsilence_alert(fingerprint)
        self.refresh()
        return ended

    @property
    def silences_problem(self) -> str:
        """What keeps silences from being read or saved, empty when nothing does."""
        return "" if self._alerts is None else self._alerts.silences.problem

    def refresh(self) -> None:
        """Publish a snapshot soon instead of at the next tick."""
        with self._condition:
            self._nudged = True
            self._condition.notify_all()

    def _apply_demand(self, runners: list[SourceRunner[Any]]) -> None:
        needed = self._shown | self._rules_need | (EVIDENCE if self._suspicion else frozenset())
        demand(runners, needed)
        aim(runners, self._profiled, self._shown)

    def _run(self) -> None:
        runners = [
            SourceRunner(source, changed=self.refresh)
            for source in self._build_sources(self.settings)
        ]
        with self._condition:
            if self._stopping:
                return
            self._runners = runners
        self._apply_demand(runners)
        self._tell_selection(runners)
        for runner in runners:
            runner.start()
        # The rules are imported here, not before the first paint.
        from perftui.user_alerts import user_engine

        engine = user_engine(self.settings)
        self._alerts = engine
        self._rules_need = engine.sources
        self._apply_demand(runners)
        upkeep = JournalUpkeep()
        interval = self.settings.monitor.interval
        due = time.monotonic() + TICK_OFFSET
        while (on_grid := self._rest_until(due)) is not None:
            now = time.monotonic()
            self._tick(now, on_grid)
            if on_grid:
                upkeep.run(now)
                due += interval * (1 + int((now - due) // interval))

    def _look_for_evidence(self, snapshot: Snapshot) -> None:
        suspicion = suspicious(snapshot)
        if suspicion is not self._suspicion:
            self._suspicion = suspicion
            self._apply_demand(self._runners)

    def _rest_until(self, due: float) -> bool | None:
        """Sleep until the tick: True on the grid, False when nudged, None to end."""
        with self._condition:
            while not self._stopping:
                remaining = due - time.monotonic()
                if remaining <= 0:
                    self._nudged = False
                    return True
                if self._nudged:
                    self._condition.wait(min(SOON, remaining))
                    self._nudged = False
                    return None if self._stopping else False
                self._condition.wait(remaining)
            return None

    def _tick(self, now: float, on_grid: bool) -> None:
        values: dict[str, Any] = {}
        statuses: list[SourceStatus] = []
        for runner in self._runners:
            value, status = runner.reading(now)
            values[status.name] = value
            statuses.append(status)
        if "top_calls" in self._needs and self.profile_is_held:
            values["top_calls"] = HELD
        if on_grid:
            self._cost.measure(now)
        self._version += 1
        snapshot = assemble(
            version=self._version,
            time=time.time(),
            monotonic=now,
            values=values,
            statuses=tuple(statuses),
            monitor=self._cost.reading(sum(status.late for status in statuses)),
            configured=configured(self.settings),
        )
        assert self._alerts is not None
        snapshot = self._alerts.applied(snapshot)
        self._look_for_evidence(snapshot)
        if on_grid:
            self.history.record(now, history_values(snapshot))
        self.mailbox.put(snapshot)


def collect(settings: Settings, seconds: float, profile: ProfileRequest | None = None) -> Snapshot:
    """Return one snapshot whose rates and profile cover the last `seconds`.

    Blocks for `seconds` and, at most, the deadline of the slowest source; with pages of metrics
    for LONGEST_MORE in addition. The process of the settings is profiled as they say, or as
    `profile` does, always from the begin to the end. Alerts are judged by this one snapshot, whose
    values are means of the window: nothing has to last, and rules that compare with the past stay
    silent.
    """
    request = profile or default_request(settings.profile)
    selection = Selection(profile=msgspec.structs.replace(request, window=0.0))
    sources = build_sources(settings)
    for source in sources:
        if isinstance(source, SelectingSource):
            source.select(selection)
    end = time.monotonic() + seconds
    workers = [WindowSampling(source, end, settings.profile.pid) for source in sources]
    for worker in workers:
        worker.start()
    cost = OwnCost()
    for worker in workers:
        worker.join(max(0.0, worker.patience_ends - time.monotonic()))
    now = time.monotonic()
    cost.measure(now)
    outcomes = {worker.source.name: (worker.outcome(), worker.status(now)) for worker in workers}
    for worker in workers:
        worker.source.close()
    statuses = tuple(status for _, status in outcomes.values())
    snapshot = assemble(
        version=1,
        time=time.time(),
        monotonic=now,
        values={name: value for name, (value, _) in outcomes.items()},
        statuses=statuses,
        monitor=cost.reading(sum(status.late for status in statuses)),
        configured=configured(settings),
    )
    from perftui.user_alerts import user_engine

    return user_engine(settings, immediate=True).applied(snapshot)
