"""Targets: what a user names on the command line, in the words of the tool he comes from.

`vfs_read`, `xfs:xfs_file_open` (module:function), `vfs_read+0x10`, `tp:sched:sched_switch`, `syscall:execve`; libbpf's
sections (`fentry/vfs_read`, `lsm/file_open`, `iter.s/task`: tools/lib/bpf/libbpf.c, section_defs), bpftrace's probes
(`kprobe:vfs_read`, `t:sched:sched_switch`, `fentry:vmlinux:vfs_read`, `rawtracepoint:sched_switch`: bpftrace's
src/types.cpp, PROBE_LIST), and the letters of tracefs' kprobe_events (`p:`, `r:`). This is the only reader of them;
what needs a kernel to be told (`sched:sched_switch`) is settled in targets.py.
"""

from __future__ import annotations

from ..errors import UsageError
from ..named_tuple import NamedTuple
from .attach import BY_FPROBE, BY_TRAMPOLINE, BY_TRAMPOLINES, KPROBES

FUNCTION, OFFSET, TRACEPOINT, SYSCALL = "function", "offset", "tracepoint", "syscall"
USER_WORDS = ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session", "usdt", "u", "ur")
NAME_MAX_BYTES = 511  # KSYM_NAME_LEN is 512 with the final NUL (include/linux/kallsyms.h)
LSM_HEAD, ITER_HEAD = "bpf_lsm_", "bpf_iter_"

# Words before a name, and the attach type they ask for; "" leaves it open.
FUNCTION_WORDS = {
    **{word: word for word in (*(*KPROBES, *BY_FPROBE, *BY_TRAMPOLINE, *BY_TRAMPOLINES),)},
    "k": "kprobe",
    "p": "kprobe",
    "kr": "kretprobe",
    "r": "kretprobe",
    "kfunc": "fentry",
    "f": "fentry",
    "kretfunc": "fexit",
    "fr": "fexit",
}
LSM_WORDS = {"lsm": "lsm", "lsm.s": "lsm.s", "lsm_cgroup": "lsm_cgroup"}
ITER_WORDS = {"iter": "iter", "iter.s": "iter.s", "it": "iter"}
EVENT_WORDS = {
    "raw_tp.w": "raw_tp.w",
    "raw_tracepoint.w": "raw_tp.w",
    "tp": "",
    "tracepoint": "",
    "t": "",
    "tp.s": "tp.s",
    "tracepoint.s": "tp.s",
    "raw_tp": "raw_tp",
    "raw_tracepoint": "raw_tp",
    "rawtracepoint": "raw_tp",
    "rt": "raw_tp",
    "raw_tp.s": "raw_tp.s",
    "raw_tracepoint.s": "raw_tp.s",
    "tp_btf": "tp_btf",
    "tp_btf.s": "tp_btf.s",
}
SYSCALL_WORDS = {"syscall": "", "ksyscall": "ksyscall", "kretsyscall": "kretsyscall"}
WORDS = {**FUNCTION_WORDS, **LSM_WORDS, **ITER_WORDS, **EVENT_WORDS, **SYSCALL_WORDS}
# Sections of libbpf and probes of bpftrace that attach to something else than these.
_OTHER_SECTIONS = frozenset(
    (
        *(
            "xdp",
            "xdp.frags",
            "tc",
            "tcx",
            "netkit",
            "classifier",
            "action",
            "cgroup",
            "cgroup_skb",
            "socket",
            "sockops",
        ),
        *("sk_skb", "sk_msg", "sk_lookup", "sk_reuseport", "flow_dissector", "lwt_in", "lwt_out", "lwt_xmit"),
        *("lwt_seg6local", "struct_ops", "struct_ops.s", "perf_event", "netfilter", "lirc_mode2", "freplace"),
    )
)
_OTHER_PROBES = frozenset(("profile", "interval", "software", "hardware", "watchpoint", "asyncwatchpoint"))
_FORMS = "give vfs_read, MODULE:FUNCTION, FUNCTION+OFFSET, tp:CATEGORY:EVENT or syscall:NAME"
GLOB_SIGNS = frozenset("*?[")


class Target(NamedTuple):
    """`module` is None for an unqualified name and "vmlinux" when the user asked for that copy.

    For tracepoints `module` holds the category (`sched`), None when only the name was given.
    """

    kind: str
    name: str
    module: str | None = None
    offset_bytes: int = 0

    def __str__(self) -> str:
        if self.kind == TRACEPOINT:
            return f"tp:{self.module}:{self.name}" if self.module else f"tp:{self.name}"
        if self.kind == SYSCALL:
            return f"syscall:{self.name}"
        text = f"{self.module}:{self.name}" if self.module else self.name
        return f"{text}+{self.offset_bytes:#x}" if self.kind == OFFSET else text

    @property
    def is_glob(self) -> bool:
        """The name, or its module, is a pattern."""
        return not GLOB_SIGNS.isdisjoint(self.name) or not GLOB_SIGNS.isdisjoint(self.module or "")


class Asked(NamedTuple):
    """A target as it was written: `attach` is the attach type that its spelling asks for, "" if none.

    `word` is what stood before the name (`kprobe`, `tracepoint`), "" for a bare one.
    """

    target: Target
    attach: str = ""
    word: str = ""


def parse(text: str) -> Target:
    """A target from its written form. Raises UsageError with the forms that exist."""
    return read(text).target


def read(text: str) -> Asked:
    """A target and what its spelling asks for. Raises UsageError with the forms that exist."""
    text = bare_section(text)
    if not text or len(text) > 2 * NAME_MAX_BYTES or not text.isprintable() or text != text.strip() or " " in text:
        raise UsageError(f"{text[:40]!r} is not a name: {_FORMS}")
    word, rest = split(text)
    attach = WORDS.get(word, "")
    if word in EVENT_WORDS:
        category, colon, name = rest.replace("/", ":").partition(":")
        target = Target(TRACEPOINT, name, category) if colon else Target(TRACEPOINT, category)
    elif word in SYSCALL_WORDS:
        target = Target(SYSCALL, rest)
    elif word in LSM_WORDS:
        target = Target(FUNCTION, headed(rest.rpartition(":")[2], LSM_HEAD))
    elif word in ITER_WORDS:  # bpftrace's iter:TARGET:PIN names a file too
        target = Target(FUNCTION, headed(rest.partition(":")[0], ITER_HEAD))
    else:
        target = _function(text, rest if word else text)
    if not target.name or (target.module == "") or len(target.name) > NAME_MAX_BYTES:
        raise UsageError(f"{text[:60]!r}: the name is empty or longer than the kernel's {NAME_MAX_BYTES} bytes")
    return Asked(target, attach, word)


def bare_section(text: str) -> str:
    """What stands in libbpf's SEC("..."); any other text as it is."""
    return text[4:].rstrip(")").strip("\"'") if text.startswith("SEC(") else text


def split(text: str) -> tuple[str, str]:
    """The word before a name and the rest; ("", text) where none stands there.

    Raises UsageError for words that lead to something that is not judged here.
    """
    head, _, rest = text.partition(":")
    word, slash, tail = head.partition("/")
    if (rest and word in ("", ".", "..") and slash) or (word in USER_WORDS and (rest or slash)):
        raise UsageError(
            f"{text[:60]!r} is in a program or library, which check, scan and audit accept; "
            "kernel functions, tracepoints and system calls are judged"
        )
    if (slash and word in _OTHER_SECTIONS) or (rest and not slash and head in _OTHER_PROBES):
        raise UsageError(
            f"{text[:60]!r} is a program that attaches to no function, tracepoint or system call: {word} is not judged"
        )
    if slash and word in WORDS:
        return word, text[len(word) + 1 :] if tail else ""
    if rest and head in WORDS:
        return head, rest
    return "", text


def headed(name: str, head: str) -> str:
    """The function of a hook or an iterator: file_open is bpf_lsm_file_open."""
    return name if not name or name.startswith(head) else head + name


def _function(text: str, rest: str) -> Target:
    """MODULE:FUNCTION, FUNCTION+OFFSET or both, without a word before them."""
    module: str | None
    module, colon, name = rest.partition(":")
    if not colon:
        module, name = None, rest
    elif not name.strip(":"):
        if not text.startswith(("kprobe/", "kretprobe/")):
            raise UsageError(f"{text[:60]!r} names a module without a function: perf gives ENOENT; {_FORMS}")
        # libbpf's attach_kprobe reads up to the first sign that is in no name
        module, name = None, rest.rstrip(":")
    name, plus, offset = name.partition("+")
    if not plus:
        return Target(FUNCTION, name, module)
    try:
        offset_bytes = int(offset, 0)
    except ValueError:
        raise UsageError(f"{text!r}: {offset!r} is not an offset; write {name}+0x10 or {name}+16") from None
    return Target(OFFSET, name, module, offset_bytes)
