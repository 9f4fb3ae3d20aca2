"""Made processes of all sorts and a picker over the dashboard that shows them, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from dashboard_app import make_app
from dump_app import eventually
from sample import HOSTILE, NOW, full_snapshot
from textual.pilot import Pilot

from perftui.profiling.profilable import Checked, Subject, Viewer
from perftui.snapshot import Absent, Process, ProcessTable, Snapshot, State, TopCalls
from perftui.tui.app import PerftuiApp
from perftui.tui.screens.process_picker import ProcessPicker

Key = tuple[int, float]

VIEWER = Viewer(1000, 1000, "shop", 0, "user:[4026531837]", 0, "/srv/venv/bin/py-spy")
OWN = (1000, 1000, 1000)
ROOT = (0, 0, 0)
REFUSED = Absent(
    State.DENIED,
    "reading the memory of process 310 is not permitted",
    "start perftui with sudo, or: sudo setcap cap_sys_ptrace=ep /srv/venv/bin/py-spy",
)


def process(pid: int, command: str, user: str, cpu: float, python: bool = True) -> Process:
    """Return a process that is as old in hours as its id says."""
    name = command.split()[0].rpartition("/")[2]
    return Process(
        pid, 1, name, command, user, "S", cpu, pid * 400_000, pid % 7 + 1, NOW - 36.0 * pid, python
    )


ROWS = (
    process(101, "gunicorn: worker [shop]", "shop", 88.5),
    process(103, "gunicorn: worker [shop]", "shop", 41.0),
    process(100, "gunicorn: master [shop]", "shop", 0.1),
    process(310, "/usr/bin/python3 /usr/bin/unattended-upgrade-shutdown --wait", "root", 0.0),
    process(420, "/srv/venv/bin/python -m shop.worker --queue mail --name worker-1", "shop", 12.4),
    process(512, "/usr/bin/python3.11 -X dev /srv/app/import_prices.py --all", "shop", 3.1),
    process(640, "/usr/bin/python3 -m http.server 8000", "shop", 0.0),
    process(711, "python /opt/agent/agent.py", "nobody", 1.1),
    process(802, f"python {HOSTILE}", "shop", 0.0),
    process(900, "postgres: checkpointer", "postgres", 7.0, False),
    process(901, "/usr/sbin/nginx -g daemon off;", "root", 2.0, False),
    process(2, "[kthreadd]", "root", 0.0, False),
)

SUBJECTS = {
    101: Subject(101, uids=OWN, container="docker 3f2a91c04d1e", contained=True, namespace_pid=7),
    103: Subject(103, uids=OWN, container="docker 3f2a91c04d1e", contained=True, namespace_pid=9,
                 tracer=4711),
    100: Subject(100, uids=OWN, container="docker 3f2a91c04d1e", contained=True, namespace_pid=1),
    310: Subject(310, uids=ROOT, container="unattended-upgrades"),
    420: Subject(420, uids=OWN, container="k8s 0a1b2c3d4e5f", contained=True),
    512: Subject(512, uids=OWN, container="session-3", state="T"),
    640: Subject(640, uids=OWN, dumpable=False),
    711: Subject(711, uids=(65534, 65534, 65534), container="agent"),
    802: Subject(802, uids=OWN, namespace_pid=12),
    900: Subject(900, uids=(105, 105, 105), container="postgresql@15-main"),
    901: Subject(901, uids=ROOT, container="nginx"),
    2: Subject(2, uids=ROOT, program=False),
}  # fmt: skip


class MadeChecks:
    """Knows the made processes; an attempt ends when `poll` is called."""

    def __init__(self, viewer: Viewer = VIEWER, refuses: Sequence[int] = (310,)) -> None:
        self.viewer: Viewer | None = viewer
        self.wanted: list[Key] = []
        self.tried: list[Key] = []
        self.held = False
        self._refuses = refuses
        self._checked: dict[Key, Checked] = {}
        self._trying: Key | None = None

    def subject(self, key: Key) -> Subject | None:
        """Return what is known of a process."""
        return SUBJECTS.get(key[0])

    def checked(self, key: Key) -> Checked | None:
        """Return what an attempt found."""
        return self._checked.get(key)

    @property
    def under_way(self) -> bool:
        """Whether there is an attempt that has not ended."""
        return self._trying is not None

    def is_trying(self, key: Key) -> bool:
        """Whether an attempt is under way."""
        return self._trying == key

    def want(self, keys: Sequence[Key]) -> None:
        """Note what is looked at."""
        self.wanted = list(keys)

    def check(self, key: Key) -> bool:
        """Begin an attempt."""
        if self._trying is not None:
            return False
        self.tried.append(key)
        self._trying = key
        return True

    def poll(self) -> bool:
        """End the attempt, unless it is held back."""
        if self._trying is None or self.held:
            return False
        key, self._trying = self._trying, None
        problem = REFUSED if key[0] in self._refuses else None
        self._checked[key] = Checked(problem, "" if problem else "3.11.7", 9)
        return True


def picker_snapshot(own_profile: bool = True) -> Snapshot:
    """Return a snapshot with the made processes, on the host of the shop's first process."""
    full = full_snapshot(alerts=False)
    assert not isinstance(full.services, Absent)
    assert not isinstance(full.host, Absent)
    shop = full.services[0]
    instances = shop.instances
    if own_profile:
        calls = TopCalls(102, "shop", "3.11.7", (), 5.0, 0, 0, 0.1, "cProfile", 0, 0, 100, 0,
                         source="cProfile")  # fmt: skip
        instances = tuple(
            msgspec.structs.replace(one, profile=calls) if one.pid == 102 else one
            for one in instances
        )
    return msgspec.structs.replace(
        full,
        host=msgspec.structs.replace(full.host, name="web-1"),
        processes=ProcessTable(ROWS, len(ROWS), 60, 2, 1.0),
        services=(msgspec.structs.replace(shop, instances=instances),),
    )


class Chosen:
    """Keeps what was chosen."""

    def __init__(self) -> None:
        self.profiled: list[int] = []
        self.feeds: list[tuple[str, str]] = []


def picker_app(*, ascii_only: bool = False, colour: bool = True) -> PerftuiApp:
    """Return an app whose snapshots hold the made processes."""
    return make_app(picker_snapshot(), ascii_only=ascii_only, colour=colour)


async def open_picker(
    app: PerftuiApp,
    pilot: Pilot[int],
    checks: MadeChecks | None = None,
    chosen: Chosen | None = None,
) -> ProcessPicker:
    """Show the newest snapshot and the picker over it."""
    await pilot.pause()
    snapshot = app.monitor.mailbox.latest()
    assert snapshot is not None
    app.show(snapshot)
    chosen = chosen or Chosen()
    screen = ProcessPicker(
        app.glyphs,
        app.settings.keys,
        chosen.profiled.append,
        chosen.feeds.append,
        checks or MadeChecks(),
    )
    await app.push_screen(screen)
    await settle(pilot)
    return screen


async def settle(pilot: Pilot[int]) -> None:
    """Wait until an attempt that a key began, and is not held back, has ended and is drawn."""
    await eventually(pilot, lambda: not _is_trying(pilot))


def _is_trying(pilot: Pilot[int]) -> bool:
    screen = pilot.app.screen
    if not isinstance(screen, ProcessPicker) or not isinstance(screen._checks, MadeChecks):
        return False
    return screen._checks.under_way and not screen._checks.held
