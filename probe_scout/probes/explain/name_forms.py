"""How each loader names a target without ambiguity, and which copy of a name is taken silently.

Kernel side: `[MOD:]KSYM[+OFFS]|KADDR` (kernel/trace/trace_kprobe.c); kprobe_addr with an empty
kprobe_func (perf_event_open). libbpf: tools/lib/bpf/libbpf.c, attach_kprobe (SEC takes letters, digits,
"_" and "."), bpf_program__attach_kprobe_opts, find_kernel_btf_id. Addresses of vmlinux are written as
an offset from _stext, which stays the same at every boot of a build.
"""

from __future__ import annotations

from ...model.attach import BY_FPROBE, BY_TRAMPOLINE, KPROBES
from ...model.report import Copy, Form
from ...model.target import FUNCTION, SYSCALL
from ...model.verdict import YES
from . import symbol_names as names
from . import wrong_target_kind
from .symbol_resolution import in_search_order, kprobe_multi_copy, named_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup, SymbolView

COPIES_MAX = 4  # copies that get a form of their own


def copies(lookup: Lookup, target: Target, verdicts: tuple[Verdict, ...] = ()) -> tuple[Copy, ...]:
    """Every symbol with the target's name in the kernel's search order; empty for other kinds of target.

    `taken_by` lists the attach types with the verdict yes that go to this copy when asked by name.
    `address` is `_stext+0x…` for vmlinux, absolute for modules, "" where it is hidden.
    """
    if target.kind not in (FUNCTION, "offset"):
        return ()
    found = in_search_order(lookup.symbols(target.name))
    wanted = None if target.module == "vmlinux" else target.module
    asked_for = [s for s in found if target.module is None or s.module == wanted]
    accepted = {verdict.attach for verdict in verdicts if verdict.answer == "yes"}
    takers: dict[SymbolView, list[str]] = {}
    if asked_for:
        first = named_copy(tuple(asked_for))
        takers[first] = [attach for attach in (*KPROBES, *BY_TRAMPOLINE) if attach in accepted]
        multi = kprobe_multi_copy(tuple(asked_for))
        if multi is not None:
            takers.setdefault(multi, []).extend(attach for attach in BY_FPROBE if attach in accepted)
    base = stext(lookup)
    return tuple(Copy(s.module, address(s, base) or "", s.letter, s.traced, tuple(takers.get(s, ()))) for s in found)


def stext(lookup: Lookup) -> int:
    """The address of _stext; 0 where it is hidden or not there."""
    found = [s.address for s in lookup.symbols("_stext") if s.module is None]
    return found[0] if len(found) == 1 else 0


def address(symbol: SymbolView, stext: int) -> str | None:
    """A copy's place as kprobe_events takes it: `_stext+0x…`, or absolute; None where it is hidden."""
    if not symbol.address:
        return None
    if symbol.module is None and stext and symbol.address >= stext:
        return f"_stext+{symbol.address - stext:#x}"
    return f"{symbol.address:#x}"


def forms(lookup: Lookup, target: Target) -> tuple[Form, ...]:
    """The names that loaders need for a system call, a module's function or one of several copies.

    Empty for a function whose plain name is enough, for tracepoints and for names that do not exist.
    """
    if target.kind == SYSCALL:
        return _syscall(lookup, target.name)
    if target.kind != FUNCTION:
        return ()
    every = in_search_order(lookup.symbols(target.name))
    wanted = None if target.module == "vmlinux" else target.module
    chosen = [s for s in every if target.module is None or s.module == wanted]
    text = [s for s in chosen if s.is_text]
    if not text:
        return ()
    if len(every) == 1 and text[0].module is None:
        return ()
    found: list[Form] = []
    for module in dict.fromkeys(s.module for s in text):
        inside = [s for s in chosen if s.module == module]
        if module is not None and len(inside) == 1:
            found += _module(lookup, module, target.name, len(every) == 1)
    # A module's only copy has its prefix; the rest can be told apart by address alone.
    alone = [s for s in text if not s.in_init and (s.module is None or sum(o.module == s.module for o in every) > 1)]
    if len(every) > 1 and alone:
        found += _addresses(lookup, target.name, alone)
    return tuple(found)


def _syscall(lookup: Lookup, call: str) -> tuple[Form, ...]:
    """One system call in every loader's words."""
    entry = wrong_target_kind.entry_symbol(lookup, call)
    if entry is None:
        return ()
    event = lookup.event_exists("syscalls", f"sys_enter_{call}")
    found = [
        Form(
            "libbpf",
            f'SEC("ksyscall/{call}")',
            "libbpf finds the architecture's entry; BPF_KSYSCALL reads the arguments.",
        ),
        Form(
            "cilium/ebpf",
            f'link.Kprobe("{entry}", …)',
            "sys_NAME is accepted too and gets the prefix of the architecture.",
        ),
        Form(
            "perf",
            f"perf probe -a {entry}",
            "The first argument is the pt_regs of user space where there are syscall wrappers.",
        ),
    ]
    if event:
        says = "The event needs no knowledge of the entry's name."
        found.insert(0, Form("bpftrace", f"tracepoint:syscalls:sys_enter_{call}", says))
    else:
        found.insert(0, Form("bpftrace", f"kprobe:{entry}", "bpftrace adds no prefix by itself."))
    return tuple(found)


def _module(lookup: Lookup, module: str, name: str, is_alone: bool) -> list[Form]:
    """A function that is alone of its name in a module.

    A name that is unique in the kernel is written bare: not every kernel takes MODULE:FUNCTION through perf
    (symbol_lookup.prefix_counted), nor a module's bare name (symbol_lookup.module_not_counted).
    """
    text = f"{module}:{name}"
    found: list[Form] = []
    if is_alone and lookup.answer(name, "kprobe") == YES:
        found += [
            Form("bpftrace", f"kprobe:{name}", "The name is the only one: it needs no module in front."),
            Form("libbpf", f'SEC("kprobe/{name}")', "The name is the only one: it needs no module in front."),
        ]
    elif lookup.answer(text, "kprobe") == YES:
        found += [
            Form("bpftrace", f"kprobe:{text}", "Takes a module since 0.20; fentry is written the same way."),
            Form("libbpf", f'bpf_program__attach_kprobe(prog, false, "{text}")', 'SEC("kprobe/…") stops at the colon.'),
        ]
    found += [
        Form("perf", f"perf probe -m {module} -a {name}", "perf writes MODULE:NAME to kprobe_events."),
        Form("tracefs", f"p {text}", "Written to kprobe_events."),
    ]
    if names.suffixes(name):  # BTF has no names with compiler suffixes, so fentry has none either
        return found
    return [
        *found,
        Form("bpftrace", f"fentry:{text}", "The module tells where the type is looked up."),
        Form("libbpf", f'SEC("fentry/{text}")', "Older libbpf takes only the bare name and searches vmlinux first."),
        Form(
            "cilium/ebpf",
            f'ProgramSpec.AttachTo = "{name}"',
            "For fentry; link.Kprobe takes no module, so use KprobeMulti.",
        ),
    ]


def _addresses(lookup: Lookup, name: str, text: list[SymbolView]) -> list[Form]:
    """One of several copies: only an address tells them apart."""
    base = stext(lookup)
    known = [(s, where) for s in text if (where := address(s, base)) is not None]
    if not known:
        says = (
            "Addresses are hidden here (kernel.kptr_restrict); the function is then named by address or by "
            "_stext+offset."
        )
        return [Form("any", name, says)]
    found = []
    known.sort(key=lambda pair: pair[0].traced is not True)  # stable: copies that can be probed come first
    for symbol, where in known[:COPIES_MAX]:
        traced = {True: "which ftrace traces", False: "which ftrace does not trace", None: "ftrace unread"}[
            symbol.traced
        ]
        place = symbol.module or "vmlinux"
        found.append(Form("tracefs", f"p {where}", f"The copy in {place}, {traced}; written to kprobe_events."))
    number = f"{known[0][0].address:#x}"
    choice = "fentry cannot choose: the kernel resolves the name to the first symbol."
    if len(text) == 1:
        choice = "fentry on the bare name takes the function in vmlinux."
    return [
        *found,
        Form(
            "perf",
            f"perf probe -a '{number}'",
            "By address, which KASLR moves at every boot; by name perf leaves the choice to the kernel.",
        ),
        Form(
            "bpftrace",
            f"kprobe:{number}",
            "Takes an address since 0.25, with --unsafe; older versions cannot choose a function.",
        ),
        Form(
            "libbpf",
            f"bpf_program__attach_kprobe_opts(prog, NULL, .offset = {number})",
            'A NULL name makes the offset an address; SEC("kprobe/NAME") cannot choose a function.',
        ),
        Form(
            "cilium/ebpf",
            f"link.KprobeMultiOptions{{Addresses: []uintptr{{{number}}}}}",
            "Needs kprobe.multi; link.Kprobe takes names only.",
        ),
        Form("libbpf", f'SEC("fentry/{name}")', choice),
    ]
