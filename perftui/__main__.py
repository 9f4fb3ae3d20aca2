"""`python -m perftui` and the console script."""

from __future__ import annotations

import sys

from perftui.interruption import ending_quietly

# Known to type checkers by its name; until the next call Ctrl-C prints a traceback.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; the arguments are those of the process."""

    def run() -> int:
        from perftui.cli import main as command_line

        return command_line(argv)

    return ending_quietly(run)


if __name__ == "__main__":
    sys.exit(main())
