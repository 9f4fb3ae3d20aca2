"""Ten minutes of ordinary business of the demo raise no alert with the levels as they come."""

from __future__ import annotations

import os

import pytest
from demo_courses import run

LONG_STEADY = "PERFTUI_TEST_STEADY_SECONDS"
LONG_SECONDS = float(os.environ.get(LONG_STEADY, "0"))


@pytest.mark.skipif(not LONG_SECONDS, reason=f"takes ten minutes; set {LONG_STEADY}=600")
def test_steady_raises_none_for_long_with_the_levels_as_they_come() -> None:
    assert run(lambda course: course.rest(LONG_SECONDS), {}).steady == set()
