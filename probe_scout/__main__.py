"""python -m probe_scout, and the installed command.

Everyday lines are read without typer, whose import alone costs more than an answer from the cache.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """The exit code of one command line. Never raises, never prints a traceback."""
    from .cli import run

    return run.main(sys.argv[1:] if args is None else args)


if __name__ == "__main__":
    sys.exit(main())
