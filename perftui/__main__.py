"""`python -m perftui` and the console script."""

from __future__ import annotations

import sys

from perftui.cli import main

if __name__ == "__main__":
    sys.exit(main())
