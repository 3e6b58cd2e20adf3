"""python -m probe_scout, and the installed command.

Everyday lines are read without typer, whose import alone costs more than an answer from the cache.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> int:
    """The exit code of one command line. Never raises, never prints a traceback.

    Without `args` it serves the process itself and ends it here: everything is written by then, and
    giving back a hundred thousand objects one by one would cost a tenth of a scan.
    """
    if args is not None:
        from .frontends.cli import run

        return run.main(args)
    try:
        from .frontends.cli import run, streams

        streams.secure()
        code = run.main(sys.argv[1:])
    except KeyboardInterrupt:  # while modules were being imported
        code = 130
    try:
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass
    try:
        if any(kernel.wants_indexes() for kernel in run.opened):
            from .frontends.cli import afterwards

            afterwards.let_go()
            afterwards.keep_indexes(run.opened)
    except BaseException:  # the answer is out
        pass
    os._exit(code)


if __name__ == "__main__":
    main()
