"""`snapshot`: an archive of the kernel, or the script that takes one on another host."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ...errors import UsageError
from . import output, streams
from .output import YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel


def run(request: Request, open_kernel: Callable[[], OpenKernel]) -> int:
    """The archive to a file or, with -o -, to standard output, and then nothing else is written there."""
    is_stream = request.out == "-"
    if request.script:
        return _collector(request)
    if is_stream and request.format != "table":
        raise UsageError(f"-o - writes the archive to standard output: --format {request.format} is not possible there")
    if is_stream and sys.stdout.isatty():
        raise UsageError("-o - writes a packed archive to standard output, which is a terminal: redirect it")
    result = open_kernel().snapshot(
        request.out,
        request.keep_addresses,
        request.with_code,
        force=request.force,
        stream=streams.Binary() if is_stream else None,
        progress=output.progress("writing the snapshot"),
        part=request.part,
        user_files=request.user_files,
    )
    if is_stream:
        for path, why in result.left_out:
            output.note(f"left out: {path}: {why}")
    elif request.format == "json":
        from ..render import json

        streams.write([json.document("snapshot", result)])
    else:
        from ..render.listing import snapshot_lines

        streams.write(snapshot_lines(result, output.style(request)))
    return YES


def _collector(request: Request) -> int:
    from ...commands import snapshot
    from .matrix import to_file

    if request.root or request.part:
        raise UsageError(
            "--script writes a script whose arguments on the host say what to take; --root and --part are not its"
        )
    text = snapshot.script().decode()
    if request.out == "-":
        streams.put(text)
    elif not request.force and os.path.lexists(request.out):
        raise UsageError(f"{request.out}: is there already; --force overwrites it")
    else:
        to_file(request.out, text)
    return YES
