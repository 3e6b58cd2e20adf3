"""The process that holds what is attached: it asks, writes the replies to a pipe, and ends.

Links, perf events and programs belong to its file descriptors alone, so whatever ends it detaches all: its own end,
^C, a time limit, and the end of its parent by any means (PR_SET_PDEATHSIG). It starts nothing and pins nothing.
"""

from __future__ import annotations

import os
import time

from .attempt import NOT_ASKED, Reply, ask, module_btfs
from .calls import KernelCalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .attempt import Question
    from .calls import Calls

LIMIT_S = 30.0  # one attempt; in emulation a trampoline takes 0.2 s
GONE_S = 5.0  # how long a killed child may take to end
_INTERRUPTS = (2,)  # SIGINT


def ask_all(questions: Sequence[Question], limit_s: float = LIMIT_S, calls: Calls | None = None) -> Iterator[Reply]:
    """The replies, in order. After a crash or a time limit the rest has stage NOT_ASKED.

    Closing the iterator, or an exception in its user, ends the child as well. Raises CannotAsk.
    """
    import signal

    if not questions:
        return
    calls = calls or KernelCalls()
    reader, writer = os.pipe()
    parent = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)  # ^C between fork and try would lose the child
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            _child(questions, writer, parent, calls)
        finally:
            os._exit(0)
    why, answered = "", 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        os.close(writer)
        for reply in _replies(reader, limit_s):
            if reply is None:
                why = f"no reply within {limit_s:g} seconds, so the attempt was ended"
                break
            answered += 1
            yield reply
    finally:
        os.close(reader)
        if answered < len(questions):
            os.kill(pid, signal.SIGKILL)
        has_ended = _wait(pid)
    if answered == len(questions):
        return
    why = why or "the process that asked ended without a reply"
    if not has_ended:
        why += "; it does not end, and the kernel may hold it"
    yield Reply("", NOT_ASKED, why)
    for _ in questions[answered + 1 :]:
        yield Reply("", NOT_ASKED, "an earlier attempt did not come back")


def _child(questions: Sequence[Question], writer: int, parent: int, calls: Calls) -> None:
    import json
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
    if isinstance(calls, KernelCalls):
        calls.die_with(parent)
        _unlock_memory()
    held: list[int] = []
    try:
        modules = module_btfs(calls, frozenset(q.module for q in questions if q.module is not None), held)
        for question in questions:
            reply = ask(calls, question, modules)
            os.write(writer, json.dumps(reply).encode() + b"\n")
    except Exception as error:  # nobody reads a traceback here
        reply = Reply("", NOT_ASKED, f"a defect of probe-scout: {type(error).__name__}: {error}")
        os.write(writer, json.dumps(reply).encode() + b"\n")
    finally:
        while held:
            calls.close(held.pop())


def _unlock_memory() -> None:
    """Until 5.11 programs count as locked memory (bpf_prog_charge_memlock), and the usual limit gives EPERM."""
    import resource

    for limit in (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]):
        try:
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            return
        except (OSError, ValueError):
            continue


def _replies(reader: int, limit_s: float) -> Iterator[Reply | None]:
    """Replies as they come; None when the next one takes too long; ends with the pipe."""
    import json
    import select

    rest = b""
    until = time.monotonic() + limit_s
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            yield None
            return
        block = os.read(reader, 1 << 16)
        if not block:
            return
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield Reply(*json.loads(line))
        until = time.monotonic() + limit_s


def _wait(pid: int) -> bool:
    """The child has ended, so that nothing of it is attached; False if it has not within GONE_S."""
    until = time.monotonic() + GONE_S
    pause_s = 0.001
    while True:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        if time.monotonic() > until:
            return False
        time.sleep(pause_s)
        pause_s = min(0.1, pause_s * 2)
