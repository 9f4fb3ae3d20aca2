"""Commands and web hooks that are told of alerts: real processes, a real server."""

from __future__ import annotations

import json
import os
import resource
import shlex
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from alerts_sample import BEGIN, alert, snapshot
from page_server import PageServer, answer, serving

from perftui.mailbox import Mailbox
from perftui.output.alert_changes import Change
from perftui.output.alert_command import AlertCommand, parse_command
from perftui.output.alert_delivery import MOST_WAITING, AlertDelivery
from perftui.output.alert_messages import DeliveryError, message_of
from perftui.output.alert_webhook import AlertWebhook
from perftui.snapshot import Severity, Snapshot

RECEIVER = """
import json, os, sys
told = {k: v for k, v in os.environ.items() if k.startswith("PERFTUI_ALERT_")}
with open(sys.argv[1], "a") as stream:
    stream.write(json.dumps({"body": json.load(sys.stdin), "told": told}) + "\\n")
"""
MESSAGE = message_of(Change(BEGIN, "firing", "ok", alert()))


class Wanted(NamedTuple):
    exec: str = ""
    webhook: str = ""
    command_timeout: float = 5.0
    min_interval: float = 0.0


def python(code: str, *words: str) -> str:
    return shlex.join([sys.executable, "-c", code, *words])


def run(code: str, timeout: float = 5.0, stop: threading.Event | None = None) -> None:
    AlertCommand(python(code), timeout).deliver(MESSAGE, stop or threading.Event())


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_command_gets_json_and_facts(tmp_path: Path) -> None:
    file = tmp_path / "told"
    delivery = AlertDelivery(Wanted(python(RECEIVER, str(file))))
    delivery.offer(snapshot(alert(severity=Severity.CRITICAL)))
    delivery.offer(snapshot(time=90))
    delivery.close(10.0)
    first, second = lines(file)
    assert (first["body"]["change"], first["body"]["previous"]) == ("firing", "ok")
    assert first["body"]["time"] == "2023-11-14T22:13:20.000Z"
    assert first["body"]["alert"]["subject"] == "host"
    assert first["body"]["alert"]["evidence"] == ["python (pid 7) 88 %"]
    assert first["body"]["states"]["alert.n"]["state"] == "ok"
    name = socket.gethostname()
    assert first["told"] == {
        "PERFTUI_ALERT_CHANGE": "firing", "PERFTUI_ALERT_PREVIOUS": "ok",
        "PERFTUI_ALERT_SEVERITY": "critical", "PERFTUI_ALERT_RULE": "R10",
        "PERFTUI_ALERT_TITLE": "CPU busy", "PERFTUI_ALERT_SUBJECT": "host",
        "PERFTUI_ALERT_MESSAGE": "CPU 91.5 %, above 80 %",
        "PERFTUI_ALERT_HINT": "8 Processes shows the busiest", "PERFTUI_ALERT_VALUE": "91.5",
        "PERFTUI_ALERT_THRESHOLD": "80.0", "PERFTUI_ALERT_UNIT": "percent",
        "PERFTUI_ALERT_SINCE": "2023-11-14T22:13:20.000Z", "PERFTUI_ALERT_FINGERPRINT": "f-host",
        "PERFTUI_ALERT_ORIGIN": "local", "PERFTUI_ALERT_HOST": name, "PERFTUI_ALERT_COUNT": "1",
        "PERFTUI_ALERT_TEXT": f"{name}: firing: CRIT host: CPU 91.5 %, above 80 %",
    }  # fmt: skip
    assert second["told"]["PERFTUI_ALERT_CHANGE"] == "ended"
    assert second["body"]["time"] == "2023-11-14T22:14:50.000Z"


def test_text_of_an_alert_is_never_a_command(tmp_path: Path) -> None:
    file = tmp_path / "told"
    evil = f"$(touch {tmp_path}/a); `touch {tmp_path}/b`\n;touch {tmp_path}/c\0 \udcff"
    delivery = AlertDelivery(Wanted(python(RECEIVER, str(file)) + " $HOME '; touch x'"))
    delivery.offer(snapshot(alert(evil, message=evil)))
    delivery.close(10.0)
    (found,) = lines(file)
    assert found["body"]["alert"]["message"].startswith("$(touch ")
    told = found["told"]["PERFTUI_ALERT_MESSAGE"]
    assert told.startswith("$(touch ")
    assert "\n" not in told
    assert [path.name for path in tmp_path.iterdir()] == ["told"]


@pytest.mark.parametrize("text", ["'open", "", "   ", "a\0b", "''"])
def test_a_command_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"command"):
        parse_command(text)


def test_a_failing_command_says_what_it_said_last() -> None:
    code = "import sys; sys.stderr.write('x' * 99999 + '\\nno route \\x1b[2J\\n'); sys.exit(4)"
    with pytest.raises(DeliveryError) as raised:
        run(code)
    assert str(raised.value).endswith("failed with exit code 4: no route \\x1b[2J")
    with pytest.raises(DeliveryError, match=r"failed with SIGKILL$"):
        run("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(DeliveryError, match=r"^/nowhere/x cannot be run: No such file"):
        AlertCommand("/nowhere/x --token secret", 1.0).deliver(MESSAGE, threading.Event())


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(DeliveryError) as raised:
        run("import sys; sys.exit('cannot reach https://bot:hunter2@chat.test/hook')")
    assert "https://***@chat.test/hook" in str(raised.value)


def test_a_command_that_reads_nothing_and_writes_much_ends_well() -> None:
    run("import sys; sys.stdin.close(); print('o' * 999999); sys.stderr.write('e' * 999999)")


def test_a_command_that_leaves_a_child_behind_has_ended(tmp_path: Path) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '3']).pid)"
    begin = time.monotonic()
    run(code)
    assert time.monotonic() - begin < 2.5


FAMILY = (
    "import os, signal, subprocess, sys, time; "
    "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "child = subprocess.Popen(['sleep', '60']); "
    "open({file!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} '); "
    "time.sleep(60)"
)


def test_a_late_command_is_killed_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with pytest.raises(DeliveryError, match=r"did not end within 1\.5 s$"):
        run(FAMILY.format(file=str(file)), 1.5)
    for pid in file.read_text().split():
        eventually(lambda pid=int(pid): gone(pid), 5)  # type: ignore[misc]


def test_close_kills_what_still_runs(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    told: list[str] = []
    delivery = AlertDelivery(
        Wanted(python(FAMILY.format(file=str(file))), command_timeout=60.0), told.append
    )
    delivery.offer(snapshot(alert()))
    eventually(lambda: file.exists() and len(file.read_text().split()) == 2)
    begin = time.monotonic()
    delivery.close(0.0)
    assert time.monotonic() - begin < 5
    for pid in file.read_text().split():
        eventually(lambda pid=int(pid): gone(pid), 5)  # type: ignore[misc]
    assert "was stopped before it had ended" in told[0]
    delivery.offer(snapshot(alert("later")))
    delivery.close()


def test_a_slow_command_never_holds_up_who_offers(tmp_path: Path) -> None:
    told: list[str] = []
    delivery = AlertDelivery(Wanted("sleep 60", command_timeout=60.0), told.append)
    begin = time.monotonic()
    for n in range(MOST_WAITING + 30):
        delivery.offer(snapshot(alert(str(n))))
    assert time.monotonic() - begin < 2
    delivery.close(0.0)
    assert any(f"{MOST_WAITING} messages were not delivered" in line for line in told)


def test_a_failure_is_logged_once_until_something_succeeds(tmp_path: Path) -> None:
    switch = tmp_path / "works"
    code = "import os, sys; sys.exit(0 if os.path.exists(sys.argv[1]) else 'broken')"
    told: list[str] = []
    delivery = AlertDelivery(Wanted(python(code, str(switch))), told.append)
    delivery.offer(snapshot(alert("a"), alert("b"), alert("c")))
    sender = delivery._senders[0]
    eventually(lambda: sender.done == 3)
    assert [line.partition(" failed ")[2] for line in told] == ["with exit code 1: broken"]
    switch.touch()
    delivery.offer(snapshot(alert("a"), alert("b")))
    eventually(lambda: sender.done == 4)
    switch.unlink()
    delivery.offer(snapshot(alert("a")))
    delivery.close(10.0)
    assert len(told) == 2


def test_flapping_and_floods_come_as_one_summary(tmp_path: Path) -> None:
    file = tmp_path / "told"
    now = [0.0]
    delivery = AlertDelivery(
        Wanted(python(RECEIVER, str(file)), min_interval=30.0), clock=lambda: now[0]
    )
    for second in range(10):
        now[0] = float(second)
        delivery.offer(snapshot(*([alert()] if second % 2 == 0 else []), time=second))
    flood = [alert(f"s{n}", severity=Severity.CRITICAL) for n in range(150)]
    now[0] = 31.0
    delivery.offer(snapshot(*flood, time=31))
    delivery.close(10.0)
    first, summary = lines(file)
    assert first["told"]["PERFTUI_ALERT_SUBJECT"] == "host"
    body = summary["body"]
    assert (body["change"], len(body["changes"]), body["left_out"]) == ("summary", 100, 51)
    assert (body["changes"][0]["change"], body["changes"][0]["times"]) == ("ended", 9)
    assert summary["told"]["PERFTUI_ALERT_COUNT"] == "151"
    assert summary["told"]["PERFTUI_ALERT_SEVERITY"] == "critical"
    assert body["text"].endswith(": 151 alerts changed: 150 firing (150 critical), 1 ended")


def test_what_is_held_back_is_told_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "told"
    delivery = AlertDelivery(Wanted(python(RECEIVER, str(file)), min_interval=3600.0))
    delivery.offer(snapshot(alert()))
    delivery.offer(snapshot())
    delivery.close(10.0)
    assert [found["body"]["change"] for found in lines(file)] == ["firing", "ended"]


def test_snapshots_of_a_mailbox_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "told"
    mailbox: Mailbox[Snapshot] = Mailbox()
    delivery = AlertDelivery(Wanted(python(RECEIVER, str(file))))
    delivery.watch(mailbox)
    mailbox.put(snapshot(alert(), time=1))
    eventually(lambda: len(lines(file)) == 1)
    mailbox.put(snapshot(time=2))
    eventually(lambda: len(lines(file)) == 2)
    delivery.close()


def test_nobody_to_tell_is_no_work() -> None:
    before = threading.active_count()
    delivery = AlertDelivery(Wanted())
    assert not delivery
    delivery.offer(snapshot(alert()))
    delivery.watch(Mailbox())
    assert threading.active_count() <= before
    delivery.close()


def hook(server: PageServer, path: str = "/services/T0/SECRET?key=HIDDEN") -> str:
    return f"http://bot:PASSWORD@127.0.0.1:{server.port}{path}"


def deliver(url: str, pauses: tuple[float, ...] = (), timeout: float = 5.0) -> None:
    webhook = AlertWebhook(url, timeout, pauses)
    try:
        webhook.deliver(MESSAGE, threading.Event())
    finally:
        webhook.interrupt()


def test_a_web_hook_gets_the_json() -> None:
    with serving(answer(b"", status="204 No Content")) as server:
        deliver(hook(server))
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /services/T0/SECRET?key=HIDDEN HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert json.loads(body)["alert"]["rule"] == "R10"
    assert json.loads(body)["text"].endswith("firing: WARN host: CPU 91.5 %, above 80 %")


def answers(*replies: bytes) -> Callable[[socket.socket, bytes], None]:
    left = list(replies)

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(left.pop(0))

    return handle


BUSY = answer(b"", status="503 Service Unavailable")


def test_a_bad_moment_passes() -> None:
    with serving(answers(BUSY, answer(b"", status="429 Too Many"), answer(b"ok"))) as server:
        deliver(hook(server), (0.0, 0.0, 0.0))
    assert len(server.requests) == 3


def test_attempts_are_bounded() -> None:
    with serving(answers(BUSY, BUSY, BUSY)) as server:
        with pytest.raises(DeliveryError) as raised:
            deliver(hook(server), (0.0, 0.0))
        assert len(server.requests) == 3
    where = f"http://127.0.0.1:{server.port}"
    assert str(raised.value) == f"{where} answered with status 503, 3 times"


def test_a_refusal_is_not_tried_again() -> None:
    with serving(answer(b"", status="404 Not Found")) as server:
        with pytest.raises(DeliveryError, match=r"answered with status 404$"):
            deliver(hook(server), (0.0, 0.0))
        assert len(server.requests) == 1


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize("trouble", ["refused", "hangs", "redirects", "garbage", "status"])
def test_no_secret_of_the_url_is_ever_told(trouble: str) -> None:
    replies = {
        "hangs": lambda connection, _: time.sleep(0.6),
        "redirects": answer(
            b"", status="302 Found",
            extra="Location: http://elsewhere.test/services/T0/SECRET?key=HIDDEN\r\n",
        ),
        "garbage": b"SSH-2.0-x\r\n\r\n",
        "status": answer(b"", status="401 Unauthorized"),
        "refused": b"",
    }  # fmt: skip
    with serving(replies[trouble]) as server:  # type: ignore[arg-type]
        url = hook(server)
        if trouble == "refused":
            url = url.replace(str(server.port), str(refused_port()))
        with pytest.raises(DeliveryError) as raised:
            deliver(url, timeout=0.3)
    text = str(raised.value)
    assert "127.0.0.1" in text
    for secret in ("SECRET", "HIDDEN", "PASSWORD", "bot"):
        assert secret not in text


def test_close_ends_a_request() -> None:
    asked = threading.Event()

    def hang(connection: socket.socket, _: bytes) -> None:
        asked.set()
        time.sleep(5)

    told: list[str] = []
    with serving(hang) as server:
        delivery = AlertDelivery(Wanted(webhook=hook(server), command_timeout=60.0), told.append)
        delivery.offer(snapshot(alert()))
        assert asked.wait(5)
        begin = time.monotonic()
        delivery.close(0.0)
        assert time.monotonic() - begin < 2
    assert len(told) == 1
    assert told[0].endswith(" had not answered before the end")


def test_close_ends_the_pause_before_the_next_attempt() -> None:
    told: list[str] = []
    with serving(BUSY) as server:
        delivery = AlertDelivery(Wanted(webhook=hook(server)), told.append)
        delivery.offer(snapshot(alert()))
        eventually(lambda: len(server.requests) == 1)
        delivery.close(0.2)
    assert told[0].endswith("answered with status 503, and there was no time to try again")


def test_a_hanging_web_hook_does_not_keep_the_command_waiting(tmp_path: Path) -> None:
    file = tmp_path / "told"
    with serving(lambda connection, _: time.sleep(5)) as server:
        wanted = Wanted(python(RECEIVER, str(file)), hook(server), command_timeout=60.0)
        delivery = AlertDelivery(wanted, log=lambda _: None)
        delivery.offer(snapshot(alert()))
        eventually(lambda: len(lines(file)) == 1)
        delivery.close(0.0)


def test_facts_are_no_settings_of_a_perftui_that_is_the_command() -> None:
    from perftui.config import load_settings

    load_settings(environ=dict(os.environ) | MESSAGE.variables | {"PERFTUI_CONFIG": os.devnull})


def test_a_signal_without_a_name_is_told() -> None:
    with pytest.raises(DeliveryError, match=r"failed with signal 40$"):
        run("import os; os.kill(os.getpid(), 40)")


def test_a_child_that_goes_on_writing_does_not_make_the_command_late(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    talker = "import sys\nwhile True: sys.stderr.write('x' * 1000)"
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {talker!r}]); "
        f"open({str(file)!r}, 'w').write(str(child.pid))"
    )
    # It has ended well, long before its time is over.
    run(code, 30.0)
    # The reader is gone, which ends the child too.
    eventually(lambda: gone(int(file.read_text())))


def test_a_password_is_not_told_by_halves() -> None:
    code = "import sys; sys.stderr.write('a ://bot:' + 'hunter2' * 700 + '@chat.test'); sys.exit(1)"
    with pytest.raises(DeliveryError) as raised:
        run(code)
    assert "hunter2" not in str(raised.value)
    assert len(str(raised.value)) < 500


def test_no_room_for_the_message_is_a_failure_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(DeliveryError, match=r"no place for a temporary file: No such file"):
            run("")
    full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda buffering: full)
    with pytest.raises(DeliveryError, match=r"cannot be written: No space left on device"):
        run("")
    assert full.closed


def test_many_open_files_do_not_matter(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip("fewer than 1,200 files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        with pytest.raises(DeliveryError, match=r"exit code 3: here$"):
            run("import sys; sys.stderr.write('here'); sys.exit(3)")
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_defect_does_not_end_the_telling(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    tried: list[Any] = []

    def fail(self: AlertCommand, message: Any, stop: threading.Event) -> None:
        tried.append(message)
        raise RuntimeError("surprise")

    monkeypatch.setattr(AlertCommand, "deliver", fail)
    delivery = AlertDelivery(Wanted("true"), told.append)
    delivery.offer(snapshot(alert()))
    eventually(lambda: len(tried) == 1)
    delivery.offer(snapshot(alert(severity=Severity.CRITICAL)))
    delivery.close()
    assert len(tried) == 2
    assert told == ["alerts.exec: this is a defect of perftui: RuntimeError: surprise"]


def test_a_short_path_leaves_the_words_of_a_reason_as_they_are() -> None:
    with pytest.raises(DeliveryError) as raised:
        deliver(f"http://127.0.0.1:{refused_port()}/e")
    assert "***" not in str(raised.value)
    assert "refused" in str(raised.value)
