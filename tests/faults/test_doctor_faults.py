"""`perftui doctor` for root and for others, with and without Redis."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest
from redis_fixture import RedisProcess

PERFTUI = (sys.executable, "-m", "perftui")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all")


def doctor(
    *arguments: str, as_user: tuple[str, ...] = (), env: Mapping[str, str] | None = None
) -> tuple[int, dict[str, tuple[str, str, str]]]:
    """Return exit code and the findings by subject: verdict, what, fix."""
    run = subprocess.run(
        [*as_user, *PERFTUI, "doctor", "--json", *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert run.stderr == b""
    found = json.loads(run.stdout)
    lines = found["findings"]
    assert found["problems"] == sum(line["verdict"] == "problem" for line in lines)
    assert all(line["fix"] for line in lines if line["verdict"] == "problem")
    return run.returncode, {
        line["subject"]: (line["verdict"], line["what"], line["fix"]) for line in lines
    }


def test_without_redis() -> None:
    code, found = doctor()
    assert code == 0
    assert found["redis"][0] == "note"
    assert "REDIS_URL" in found["redis"][2]
    assert found["profiler"][0] == "ok"
    assert found["terminal"][0] == "note"


def test_with_redis(redis_server: RedisProcess) -> None:
    code, found = doctor("--redis", redis_server.url)
    assert code == 0
    assert found["redis"][0] == found["redis version"][0] == found["redis rights"][0] == "ok"


def test_with_a_redis_that_is_away(redis_server: RedisProcess) -> None:
    redis_server.kill()
    code, found = doctor("--redis", redis_server.url)
    assert code == 1
    assert found["redis"][0] == "problem"
    assert "refused the connection" in found["redis"][1]


def test_with_a_frozen_redis(redis_server: RedisProcess) -> None:
    redis_server.freeze()
    code, found = doctor("--redis", redis_server.url)
    assert code == 1
    assert "did not answer within 2 s" in found["redis"][1]


def test_with_a_wrong_password(start_redis: Callable[..., RedisProcess]) -> None:
    server = start_redis(requirepass="s3cret-right")
    code, found = doctor(env={"REDIS_URL": server.url.replace("://", "://:s3cret-typed@")})
    assert code == 1
    assert found["redis"][1].startswith("denied: ")
    assert "s3cret" not in str(found)


def test_with_missing_rights(redis_server: RedisProcess) -> None:
    redis_server.client.execute_command(
        "ACL", "SETUSER", "seer", "on", ">pw", "~*", "+@all", "-info", "-zrange"
    )
    code, found = doctor(env={"REDIS_URL": redis_server.url.replace("://", "://seer:pw@")})
    assert code == 1
    verdict, what, fix = found["redis rights"]
    assert verdict == "problem"
    assert "INFO" in what
    assert "ZRANGE" in what
    # The fix is a command that can be pasted: with it there is no problem left.
    words = fix.replace("'", "").split()
    redis_server.client.execute_command(*words[words.index("ACL") :])
    assert doctor(env={"REDIS_URL": redis_server.url.replace("://", "://seer:pw@")})[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_as_somebody_else() -> None:
    home = {"XDG_CONFIG_HOME": "/nonexistent", "HOME": "/nonexistent"}
    tried = subprocess.run([*NOBODY, *PERFTUI, "--version"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip("another user cannot run this interpreter or read this package")
    code, found = doctor("--pid", str(os.getpid()), as_user=NOBODY, env=home)
    assert code == 1
    verdict, what, fix = found["profiling"]
    assert verdict == "problem"
    assert what.startswith("denied: ")
    assert "sudo setcap cap_sys_ptrace=ep" in fix


def test_for_a_process_of_ones_own() -> None:
    code, found = doctor("--pid", str(os.getpid()))
    if found["profiling"][0] == "problem":
        assert "not permitted" in found["profiling"][1]
    else:
        assert code == 0
        assert "may be read" in found["profiling"][1]
