"""Stubs: source text that mirrors what a program sees in ctx.

A `Stub` is the layout of one target's ctx, the same for every language; `stubs/` writes it out.
"""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .attach import BY_TRAMPOLINES, ITER
from .document import Document
from .report import KernelInfo

# Stub.shape
RECORD, SLOTS, REGISTERS = "record", "slots", "registers"
# Member.kind
RESERVED, PADDING, INTEGER, BYTES, ARRAY, POINTER, LOCATED = (
    "reserved",
    "padding",
    "integer",
    "bytes",
    "array",
    "pointer",
    "located",
)
LANGUAGES = ("c", "rust", "go", "python", "bpftrace")
STUB_USER = ("uprobe", "uretprobe", "usdt")
STUB_ATTACH = ("tp", "raw_tp", "tp_btf", "fentry", "fexit", "kprobe", "kretprobe", "ksyscall", *STUB_USER)

# Attach types whose programs see the ctx of another one, and what is to be known of that.
STUB_LIKE = {
    **{f"{name}.s": (name, f"the same ctx; write the section {name}.s/NAME") for name in STUB_ATTACH[:5]},
    "raw_tp.w": ("raw_tp", "the same ctx; write the section raw_tp.w/NAME"),
    "kprobe.multi": ("kprobe", "the same ctx; write the section kprobe.multi/PATTERN"),
    "kretprobe.multi": ("kretprobe", "the same ctx; write the section kretprobe.multi/PATTERN"),
    "kprobe.session": ("kprobe", "the same ctx at the entry, and at the return that of kretprobe"),
    "kretsyscall": ("kretprobe", "the ctx of a kretprobe on the call's wrapper"),
    "fsession": ("fexit", "the same ctx; write the section fsession/NAME"),
    "fmod_ret": ("fexit", "the same ctx, its last 8 bytes the value returned so far"),
    "fmod_ret.s": ("fexit", "the same ctx, its last 8 bytes the value returned so far"),
    "lsm": ("fexit", "on bpf_lsm_HOOK: the same ctx, its last 8 bytes the value returned so far"),
    "lsm_cgroup": ("fexit", "on bpf_lsm_HOOK: the same ctx without the returned value; return 1 to allow"),
    **{f"{name}.s": (name, f"the same ctx; write the section {name}.s/TARGET") for name in STUB_USER},
    "uprobe.multi": ("uprobe", "the same ctx; write the section uprobe.multi/PATH:PATTERN"),
    "uprobe.multi.s": ("uprobe", "the same ctx; write the section uprobe.multi.s/PATH:PATTERN"),
    "uretprobe.multi": ("uretprobe", "the same ctx; write the section uretprobe.multi/PATH:PATTERN"),
    "uretprobe.multi.s": ("uretprobe", "the same ctx; write the section uretprobe.multi.s/PATH:PATTERN"),
    "uprobe.session": ("uprobe", "the same ctx at the entry, and at the return that of uretprobe"),
    "uprobe.session.s": ("uprobe", "the same ctx at the entry, and at the return that of uretprobe"),
    "lsm.s": ("fexit", "on bpf_lsm_HOOK: the same ctx, its last 8 bytes the value returned so far"),
}
STUB_NOT = {
    **dict.fromkeys(
        BY_TRAMPOLINES,
        "programs of this type may not load arguments from ctx: they call bpf_get_func_arg and bpf_get_func_ret",
    ),
    **dict.fromkeys(ITER, "its ctx is the kernel's struct bpf_iter__TARGET, which vmlinux.h has"),
}


class PlainType(NamedTuple):
    """A C type in words that need no other declaration.

    `kind`: int, bool, enum, pointer, struct, float, void, other. `size` is bytes. `text` is the kernel's own
    spelling. A pointer's `target` is what it leads to, spelled with fixed-width integers, `char`, `void` or
    `struct NAME`; `struct` is that NAME with its keyword, "" for anything else. `user` is True if the type
    is tagged __user, None if nothing tells.
    """

    kind: str
    size: int
    signed: bool
    text: str
    target: str = ""
    struct: str = ""
    user: bool | None = None


class Argument(NamedTuple):
    """A parameter. `name` is never "". `slot`: the first 8-byte word of ctx; `slots` how many.

    `is_loaded` is true if every typed program may load it from ctx on this kernel.
    """

    name: str
    type: PlainType
    slot: int
    slots: int
    nullable: str = "unknown"
    is_loaded: bool = True


class RecordMember(NamedTuple):
    """A member of a BTF struct, for CO-RE: its type in words that libbpf takes for compatible."""

    name: str
    type: PlainType
    offset: int
    size: int
    elements: int | None = None


class Member(NamedTuple):
    """Bytes of ctx, in the order of their offsets and without holes between them.

    `name` is the kernel's; made-up ones for reserved bytes and padding. `size` is of all elements.
    `declared` is the kernel's C type. `says` tells what a person must know, "" if nothing. For located
    data: `base` is where the offset in its low half counts from, `text` true for strings. `helper` reads
    what a pointer or a located word leads to. `argument` is set for the words of SLOTS and REGISTERS.
    """

    name: str
    kind: str
    offset: int
    size: int
    element_size: int
    signed: bool
    declared: str
    says: str = ""
    base: int = 0
    text: bool = False
    helper: str = ""
    argument: Argument | None = None

    @property
    def elements(self) -> int:
        """How many elements; 1 for what is no array."""
        return self.size // self.element_size if self.element_size else 0


class StubPlace(NamedTuple):
    """Where an argument lies at entry: register expressions, else `stack` bytes above `base`, else not known (`says`).

    `base`: a register expression; "" is the stack pointer.
    """

    registers: tuple[str, ...] = ()
    stack: int | None = None
    says: str = ""
    base: str = ""


class Stub(NamedTuple):
    """One target. `size` is of the members, `end` where the kernel lets no load pass (both bytes).

    `title` begins every name the text defines. `section` is what libbpf calls it. `arguments` and
    `returns` are a function's or a raw tracepoint's. `core` is the BTF struct to relocate against, with
    `core_members`. `inner` is true where the arguments lie in the pt_regs that the first register points
    to; `arch` whose registers they are. `facts` are lines of provenance, `notes` what the reader must
    know. `where`: the arguments of user functions, which the kernel's calling convention does not place; `sites`: the
    section of each place to attach to.
    """

    target: str
    attach: str
    title: str
    section: str
    shape: str
    members: tuple[Member, ...] = ()
    size: int = 0
    end: int = 0
    arguments: tuple[Argument, ...] = ()
    returns: PlainType | None = None
    core: str = ""
    core_members: tuple[RecordMember, ...] = ()
    arch: str = ""
    inner: bool = False
    has_func_arg: bool = False
    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    where: tuple[StubPlace, ...] = ()
    sites: tuple[str, ...] = ()


class _StubReport(NamedTuple):
    kernel: KernelInfo
    language: str
    text: str
    stubs: tuple[Stub, ...]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    skipped_unread: int = 0


class StubReport(Document, _StubReport):
    """`probe-scout stub`. `skipped` names targets that a pattern matched and that take no such program.

    `skipped_unread` counts those of them of which that could not be told.
    """

    __slots__ = ()
    COMMAND = "stub"
