"""What an installed bpftool prints now. It is a program of others: it may hang, fail, or print anything at any length.

Nothing of it is believed here; scanners/bpftool.py reads the text.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

LIMIT_S = 20.0
BYTES_MAX = 64 << 20
_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")


class Said:
    """One run: `out` is what it printed; `why` tells why that cannot be used, or is "" where it can."""

    __slots__ = ("out", "why")

    def __init__(self, out: bytes, why: str = "") -> None:
        self.out, self.why = out, why


def find() -> str | None:
    """The program: on the caller's path, or where distributions put it, which users' paths often lack."""
    import shutil

    return shutil.which("bpftool") or shutil.which("bpftool", path=os.pathsep.join(_FOLDERS))


def ask(program: str, what: str, limit_s: float = LIMIT_S) -> Said:
    """`bpftool -j WHAT show`. A run that takes too long or prints too much is ended, with all that it started."""
    import subprocess

    try:
        process = subprocess.Popen(
            [program, "-j", what, "show"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return Said(b"", f"{program}: {error.strerror or error}")
    out, words, why = _collect(process, limit_s)
    if why:
        return Said(b"", f"bpftool {what} show: {why}")
    if not out.strip():
        first = next(iter(words.decode("utf-8", "replace").split("\n")), "").strip()
        return Said(b"", f"bpftool {what} show: nothing was printed" + (f": {first[:200]}" if first else ""))
    return Said(out)


def _collect(process: subprocess.Popen[bytes], limit_s: float) -> tuple[bytes, bytes, str]:
    """stdout, stderr, and what was wrong. The process is gone afterwards, or is left to the kernel that holds it."""
    import selectors
    import time

    out, words = process.stdout, process.stderr
    if out is None or words is None:
        return b"", b"", "no output"
    found = {out: bytearray(), words: bytearray()}
    until = time.monotonic() + limit_s
    why = ""
    with selectors.DefaultSelector() as waiting:
        for stream in found:
            waiting.register(stream, selectors.EVENT_READ)
        while waiting.get_map() and not why:
            left = until - time.monotonic()
            ready = waiting.select(left) if left > 0 else []
            if not ready:
                why = f"no answer in {limit_s:g} s"
            for key, _ in ready:
                block = os.read(key.fd, 1 << 16)
                if not block:
                    waiting.unregister(key.fileobj)
                found[out if key.fileobj is out else words] += block
            if sum(map(len, found.values())) > BYTES_MAX:
                why = f"more than {BYTES_MAX >> 20} MB were printed"
    _end(process, max(0.0, until - time.monotonic()) if not why else 0.0)
    for stream in found:
        stream.close()
    return bytes(found[out]), bytes(found[words]), why


def _end(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for its end, else end it and what it started. What the kernel does not let go of is left."""
    import signal
    import subprocess

    try:
        process.wait(patience_s)
        return
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except OSError:
        pass
    try:
        process.wait(1.0)
    except subprocess.TimeoutExpired:
        pass
