"""What the monitor knows of the demo: start it, choose a scenario, see its parts, stop it.

Nothing here waits for the demo; its processes belong to the supervisor (supervisor.py), which ends
them all when this process is gone.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import msgspec

from perftui.demo.messages import Command, PartState, PartStatus, decode_status, encode_line
from perftui.demo.part_names import PARTS
from perftui.demo.private_directory import (
    SOCKET,
    choose_directory,
    make_directory,
    remove_directory,
)
from perftui.demo.scenarios import SCENARIOS, WORKERS, scenario_after, scenario_named

STOP_SECONDS = 0.8
KILL_SECONDS = 0.3
CLEARLY_BUSIER = 15.0
"""Percent of a core by which a worker must lead to take the profiler from another one."""


class DemoStage:
    """The demo as one object; all methods may be called from any thread.

    It can be started again after `stop`. Raises ValueError for a scenario that does not exist.
    """

    def __init__(self, scenario: str = SCENARIOS[0].name) -> None:
        self._scenario = scenario_named(scenario).name
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._lease = -1
        self._profiled = ""
        self._statuses: Mapping[str, PartStatus] = _all_parts(PartState.WAITING)
        self._directory: Path | None
        try:
            self._directory = choose_directory()
        except OSError as error:
            self._directory = None
            self._no_place = str(error)

    def __enter__(self) -> DemoStage:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def redis_url(self) -> str:
        """URL of the demo's Redis, known before it runs; empty when there is no place for it."""
        return f"unix://{quote(str(self._directory / SOCKET))}" if self._directory else ""

    @property
    def directory(self) -> Path | None:
        """The demo's directory, which exists while the demo runs; logs of the parts are in it."""
        return self._directory

    @property
    def scenario(self) -> str:
        """Name of the scenario that was asked for last."""
        return self._scenario

    @property
    def running(self) -> bool:
        """Whether the supervisor is alive."""
        process = self._process
        return process is not None and process.poll() is None

    def start(self) -> None:
        """Start the demo and return at once; the parts report in `status` one after the other.

        What cannot be started is a failed part with reason and fix, never an exception.
        """
        with self._lock:
            if self._process is not None:
                return
            if self._directory is None:
                self._fail_all(self._no_place, "TMPDIR=/tmp perftui demo")
                return
            self._statuses = _all_parts(PartState.WAITING)
            try:
                self._lease = make_directory(self._directory)
                self._process = self._start_supervisor(self._directory)
            except OSError as error:
                self._release_directory()
                where = error.filename or self._directory
                self._fail_all(
                    f"the demo could not be started: {where}: {error.strerror}",
                    "TMPDIR=DIRECTORY perftui demo",
                )
                return
            self._reader = threading.Thread(
                target=self._read, args=(self._process,), name="demo-status", daemon=True
            )
            self._reader.start()

    def status(self) -> tuple[PartStatus, ...]:
        """Return how far each part is, in the order in which they start."""
        statuses = self._statuses
        return tuple(statuses[part] for part in PARTS)

    def first_worker_pid(self) -> int | None:
        """Return the pid of the busiest worker, None while there is none.

        The answer changes only for a worker that is clearly busier, so that a profile does not
        start anew each time two workers change places.
        """
        ready = {
            status.part: status
            for status in self.status()
            if status.part in WORKERS and status.state is PartState.READY
        }
        if not ready:
            return None
        busiest = max(ready.values(), key=lambda status: status.cpu_percent or 0.0)
        chosen = ready.get(self._profiled, busiest)
        if (busiest.cpu_percent or 0.0) > (chosen.cpu_percent or 0.0) + CLEARLY_BUSIER:
            chosen = busiest
        self._profiled = chosen.part
        return chosen.pid

    def set_scenario(self, name: str) -> None:
        """Ask for a scenario, also before the start; raises ValueError for an unknown name."""
        with self._lock:
            self._scenario = scenario_named(name).name
            process = self._process
            if process is None or process.stdin is None:
                return
            try:
                os.write(process.stdin.fileno(), encode_line(Command(self._scenario)))
            except (BlockingIOError, BrokenPipeError):
                # A supervisor that hangs or died; the reader's end tells the latter.
                return

    def next_scenario(self) -> str:
        """Ask for the scenario after the present one and return its name."""
        name = scenario_after(self._scenario).name
        self.set_scenario(name)
        return name

    def stop(self) -> None:
        """End all processes and remove the directory, within 1.5 s; a second call does nothing."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                # A process that is stuck in the kernel cannot be helped.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(KILL_SECONDS)
            self._release_directory()
            self._statuses = _all_parts(PartState.STOPPED, "the demo was stopped")

    def _start_supervisor(self, directory: Path) -> subprocess.Popen[bytes]:
        arguments = [
            sys.executable,
            "-P",
            "-m",
            "perftui.demo.supervisor",
            str(directory),
            f"--scenario={self._scenario}",
            f"--tracer={os.getpid()}",
        ]
        with (directory / "supervisor.log").open("ab") as log:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env=_environment(),
                # The lock lasts as long as any of both processes.
                pass_fds=(self._lease,),
                # Ctrl-C in the terminal is for the monitor, which then stops the demo.
                start_new_session=True,
            )
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if self._process is not process:
                    return
                try:
                    status = decode_status(line)
                except msgspec.DecodeError:
                    continue
                self._statuses = {**self._statuses, status.part: status}
        with self._lock:
            if self._process is not process:
                return
            # Nobody asked it to end.
            code = process.wait()
            self._release_directory()
            self._process = None
            ending = f"by signal {-code}" if code < 0 else f"with status {code}"
            self._fail_all(f"the demo's supervisor ended {ending}", "perftui demo")

    def _release_directory(self) -> None:
        if self._directory is not None:
            remove_directory(self._directory)
        if self._lease >= 0:
            os.close(self._lease)
            self._lease = -1

    def _fail_all(self, reason: str, fix: str) -> None:
        self._statuses = _all_parts(PartState.FAILED, reason, fix)


def _all_parts(state: PartState, reason: str = "", fix: str = "") -> Mapping[str, PartStatus]:
    return {part: PartStatus(part, state, reason=reason, fix=fix) for part in PARTS}


def _environment() -> dict[str, str]:
    """Return the environment in which `python -P -m` finds this very package."""
    import perftui

    root = str(Path(perftui.__path__[0]).parent)
    environment = dict(os.environ)
    # A package that is installed is found anyway, and site-packages on PYTHONPATH would come
    # before the standard library.
    if os.path.basename(root) not in ("site-packages", "dist-packages"):
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = root + (os.pathsep + known if known else "")
    return environment
