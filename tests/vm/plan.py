"""Which questions a kernel is asked: a list made from its raw files by plain reading, not by the tool's rules.

The names come from proc/kallsyms, ftrace's list, available_events and BTF (btf_names.py). The same files and
the same scale give the same list. Each part says whether it holds all names of its kind or a sample, and how
the sample was drawn; those sentences go into the record.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from .btf_names import Names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SEED = 20261123
# Kernels that are asked about every name by kprobe and by fentry; the others get samples of what is accepted.
FULL = ("6.12", "7.3")
TRACING = "sys/kernel/tracing/"
# An attempt that may take the kernel down is made last. This list is the plan's own (the tool has another).
# A trampoline calls these itself; kernels that lack the kernel's own refusal freeze.
RECURSING = frozenset(
    (
        *("__rcu_read_lock", "__rcu_read_unlock", "rcu_read_unlock_strict", "migrate_disable", "migrate_enable"),
        *("___migrate_enable", "preempt_count_add", "preempt_count_sub"),
    )
)
# Return probes on these are never released; locks that the probe's own path takes.
NEVER_RETURNING = frozenset(
    (
        *(
            "do_exit",
            "do_group_exit",
            "make_task_dead",
            "kthread_exit",
            "kthread_complete_and_exit",
            "rewind_stack_do_exit",
        ),
        *("__arm64_sys_exit", "__arm64_sys_exit_group"),
        *("__module_put_and_kthread_exit", "__x64_sys_exit", "__x64_sys_exit_group", "__ia32_sys_exit"),
        *(
            "__ia32_sys_exit_group",
            "complete_and_exit",
            "__module_put_and_exit",
            "__kunit_abort",
            "kunit_try_catch_throw",
        ),
    )
)
LOCKS = frozenset(
    (
        *("_raw_spin_lock", "_raw_spin_lock_irqsave", "_raw_spin_unlock_irqrestore", "queued_spin_lock_slowpath"),
        *("native_queued_spin_lock_slowpath", "__pv_queued_spin_lock_slowpath", "rt_spin_lock", "rt_spin_unlock"),
    )
)
HAZARDS = RECURSING | NEVER_RETURNING | LOCKS
# Types that arm nothing: the names above are harmless there.
_UNARMED = ("_load", "_event")
PADDING = ("__pfx_", "__cfi_")
KFUNC_PROGRAMS = (
    *(
        "kprobe",
        "tc",
        "tp",
        "xdp",
        "perf_event",
        "cgroup_skb",
        "raw_tp",
        "fentry",
        "iter",
        "lsm",
        "syscall",
        "netfilter",
    ),
)
_FIELD = re.compile(r"\tfield:.*;\toffset:(\d+);\tsize:(\d+);")


class Question(NamedTuple):
    """One line for the prober; `more` is empty for most types."""

    type: str
    target: str
    more: str = ""

    def line(self) -> str:
        """As the prober reads it, without the line end."""
        return "\t".join(part for part in self if part)


class Part(NamedTuple):
    """Questions of one kind. `cost_ms` is what one takes, guessed high, to tell how long the list will last."""

    name: str
    questions: list[Question]
    how: str
    cost_ms: float


class Files:
    """A kernel's raw files below a folder, read as text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def text(self, path: str) -> str:
        """A file's text; empty if the kernel has no such file."""
        file = self.folder / path
        return file.read_text(errors="replace") if file.exists() else ""

    @cached_property
    def rows(self) -> list[tuple[int, str, str, str]]:
        """Address, letter, name and module ("" for vmlinux) of all symbols, in the file's order."""
        found = []
        for line in self.text("proc/kallsyms").splitlines():
            address, letter, name, *module = line.split()
            found.append((int(address, 16), letter, name, module[0].strip("[]") if module else ""))
        return found

    @cached_property
    def text_symbols(self) -> dict[str, list[tuple[int, str]]]:
        """Name to (address, module) of code: vmlinux by the section's range, modules by the letter."""
        marks: dict[str, int] = {}
        for address, _, name, module in self.rows:
            if not module:
                marks.setdefault(name, address)
        ranges = [
            (marks[first], marks[last])
            for first, last in (("_stext", "_etext"), ("_sinittext", "_einittext"))
            if first in marks and last in marks
        ]
        found: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for address, letter, name, module in self.rows:
            is_code = letter in "tTwW" if module else any(low <= address < high for low, high in ranges)
            if is_code and module not in ("bpf", "__builtin__ftrace"):
                found[name].append((address, module))
        return found

    @cached_property
    def data_names(self) -> list[str]:
        """Names that are no code anywhere."""
        return sorted({row[2] for row in self.rows} - self.text_symbols.keys())

    @cached_property
    def several(self) -> set[str]:
        """Names of code that stand more than once in the symbol table, data counted too."""
        count: dict[str, int] = defaultdict(int)
        for row in self.rows:
            count[row[2]] += 1
        return {name for name in self.text_symbols if count[name] > 1}

    @cached_property
    def listed(self) -> set[str]:
        """Names in ftrace's list, without its placeholders."""
        lines = self.text(TRACING + "available_filter_functions").splitlines()
        return {name for line in lines if not (name := line.split()[0]).startswith("__ftrace_invalid_address")}

    @cached_property
    def module_ends(self) -> set[str]:
        """Every name at the highest text address of its module."""
        last: dict[str, int] = {}
        for places in self.text_symbols.values():
            for address, module in places:
                if module:
                    last[module] = max(last.get(module, 0), address)
        return {
            name
            for name, places in self.text_symbols.items()
            if any(module and last[module] == address for address, module in places)
        }

    @cached_property
    def btf(self) -> dict[str, Names]:
        """BTF by owner, vmlinux first."""
        folder = self.folder / "sys/kernel/btf"
        if not (folder / "vmlinux").exists():
            return {}
        base = Names((folder / "vmlinux").read_bytes())
        others = {p.name: Names(p.read_bytes(), base) for p in sorted(folder.iterdir()) if p.name != "vmlinux"}
        return {"vmlinux": base, **others}

    @cached_property
    def functions(self) -> dict[str, str]:
        """What BTF calls a function to the bare name: `vfs_read`, `xfs:xfs_file_open`."""
        found = {}
        for owner, names in self.btf.items():
            for name in names.functions():
                found[name if owner == "vmlinux" else f"{owner}:{name}"] = name
        return found

    @cached_property
    def attach_types(self) -> set[str]:
        """Enumerators of bpf_attach_type that the kernel knows."""
        return set(self.btf["vmlinux"].enumerators("bpf_attach_type")) if self.btf else set()

    @cached_property
    def tracepoints(self) -> dict[str, int]:
        """Raw tracepoints of all BTF to their numbers of arguments."""
        return {name: count for names in self.btf.values() for name, count in names.tracepoints().items()}

    @cached_property
    def events(self) -> list[str]:
        """Trace events, `category:name`."""
        return sorted(set(self.text(TRACING + "available_events").split()))

    @cached_property
    def raw_names(self) -> list[str]:
        """Every name that may be a raw tracepoint: events, typedefs, iterator functions."""
        names = {event.partition(":")[2] for event in self.events} | set(self.tracepoints)
        names |= {row[2].removeprefix("__traceiter_") for row in self.rows if row[2].startswith("__traceiter_")}
        return sorted(names)

    @cached_property
    def syscalls(self) -> list[str]:
        """Names of system calls, without the architecture's prefix."""
        prefix = f"{self.arch}sys_"
        return sorted(name.removeprefix(prefix) for name in self.text_symbols if name.startswith(prefix))

    @cached_property
    def arch(self) -> str:
        """The prefix of the architecture's system calls: `__arm64_`, `__riscv_` or `__x64_`."""
        there = [one for one in ("__arm64_", "__riscv_") if f"{one}sys_bpf" in self.text_symbols]
        return there[0] if there else "__x64_"

    @cached_property
    def ends(self) -> dict[str, int]:
        """Bytes from the one place of a name to the next symbol elsewhere."""
        places = sorted({row[0] for row in self.rows})
        after = dict(pairwise(places))
        single = {name: found[0][0] for name, found in self.text_symbols.items() if len(found) == 1}
        return {name: after[at] - at for name, at in single.items() if at in after}

    def fields(self, event: str) -> list[tuple[int, int]]:
        """Offset and size of an event's fields."""
        text = self.text(TRACING + "events/" + event.replace(":", "/") + "/format")
        return [(int(offset), int(size)) for offset, size in _FIELD.findall(text)]


class _Maker:
    """Draws samples; a number is multiplied by the scale."""

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.parts: list[Part] = []
        self.asked: set[Question] = set()

    def pick(self, part: str, items: Iterable[str], most: int) -> tuple[list[str], str]:
        """At most `most` × scale of the items in a seeded random order, and the words for it."""
        pool = sorted(set(items))
        random.Random(f"{SEED} {part}").shuffle(pool)
        wanted = max(1, int(most * self.scale)) if pool else 0
        if len(pool) <= wanted:
            return pool, f"all {len(pool)}"
        return pool[:wanted], f"{wanted} of {len(pool)} at random"

    def add(self, name: str, type_: str, items: Iterable[str], what: str, cost_ms: float, most: int = 0) -> None:
        """A part: all items in a seeded random order, or at most `most` × scale of them."""
        pool = set(items)
        chosen, words = self.pick(name, pool, most) if most else self.pick(name, pool, int(len(pool) / self.scale) + 1)
        self.put(name, [Question(type_, target) for target in chosen], f"{words}: {what}", cost_ms)

    def put(self, name: str, questions: list[Question], how: str, cost_ms: float) -> None:
        """A part of ready questions; none is asked twice."""
        fresh = [q for q in dict.fromkeys(questions) if q not in self.asked]
        self.asked.update(fresh)
        elsewhere = len(questions) - len(fresh)
        if fresh:
            self.parts.append(Part(name, fresh, how + (f" ({elsewhere} asked above)" if elsewhere else ""), cost_ms))


def plan(files: Files, *, full: bool, scale: float = 1.0) -> list[Part]:
    """All parts for one kernel, cheap ones first, dangerous ones last."""
    make = _Maker(scale)

    def all_or(most: int) -> int:
        return 0 if full else most

    listed = {name for name in files.text_symbols if name in files.listed}
    outside = {name for name in files.text_symbols if name not in files.listed}
    padding = {name for name in outside if name.startswith(PADDING)}
    unlisted = outside - padding
    odd = files.several | {name for name in files.text_symbols if "." in name}
    bare = files.functions
    typed = list(bare)
    traced = [target for target, name in bare.items() if name in files.listed]
    untraced = [target for target, name in bare.items() if name not in files.listed]
    _events(make, files)
    _named_hooks(make, files, typed)
    _loads(make, files, typed, all_or)
    # kprobe: what ftrace does not list is mostly refused, and cheap.
    lost = {name for name in bare.values() if name not in files.text_symbols}
    make.add("kprobe no symbol", "kprobe", lost, "functions of BTF without a symbol", 5, most=2000)
    make.add("kprobe data", "kprobe", files.data_names, "names of data", 5, most=400)
    make.add("kprobe padding", "kprobe", padding, "names of padding", 5, most=all_or(1500))
    make.add("kprobe several", "kprobe", files.several - padding, "names with several addresses", 8)
    make.add("kprobe suffix", "kprobe", odd - padding, "names with a suffix", 40)
    make.add("kprobe unlisted", "kprobe", unlisted, "names of code that ftrace does not list", 12)
    make.add("kprobe_event odd", "kprobe_event", odd - padding, "names with a suffix or several addresses", 10)
    make.add("kprobe_event unlisted", "kprobe_event", unlisted, "names that ftrace does not list", 5, most=2000)
    make.add("kprobe_event listed", "kprobe_event", listed, "names that ftrace lists", 12, most=all_or(8000))
    make.add("kprobe listed", "kprobe", listed, "names that ftrace lists", 60, most=4000 if full else 1200)
    qualified = {f"{module}:{name}" for name, places in files.text_symbols.items() for _, module in places if module}
    make.add("kprobe module:name", "kprobe", qualified, "names of modules' code, asked with the module", 30, most=600)
    make.add("kretprobe unlisted", "kretprobe", unlisted, "names that ftrace does not list", 8, most=all_or(3000))
    make.add("kretprobe padding", "kretprobe", padding, "names of padding", 5, most=300)
    make.add("kretprobe listed", "kretprobe", listed, "names that ftrace lists", 60, most=1200)
    make.add("kretprobe_event listed", "kretprobe_event", listed, "names that ftrace lists", 12, most=5000)
    _offsets(make, files, listed | {name for name in unlisted if "." in name})
    _multi(make, files, listed, outside, all_or)
    make.add("ksyscall", "ksyscall", files.syscalls, "system calls", 60)
    make.add("kretsyscall", "kretsyscall", files.syscalls, "system calls", 60)
    _trampolines(make, files, traced, untraced, full)
    return _dangerous_last(make.parts, files)


def _events(make: _Maker, files: Files) -> None:
    make.add("tp", "tp", files.events, "trace events", 12)
    what = "names of events, typedefs and __traceiter_ functions"
    make.add("raw_tp", "raw_tp", files.raw_names, what, 5)
    make.add("tp_btf", "tp_btf", files.raw_names, what, 16)
    syscalls = [event for event in files.events if event.startswith(("syscalls:", "raw_syscalls:"))]
    make.add("tp.s syscalls", "tp.s", syscalls, "events of system calls", 12)
    make.add("tp.s", "tp.s", files.events, "trace events", 12, most=300)
    for type_ in ("raw_tp.s", "tp_btf.s", "raw_tp.w"):
        make.add(type_, type_, files.raw_names, "names of events, typedefs and __traceiter_ functions", 8, most=300)
        make.put(
            f"{type_} faultable", [Question(type_, n) for n in ("sys_enter", "sys_exit")], "the two that may sleep", 8
        )
    chosen, words = make.pick("tp_field", files.events, 350)
    questions = []
    for event in chosen:
        end = 8
        for offset, size in files.fields(event):
            end = max(end, offset + size)
            whole = size in (1, 2, 4, 8)
            questions.append(Question("tp_field", event, f"{offset}:{size if whole else 1}"))
            if size == 8:
                questions.append(Question("tp_field", event, f"{offset}:4"))
            if not whole:
                questions.append(Question("tp_field", event, f"{offset + max(size, 1) - 1}:1"))
        questions += [Question("tp_field", event, f"{at}:1") for at in (end, end + 8, (end + 7) // 8 * 8)]
    make.put(
        "tp_field", questions, f"{words}: events, each field whole, its low half, its last byte, and past the end", 5
    )
    for type_ in ("tp_btf_arg", "raw_tp_arg"):
        chosen, words = make.pick(type_, files.tracepoints, 300)
        questions = [Question(type_, name, str(n)) for name in chosen for n in range(files.tracepoints[name] + 2)]
        make.put(type_, questions, f"{words}: raw tracepoints, each argument and two past the last", 8)


def _named_hooks(make: _Maker, files: Files, typed: list[str]) -> None:
    for type_ in ("iter", "iter.s"):
        make.add(type_, type_, [t for t in typed if "bpf_iter_" in t], "functions named bpf_iter_", 2)
    for type_ in ("lsm", "lsm.s"):
        make.add(type_, type_, [t for t in typed if t.startswith("bpf_lsm_")], "functions named bpf_lsm_", 60)
    kfuncs = sorted({name for names in files.btf.values() for name in names.kfuncs()})
    questions = [Question("kfunc", name, program) for name in kfuncs for program in KFUNC_PROGRAMS]
    make.put(
        "kfunc", questions, f"all {len(kfuncs)} functions tagged bpf_kfunc × {len(KFUNC_PROGRAMS)} program types", 1
    )


def _loads(make: _Maker, files: Files, typed: list[str], all_or: Callable[[int], int]) -> None:
    make.add("fentry_load", "fentry_load", typed, "functions of BTF", 1.2)
    prefixes = ("security_", f"{files.arch}sys_", "bpf_fentry_", "bpf_modify_")
    special = [t for t in typed if t.rpartition(":")[2].startswith(prefixes)]
    what = f"security_, {files.arch}sys_ and test functions"
    for type_, most in (("fmod_ret", 8000), ("fexit", 6000), ("fentry.s", 4000)):
        if type_ != "fexit":
            make.add(f"{type_}_load special", f"{type_}_load", special, what, 1.2)
        make.add(f"{type_}_load", f"{type_}_load", typed, "functions of BTF", 1.2, most=all_or(most))
    never = [t for t in typed if t.rpartition(":")[2] in HAZARDS]
    make.add("fexit_load special", "fexit_load", never, "functions that never return or that a trampoline calls", 1.2)
    for type_ in ("fexit.s", "fmod_ret.s"):
        make.add(f"{type_}_load special", f"{type_}_load", special, what, 1.2, most=600)
        make.add(f"{type_}_load", f"{type_}_load", typed, "functions of BTF", 1.2, most=600)


def _offsets(make: _Maker, files: Files, names: set[str]) -> None:
    """Small offsets of random functions, and one at random inside: entry, landing pad, middle of an instruction."""
    chosen, words = make.pick("offsets", names - files.several - HAZARDS - files.module_ends, 800)
    draw = random.Random(f"{SEED} offset")
    questions = []
    is_arm64 = files.arch == "__arm64_"
    for name in chosen:
        if is_arm64:  # words of four bytes; ftrace's site is the second
            words_in = max(3, min(64, files.ends.get(name, 0) // 4 + 2))
            offsets = {draw.choice((1, 2, 4, 4, 7)), 8, *(4 * draw.randrange(2, words_in) for _ in range(5))}
        else:
            offsets = {draw.choice((1, 4, 5)), draw.randrange(2, 16), draw.randrange(16, 64)}
        questions += [Question("kprobe_event", f"{name}+{at:#x}") for at in sorted(offsets)]
    how = f"{words}: functions, each at three offsets below 0x40"
    if is_arm64:
        how = f"{words}: functions, each at up to seven offsets, a word or two past its end too"
    make.put("kprobe_event offset", questions, how, 12)
    some = [q._replace(type="kprobe") for q in questions[::6] if not (is_arm64 and _is_before_next(q, files))]
    make.put("kprobe offset", some, "every sixth of kprobe_event offset", 60)
    some = [q._replace(type="kretprobe_event") for q in questions[::8]]
    make.put("kretprobe_event offset", some, "every eighth of kprobe_event offset", 12)


def _is_before_next(question: Question, files: Files) -> bool:
    """ftrace's pointer lies in the words before the next function (CALL_OPS): never armed there."""
    name, _, offset = question.target.partition("+")
    return int(offset, 16) >= files.ends.get(name, 0) - 12


def _multi(make: _Maker, files: Files, listed: set[str], outside: set[str], all_or: Callable[[int], int]) -> None:
    """A name that is refused costs a walk through all symbols; accepted ones are tried together."""

    def ask(type_: str, names: set[str], what: str, cost_ms: float, most: int) -> None:
        note = "" if has else " (this kernel has no such type)"
        make.add(f"{type_} {what}", type_, names, f"names, {what} in ftrace's list{note}", cost_ms, most if has else 20)

    # The type is in BTF where the kernel was built without fprobe, too (Debian's 6.1).
    has = "BPF_TRACE_KPROBE_MULTI" in files.attach_types and "register_fprobe_ips" in files.text_symbols
    ask("kprobe.multi", listed, "listed", 3, all_or(12000))
    ask("kprobe.multi", files.several & listed, "several times and", 10, 2000)
    ask("kprobe.multi", outside, "not", 200, 900)
    ask("kretprobe.multi", listed, "listed", 5, 2000)
    ask("kretprobe.multi", outside, "not", 200, 100)
    has = has and "BPF_TRACE_KPROBE_SESSION" in files.attach_types
    ask("kprobe.session", listed, "listed", 5, 2000)
    ask("kprobe.session", outside, "not", 200, 150)


def _trampolines(make: _Maker, files: Files, traced: list[str], untraced: list[str], full: bool) -> None:
    several = [t for t in traced if t.rpartition(":")[2] in files.several]
    unlisted = "functions of BTF that ftrace does not list"
    make.add("fentry unlisted", "fentry", untraced, unlisted, 6, most=0 if full else 6000)
    make.add("fentry several", "fentry", several, "listed functions with several addresses", 120)
    make.add("fexit unlisted", "fexit", untraced, unlisted, 6, most=2000)
    make.add("fexit listed", "fexit", traced, "functions that ftrace lists", 120, most=800 if full else 300)
    for type_, enumerator in (
        ("fsession", "BPF_TRACE_FSESSION"),
        ("fentry.multi", "BPF_TRACE_FENTRY_MULTI"),
        ("fexit.multi", "BPF_TRACE_FEXIT_MULTI"),
        ("fsession.multi", "BPF_TRACE_FSESSION_MULTI"),
    ):
        has = enumerator in files.attach_types
        note = "" if has else " (this kernel has no such type)"
        cost = 120 if type_ == "fsession" else 20
        make.add(f"{type_} listed", type_, traced, f"listed functions{note}", cost, most=1000 if has else 5)
        make.add(f"{type_} unlisted", type_, untraced, f"{unlisted}{note}", 20, most=500 if has else 5)
    make.add("fentry listed", "fentry", traced, "functions of BTF that ftrace lists", 12, most=0 if full else 1500)


LAST = "hazards"
FOLLOWING = {
    "fmod_ret_load": ("fmod_ret", 0),
    "fentry.s_load": ("fentry.s", 200),
    "fexit.s_load": ("fexit.s", 100),
    "fmod_ret.s_load": ("fmod_ret.s", 100),
}


def followers(accepted: Iterable[Question]) -> list[Part]:
    """Attach questions for loads that were accepted: all of fmod_ret, a sample of the sleepable ones."""
    by_type: dict[str, list[str]] = defaultdict(list)
    for question in accepted:
        if question.type in FOLLOWING:
            by_type[question.type].append(question.target)
    make = _Maker(1.0)
    for load, (type_, most) in FOLLOWING.items():
        make.add(f"{type_} of loaded", type_, by_type[load], "functions whose load was accepted", 120, most=most)
    return [part._replace(questions=[q for q in part.questions if not _is_dangerous(q)]) for part in make.parts]


def _is_dangerous(question: Question, module_ends: frozenset[str] = frozenset()) -> bool:
    if question.type.endswith(_UNARMED) and not question.type.startswith(("kprobe", "kretprobe")):
        return False
    name = question.target.rpartition(":")[2].partition("+")[0]
    if name in module_ends and question.type.startswith(("kprobe", "kretprobe")):
        return True  # registering decodes to the symbol's end, armed or not
    return name in HAZARDS and not question.type.endswith(_UNARMED) and question.type not in ("kprobe.multi",)


def _dangerous_last(parts: list[Part], files: Files) -> list[Part]:
    ends = frozenset(name for name in files.module_ends if "." in name)
    kept, dangerous = [], []
    for part in parts:
        safe = [q for q in part.questions if not _is_dangerous(q, ends)]
        dangerous += [q for q in part.questions if _is_dangerous(q, ends)]
        if safe:
            kept.append(part._replace(questions=safe))
    if dangerous:
        how = f"all {len(dangerous)}: ends of modules, functions that never return, locks, and what a trampoline calls"
        kept.append(Part(LAST, dangerous, how, 100))
    return kept
