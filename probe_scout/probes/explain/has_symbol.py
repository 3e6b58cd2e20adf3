"""A name that has symbols: closed to probes, ambiguous, no entry point, or attachable and yet not the whole truth."""

from __future__ import annotations

from ...model.report import Diagnosis
from . import known_changes, no_symbol
from . import symbol_names as names
from .name_forms import address, stext
from .symbol_resolution import kprobe_multi_copy, named_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.report import Coverage
    from ...model.target import Target
    from ...model.verdict import Verdict
    from .protocol import Lookup, SymbolView


def reasons(
    lookup: Lookup,
    target: Target,
    copies: tuple[SymbolView, ...],
    verdicts: tuple[Verdict, ...],
    coverage: Coverage,
) -> list[Diagnosis]:
    """What is special about the copies of a name; empty for an ordinary function that takes its probes."""
    name = target.name
    answers = {verdict.attach: verdict.answer for verdict in verdicts}
    if name.startswith(names.PADDING):
        return []
    text = tuple(symbol for symbol in copies if symbol.is_text)
    found: list[Diagnosis] = []
    if not text:
        what = "is a data symbol" if len(copies) == 1 else f"names {len(copies)} data symbols"
        return [Diagnosis("data", f"{name} {what}; probes attach to code only.", "is")]
    if all(symbol.in_init for symbol in text):
        says = f"{name} was init code: its memory was freed after boot, only the symbol is left."
        return [Diagnosis("init_text", says, "is")]
    if not names.is_entry(name):
        parent = names.stem(name)
        says = (
            f"{name} is the rarely run part of {parent}, jumped into and never called: a kprobe fires only on that "
            "path and finds no arguments in registers."
        )
        found.append(Diagnosis("cold", says, "is"))
    elif names.changed_signature(name):
        says = (
            f"The compiler changed the parameters of {name}: the argument registers need not hold what the source says."
        )
        found.append(Diagnosis("renamed", says, "is"))
    closed = _closed(lookup, name, text, answers) if len(copies) == 1 else []
    found += closed
    if len(copies) > 1:
        found += _ambiguous(lookup, name, copies, answers)
    if not closed and len(copies) == 1 and not any(part for part in names.suffixes(name)):
        found += _not_in_btf(lookup, name, answers)
    found += _known_change(lookup, name, bool(closed))
    found += _incomplete(lookup, name, coverage)
    return found


def _closed(lookup: Lookup, name: str, text: tuple[SymbolView, ...], answers: dict[str, str]) -> list[Diagnosis]:
    """NOKPROBE, noinstr and notrace, told apart."""
    symbol = text[0]
    if symbol.blacklisted and symbol.traced:
        says = (
            f"{name} is on the kprobe blacklist (NOKPROBE_SYMBOL), which kprobes and kretprobes obey; fentry and "
            "kprobe.multi go through ftrace and do not read it."
        )
        return [Diagnosis("blacklisted", says, "is")]
    if symbol.blacklisted and symbol.traced is False:
        says = (
            f"{name} is entry or noinstr code: on the kprobe blacklist and without an ftrace record, closed to every "
            "kind of function probe."
        )
        return [Diagnosis("noinstr", says, "is")]
    if symbol.blacklisted:
        return [
            Diagnosis("blacklisted", f"{name} is on the kprobe blacklist, so kprobes and kretprobes are refused.", "is")
        ]
    open_types = [a for a in ("kprobe", "kretprobe", "fentry", "fexit") if answers.get(a) == "yes"]
    if symbol.traced is False and not open_types and names.is_entry(name):
        on_notrace = lookup.config("CONFIG_KPROBE_EVENTS_ON_NOTRACE") == "y"
        says = f"{name} is in kallsyms but ftrace has no record for it (notrace, or built without -pg): "
        says += (
            "kprobes may enter it on this build, fentry may not."
            if on_notrace
            else "neither kprobes nor fentry enter it."
        )
        return [Diagnosis("notrace", says, "is")]
    return []


def _ambiguous(lookup: Lookup, name: str, copies: tuple[SymbolView, ...], answers: dict[str, str]) -> list[Diagnosis]:
    """How many things carry the name, and what each family of probes does about it."""
    base = stext(lookup)
    first = _place(named_copy(copies), base)
    places = names.listed([_place(symbol, base) for symbol in copies], "and")
    data = sum(not symbol.is_text for symbol in copies)
    says = f"{len(copies)} symbols are called {name} ({places})"
    if data:
        says += ", data among them, which the kernel counts too"
    found = [Diagnosis("ambiguous", says + ".", "is")]
    if answers.get("kprobe") == "no":
        says = "A kprobe by name is refused while several symbols have it; MODULE:NAME or an address is not ambiguous."
        found.append(Diagnosis("ambiguous_kprobe", says, "is"))
    elif answers.get("kprobe") == "yes":
        says = (
            f"This kernel takes a kprobe by name and puts it on one of the functions, {first}; the others stay unseen."
        )
        found.append(Diagnosis("ambiguous_kprobe", says, "likely"))
    if answers.get("fentry") == "yes":
        says = f"fentry resolves the name and silently takes {first}, whatever prototype BTF holds."
        found.append(Diagnosis("ambiguous_fentry", says, "is"))
    elif answers.get("fentry") == "no" and named_copy(copies).traced is False and any(s.traced for s in copies):
        says = (
            f"fentry resolves the name to {first}, which ftrace does not trace; another copy is "
            "traced but cannot be named."
        )
        found.append(Diagnosis("ambiguous_fentry", says, "is"))
    multi = kprobe_multi_copy(copies)
    if answers.get("kprobe.multi") == "yes" and multi is not None:
        says = f"kprobe.multi by name silently takes the first symbol that ftrace traces, {_place(multi, base)}."
        found.append(Diagnosis("ambiguous_multi", says, "is"))
    return found


def _place(symbol: SymbolView, base: int) -> str:
    """Where a copy is, and how it differs from an ordinary function."""
    text = symbol.module or "vmlinux"
    if not symbol.is_text:
        text += " data"
    elif symbol.in_init:
        text += " init code"
    where = address(symbol, base)
    if where:
        text += f" at {where}"
    return text


def _not_in_btf(lookup: Lookup, name: str, answers: dict[str, str]) -> list[Diagnosis]:
    """A function that kprobes take and fentry cannot, because BTF lacks it."""
    if answers.get("fentry") != "no" or lookup.has_btf_function(name):
        return []
    if answers.get("kprobe") != "yes":
        return []
    if not lookup.has_btf():
        says = "There is no BTF of this kernel, which fentry and its relatives need; kprobes do not need it."
        return [Diagnosis("no_btf", says, "is")]
    call = names.syscall_of(name)
    if call is not None:
        says = (
            f"BTF has no {name}: wrappers of system calls without arguments have an unnamed parameter, and pahole "
            "leaves those out."
        )
        return [Diagnosis("not_in_btf", says, "likely")]
    says = (
        f"BTF has no function {name}, likely because pahole found differing or optimised prototypes and left it out; "
        "kprobes do not need BTF."
    )
    return [Diagnosis("not_in_btf", says, "likely")]


def _known_change(lookup: Lookup, name: str, closed: bool) -> list[Diagnosis]:
    """What is known of a name that exists: calls that go past it, or the reason why it is closed."""
    step = known_changes.known_change(name, lookup.arch)
    if step is None:
        return []
    if is_bypassed(lookup, step):
        return [Diagnosis("bypassed", step.says, "likely")]
    if closed and step.change in (known_changes.NOT_PROBED, known_changes.INLINED):
        return [Diagnosis(step.change, step.says, "likely")]
    return []


def is_bypassed(lookup: Lookup, step: known_changes.KnownChange) -> bool:
    """Whether calls go past the symbol on this kernel: the function that replaced it is there too."""
    if step.change != known_changes.BYPASSED:
        return False
    functions = [c.target for c in step.candidates if c.attaches == known_changes.ENTRY]
    return bool(functions) and bool(lookup.symbols(functions[0]))


def _incomplete(lookup: Lookup, name: str, coverage: Coverage) -> list[Diagnosis]:
    """Calls that a probe on the symbol does not see."""
    if coverage.answer == "partial":
        return _partial(name, coverage)
    if coverage.answer == "none" and coverage.basis == "dwarf":
        return no_symbol.inlined(name, coverage)
    if coverage.answer == "complete" or names.suffixes(name):
        return []
    variants = [v for v in lookup.variants(name) if names.is_entry(v)]
    parts = [v for v in variants if "part" in names.suffixes(v)]
    clones = [v for v in variants if names.changed_signature(v) and v not in parts]
    if parts:
        says = (
            f"{names.listed(parts)} exists beside {name}: its head is likely inlined into some callers, and a probe "
            f"on {name} misses those calls."
        )
        return [Diagnosis("partly_inlined", says, "likely")]
    if clones:
        says = (
            f"{names.listed(clones)} exists beside {name}: calls that the compiler directed to it do not pass a "
            f"probe on {name}."
        )
        return [Diagnosis("cloned", says, "likely")]
    return []


def _partial(name: str, coverage: Coverage) -> list[Diagnosis]:
    """What a probe misses by debug information or a survey: *is* for this build, *likely* for any other."""
    certain = "is" if coverage.is_fact else "likely"
    word, basis = ("is", "") if coverage.is_fact else ("is likely", f", {no_symbol.as_elsewhere(coverage)}")
    if coverage.kind == "self only, recursive":
        inner = "inner calls are inlined" if coverage.is_fact else "inner calls are likely inlined"
        says = f"{name} calls itself, and {inner}: a probe sees the outer one{basis}."
        return [Diagnosis("partly_inlined", says, certain)]
    found = []
    if coverage.missed or coverage.missed_callers or not coverage.clones:
        missed = names.listed(coverage.missed_callers, "and")
        said = f": calls from {missed} are missed" if coverage.missed_callers and coverage.is_fact else ""
        found.append(Diagnosis("partly_inlined", f"{name} {word} also inlined elsewhere{said}{basis}.", certain))
    if coverage.clones:
        also = "also" if coverage.is_fact else "likely also"
        says = f"Calls of {name} {also} go to {names.listed(coverage.clones, 'and')}, past a probe on {name}{basis}."
        found.append(Diagnosis("cloned", says, certain))
    return found
