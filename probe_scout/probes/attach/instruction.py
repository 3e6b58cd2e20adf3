"""kprobes at an offset inside a function: the symbol rules, then the instruction's."""

from __future__ import annotations

from bisect import bisect_right

from ... import arch
from ...arch import aarch64
from ...kernel import text as code
from ...model import facts
from ...model.target import OFFSET
from ...model.verdict import NO, UNKNOWN, YES, Finding, Verdict
from ...rules import judge
from ...rules import kprobe_instruction as rules
from ...rules.gate import Judgement
from . import evidence as verdict_evidence
from . import function_traits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...formats.text.kallsyms import SymbolTable
    from ...kernel.kernel import Kernel
    from ...kernel.symbols import View
    from ...model.facts import Unread
    from ...model.target import Target

_CODE_BYTES_MAX = 64 << 10
# Rules that look at no code.
_BY_OFFSET = (".not_entry", ".inside_ftrace_site", ".offset_range", ".unaligned", ".ftrace_site")
_HELD = {"bug": "a BUG or WARN", "jump_label": "a jump label", "static_call": "a static call"}


def verdicts(k: Kernel, target: Target, types: Sequence[str]) -> tuple[Verdict, ...]:
    """The verdicts for `function+offset`."""
    return tuple(_one(k, target, attach) for attach in types)


def _one(k: Kernel, target: Target, attach: str) -> Verdict:
    is_return = attach == "kretprobe"
    number = rules.judge_number(target.offset_bytes, _features(k))
    if number.answer == NO:
        return _said(k, attach, number)
    traits = function_traits.function_traits(k, target.name, target.module)
    # The first instruction is judged below, at the offset that is asked for.
    traits = traits._replace(first="", unread=traits.unread - {facts.CODE})
    outcome = judge.judge(k, attach, traits)
    verdict = verdict_evidence.verdict(
        k,
        attach,
        outcome,
        verdict_evidence.function_evidence(k, target.name, target.module),
        verdict_evidence.notes(k, attach, target.name),
    )
    view = k.view((target.name.encode(),))
    named = any(finding.rule.startswith("symbol_lookup.") for finding in verdict.findings)
    if view is None or (verdict.answer == NO and named) or not _rows(target, view.symbols):
        return verdict
    behind = _behind(k, target, view)
    if behind is not None:
        # The kernel judges the address, and so the symbol that lies there.
        return _one(k, behind, attach)
    # _kprobe_addr displaces to the symbol at the address (kallsyms_lookup_size_offset); which one, no name tells here.
    if verdict.answer == NO and not _is_inside(target, view):
        return verdict._replace(answer=UNKNOWN, errno=None, findings=(), notes=(), unread=_nowhere(k, target))
    if verdict.answer == NO:
        return verdict
    return merged(k, attach, verdict, *_instruction(k, target, view, is_return))


def merged(k: Kernel, attach: str, verdict: Verdict, judged: Judgement, held: str | None) -> Verdict:
    """The symbol's verdict with what the instruction's rules say. `held`: what the kernel's tables hold there."""
    if judged.answer == NO and verdict.answer == YES:
        return _said(k, attach, judged, held)
    if judged.answer == NO:
        return _said(k, attach, judged, held)._replace(errno_certain=False, unread=verdict.unread)
    if judged.answer == UNKNOWN:
        gap = verdict_evidence.explain_gap(k, facts.CODE, "")
        if gap.fact == facts.CODE:
            gap = gap._replace(why=f"{judged.says}; {k.code_why() or 'no code of this kernel was read'}")
        return verdict._replace(answer=UNKNOWN, unread=(*verdict.unread, gap), notes=())
    return verdict


def _row(target: Target, symbols: SymbolTable) -> int:
    """The line of kallsyms that is meant; the name is there, or the symbol rules have refused it."""
    return _rows(target, symbols)[0]


def _rows(target: Target, symbols: SymbolTable) -> Sequence[int]:
    """The lines of kallsyms that may be meant; none where a slice left the name out."""
    rows = symbols.rows(target.name.encode())
    if target.module not in (None, "vmlinux"):
        rows = [row for row in rows if symbols.modules[row] == (target.module or "").encode()]
    return rows


def _is_inside(target: Target, view: View) -> bool:
    """The offset lies inside the symbol, as far as kallsyms knows."""
    if view.symbols.hidden:
        return True
    start, end = view.symbols.extent(_row(target, view.symbols))
    return end == 1 << 64 or target.offset_bytes < end - start


def _behind(k: Kernel, target: Target, view: View) -> Target | None:
    """The symbol and offset at an address behind the end of the one asked for; None if inside, or not to be named.

    kernel/trace/trace_kprobe.c within_notrace_func and kernel/kprobes.c ask about the address's own symbol.
    """
    if _is_inside(target, view):
        return None
    whole = k.full()
    if whole is None:
        return None
    symbols = whole.symbols
    row = _row(target, symbols)
    module = symbols.modules[row]
    place = symbols.addresses[row] + target.offset_bytes
    starts = symbols.starts(module)
    address = starts[bisect_right(starts, place) - 1]
    for other in range(len(symbols.names)) if module else symbols.rows_at(address):
        if symbols.addresses[other] == address and symbols.modules[other] == module:
            name = symbols.names[other]
            if len(symbols.rows(name)) == 1:
                owner = module.decode() if module else None
                return target._replace(name=name.decode(), module=owner, offset_bytes=place - address)
    return None


def beyond(k: Kernel, target: Target) -> str:
    """The sentence about an offset behind the end of the function: its size, and whose code lies there; "" inside."""
    view = k.view((target.name.encode(),))
    if view is None or not view.symbols.rows(target.name.encode()) or _is_inside(target, view):
        return ""
    start, end = view.symbols.extent(_row(target, view.symbols))
    owner = _behind(k, target, view)
    place = f"{owner.name}+{owner.offset_bytes:#x}" if owner is not None else "code that no name tells apart"
    where = f" of module {owner.module}" if owner is not None and owner.module not in (None, target.module) else ""
    return f"{target.name} has {end - start:#x} bytes; the offset {target.offset_bytes:#x} lies in {place}{where}."


def _nowhere(k: Kernel, target: Target) -> tuple[Unread, ...]:
    gap = verdict_evidence.explain_gap(k, facts.CODE, "")
    return (gap._replace(why=f"the offset lies behind the end of {target.name}, in a symbol that no name tells apart"),)


def _said(k: Kernel, attach: str, judged: Judgement, held: str | None = None) -> Verdict:
    is_offset = judged.rule.endswith(_BY_OFFSET)
    evidence = "the offset asked for, and the function's ftrace site" if is_offset else k.evidence(facts.CODE)
    if held and judged.rule.endswith(".reserved"):
        evidence += f": {_HELD[held]}"
    finding = Finding(judged.rule, judged.says, evidence)
    return Verdict(attach, judged.answer, judged.errno, judged.errno is not None, (finding,), ())


def _arm64(k: Kernel, target: Target, view: View, is_return: bool) -> tuple[Judgement, str | None]:
    """The instruction's rules of arm64, which share nothing with those of x86-64 but the ids of some."""
    from ...kernel import arm64_text
    from ...rules import kprobe_instruction_arm64 as arm64

    row, offset = _row(target, view.symbols), target.offset_bytes
    sites = _arm64_sites(k, view, row)
    is_told = offset % 4 or (is_return and offset) or offset in sites or (sites and not offset)
    asked = arm64.OffsetFacts(
        offset,
        is_return,
        sites,
        () if is_told or view.symbols.hidden else arm64_text.words(k, view.symbols, row, offset),
        "" if is_told else arm64_text.reserved(k, view.symbols, row, offset),
    )
    features = arm64.Features(k.feature("exact_exclusive_masks"), k.feature("refuses_mops"))
    return arm64.judge_offset(asked, features), asked.reserved


def _arm64_sites(k: Kernel, view: View, row: int) -> tuple[int, ...]:
    """Where ftrace's record lies in the symbol; without the file of addresses the compiler's options tell."""
    if view.sites is None:
        return ()
    site = view.sites.site(view.symbols, row)
    if site is not None:
        return (site,)
    if (view.sites.addresses is not None and not view.symbols.hidden) or not view.sites.known(view.symbols, row):
        return ()
    behind_bti = k.option("CONFIG_ARM64_BTI_KERNEL")
    both = aarch64.SITE_OFFSET, aarch64.SITE_OFFSET_BTI
    return both if behind_bti is None else (both[behind_bti],)


def in_ops_pointer(k: Kernel, target: Target) -> bool:
    """The address lies in the pointer that arm64's ftrace keeps in front of every traced function.

    arch/arm64/Makefile, DYNAMIC_FTRACE_WITH_CALL_OPS: two words of padding before the function, and two more inside.
    """
    if target.kind != OFFSET or k.arch() != "aarch64" or not k.option("CONFIG_DYNAMIC_FTRACE_WITH_CALL_OPS"):
        return False
    view = k.full()
    if view is None or view.sites is None or view.sites.addresses is None or view.symbols.hidden:
        return False
    rows = view.symbols.rows(target.name.encode())
    if len(rows) != 1:
        return False
    place = view.symbols.addresses[rows[0]] + target.offset_bytes
    sites = view.sites.addresses.get(view.symbols.modules[rows[0]], [])
    at = bisect_right(sites, place)
    entry = sites[at] - aarch64.SITE_OFFSET if at < len(sites) else 0
    return entry - aarch64.OPS_BYTES <= place < entry


def _instruction(k: Kernel, target: Target, view: View, is_return: bool) -> tuple[Judgement, str | None]:
    """What the instruction's rules say, and what the kernel's tables hold at the address."""
    symbols = view.symbols
    row = _row(target, symbols)
    start, end = symbols.extent(row)
    offset = target.offset_bytes
    if end < 1 << 64 and offset >= end - start:
        says = f"the offset lies behind the end of {target.name} ({end - start:#x} bytes), in another symbol"
        return Judgement(UNKNOWN, None, "kprobe_instruction.other_symbol", says), None
    if k.arch() == "aarch64":
        return _arm64(k, target, view, is_return)
    if not arch.row(k.arch()).kprobes:
        says = f"instruction rules for {k.arch() or 'this architecture'} are not decoded here"
        return Judgement(UNKNOWN, None, "kprobe_instruction.not_decoded", says), None
    asked = _x86_facts(k, view, row, offset, is_return)
    return rules.judge_offset(asked, _features(k)), asked.patch_site


def _x86_facts(k: Kernel, view: View, row: int, offset: int, is_return: bool) -> rules.OffsetFacts:
    start, end = view.symbols.extent(row)
    size = end - start if end < 1 << 64 else _CODE_BYTES_MAX
    site = view.sites.site(view.symbols, row) if view.sites is not None else None
    found = code.text(k, view.symbols, row, min(size, _CODE_BYTES_MAX))
    if found is None:
        return rules.OffsetFacts(offset, is_return, None, site, None, 0, None, None, None, False)
    from ...arch import x86_64

    raw, is_running = found
    look = x86_64.look(raw, offset, is_running)
    probed = x86_64.entry_offset(raw) if offset == 0 else offset
    return rules.OffsetFacts(
        offset,
        is_return,
        look.starts_with_endbr,
        site,
        look.boundaries,
        look.decoded_bytes,
        look.kind,
        look.inside,
        code.reserved_word(k, view.symbols, row, probed, raw),
        is_running,
        look.cfi_pair,
    )


def _features(k: Kernel) -> rules.Features:
    # can_probe asks IS_ENABLED(CONFIG_CFI), which was CONFIG_CFI_CLANG before the option was renamed.
    cfi = k.config("CONFIG_CFI_CLANG"), k.config("CONFIG_CFI")
    return rules.Features(
        adjusts_address=k.feature("padding_check"),
        refuses_traps=k.feature("refuses_traps"),
        emulates=k.has_symbol("kprobe_emulate_call"),
        cfi=None if None in cfi else "y" in cfi,
    )
