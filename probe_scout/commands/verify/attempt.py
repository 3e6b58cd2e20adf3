"""One attempt: load, attach, detach; newest file descriptor first, whatever happens in between.

The ways are libbpf's (tools/lib/bpf/libbpf.c: attach_kprobe, attach_trace, attach_tp, attach_raw_tp, …). A program
that loaded can still be refused at attach, so both are always tried.
"""

from __future__ import annotations

import errno
import struct

from ...model.attach import ATTACH_TYPES, family
from ...named_tuple import NamedTuple
from . import attr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .calls import Buffer, Calls

LOAD, OPEN, ATTACH, LOOKUP = "load", "open", "attach", "lookup"
NOT_ASKED = "not asked"  # Reply.stage of a question that got no reply
# ENOTSUPP has no name in the C library (include/linux/errno.h); the others have two there, and the kernel uses these.
_NAMES = {524: "ENOTSUPP", 95: "EOPNOTSUPP", 11: "EAGAIN", 35: "EDEADLK"}
_TRIES = 5  # the verifier gives up with EAGAIN when a signal is pending
_NOISE = ("processed ", "verification time", "stack depth", "max_states_per_insn")
_MESSAGE_CHARACTERS = 400


class Question(NamedTuple):
    """One attempt, with everything looked up that the kernel wants as a number.

    `symbol` for kprobes, kprobe.multi and raw_tp; `btf_id` (of `module`, None for vmlinux) for typed programs, 0 for
    fentry.multi and its like where BTF lacks the function;
    `event_id` for tp; `pmu` is the number of perf's kprobe device, 0 if there is none.
    """

    target: str
    attach: str
    symbol: str = ""
    offset_bytes: int = 0
    btf_id: int = 0
    module: str | None = None
    event_id: int = 0
    pmu: int = 0


class Reply(NamedTuple):
    """What the kernel said. `errno` is "" for yes, else its name; `stage` where it refused, "" for yes."""

    errno: str = ""
    stage: str = ""
    message: str = ""


def errno_name(number: int) -> str:
    """EINVAL for 22, ENOTSUPP for 524, "errno 999" for what has no name."""
    return _NAMES.get(number) or errno.errorcode.get(number, f"errno {number}")


def ask(calls: Calls, question: Question, modules: Mapping[str, int]) -> Reply:
    """The kernel's reply to one question; nothing is attached afterwards. `modules`: file descriptors of BTF."""
    held: list[int] = []
    try:
        return _ask(calls, question, modules, held)
    finally:
        while held:
            calls.close(held.pop())


def _ask(calls: Calls, q: Question, modules: Mapping[str, int], held: list[int]) -> Reply:
    kind = ATTACH_TYPES[q.attach]
    attach = attr.ATTACH[kind.enumerator]
    btf_fd = 0
    if q.module is not None:
        if q.module not in modules:
            return Reply("ENOENT", LOOKUP, f"the kernel hands out no BTF of module {q.module}")
        btf_fd = modules[q.module]
    is_multi = kind.enumerator.startswith("BPF_TRACE_F") and kind.enumerator.endswith("_MULTI")
    log = calls.buffer(bytes(attr.LOG_BYTES))
    instructions, license_text = calls.buffer(attr.PROGRAM), calls.buffer(attr.LICENSE)
    program = -errno.EAGAIN
    for _ in range(_TRIES):
        load = attr.prog_load(
            attr.PROGRAMS[kind.program],
            attach,
            instructions_at=instructions.address,
            license_at=license_text.address,
            log_at=log.address,
            is_sleepable=q.attach.endswith(".s"),
            btf_id=0 if is_multi else q.btf_id,
            btf_fd=btf_fd,
        )
        program = calls.bpf(attr.PROG_LOAD, load)
        if program != -errno.EAGAIN:
            break
    if program < 0:
        return Reply(errno_name(-program), LOAD, _last_words(log))
    held.append(program)

    if kind.program == "KPROBE" and not kind.enumerator:
        return _perf_kprobe(calls, q, program, held)
    if kind.program == "TRACEPOINT":
        return _perf(calls, attr.perf_tracepoint(q.event_id), program, held)
    name = calls.buffer(q.symbol.encode() + b"\0")
    pointer = calls.buffer(struct.pack("=Q", name.address))
    ids = calls.buffer(struct.pack("=I", q.btf_id))
    if kind.program == "KPROBE":
        flags = attr.KPROBE_MULTI_RETURN if q.attach == "kretprobe.multi" else 0
        link = calls.bpf(attr.LINK_CREATE, attr.link_kprobe_multi(program, attach, flags, pointer.address))
    elif is_multi:
        if not q.btf_id:  # the load names no target, so that much could be asked
            return Reply("ESRCH", LOOKUP, f"BTF has no FUNC {q.symbol}, so a loader does not ask further")
        link = calls.bpf(attr.LINK_CREATE, attr.link_tracing_multi(program, attach, ids.address))
    elif kind.enumerator == "BPF_TRACE_ITER":
        link = calls.bpf(attr.LINK_CREATE, attr.link_iter(program))
    else:
        at = name.address if kind.program.startswith("RAW_TRACEPOINT") else 0
        link = calls.bpf(attr.RAW_TRACEPOINT_OPEN, attr.raw_tracepoint_open(program, at))
    if link < 0:
        return Reply(errno_name(-link), ATTACH)
    held.append(link)
    return Reply()


def _perf_kprobe(calls: Calls, q: Question, program: int, held: list[int]) -> Reply:
    if not q.pmu:
        return Reply("ENOENT", OPEN, "perf has no kprobe device")
    name = calls.buffer(q.symbol.encode() + b"\0")
    is_return = q.attach in family("perf", "return")
    return _perf(calls, attr.perf_kprobe(q.pmu, name.address, q.offset_bytes, is_return), program, held)


def _perf(calls: Calls, event: bytes, program: int, held: list[int]) -> Reply:
    fd = calls.perf_event_open(event)
    if fd < 0:
        return Reply(errno_name(-fd), OPEN)
    held.append(fd)
    done = calls.set_bpf(fd, program)
    return Reply() if done == 0 else Reply(errno_name(-done), ATTACH)


def _last_words(log: Buffer) -> str:
    """The verifier's lines without its statistics, the last ones if they are many."""
    text = log.bytes().partition(b"\0")[0].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(_NOISE)]
    return " | ".join(lines)[-_MESSAGE_CHARACTERS:]


def module_btfs(calls: Calls, wanted: frozenset[str], held: list[int]) -> dict[str, int]:
    """File descriptors of these modules' BTF; what the kernel does not hand out (CAP_SYS_ADMIN) is left out.

    Every descriptor that is kept is put into `held`.
    """
    found: dict[str, int] = {}
    at = 0
    while wanted - found.keys():
        attribute = attr.by_id(at)
        if calls.bpf(attr.BTF_GET_NEXT_ID, attribute) < 0:
            break
        following = struct.unpack_from("=I", attribute, 4)[0]
        if following <= at:
            break
        at = following
        fd = calls.bpf(attr.BTF_GET_FD_BY_ID, attr.by_id(at))
        if fd < 0:
            continue
        name = calls.buffer(bytes(64))
        info = calls.buffer(attr.btf_info(name.address, 64))
        told = calls.bpf(attr.OBJ_GET_INFO_BY_FD, attr.info_by_fd(fd, info.address))
        title = name.bytes().partition(b"\0")[0].decode("utf-8", "replace")
        is_kernels = told >= 0 and struct.unpack_from("=I", info.bytes(), 28)[0] != 0
        if is_kernels and title in wanted and title not in found:
            found[title] = fd
            held.append(fd)
        else:
            calls.close(fd)
    return found
