"""Cases of rules whose gate stands in no attach type's path: instructions at an offset, and loads of an event's record.

`fires` is what the rule refuses, `passes` what comes as near and is accepted, `unread` the same with the rule's fact
missing; NEEDS_NOTHING marks a rule that looks at the question alone, or at a fact whose absence is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from probe_scout.model import instruction as kinds
from probe_scout.rules import kprobe_instruction as x86
from probe_scout.rules import kprobe_instruction_arm64 as arm64
from probe_scout.rules import tracepoint_access as access
from probe_scout.rules.gate import Judgement

NEEDS_NOTHING = None
Asked = tuple[Any, Any]


class Case(NamedTuple):
    judge: Callable[[Any, Any], Judgement]
    fires: Asked
    passes: Asked
    unread: Asked | None


FEATURES = x86.Features(adjusts_address=True, refuses_traps=True, emulates=True, cfi=True)
# The second of three instructions of a function without a record; none of them is special.
PLAIN = x86.OffsetFacts(1, False, False, None, (0, 1, 4), 8, kinds.OTHER, None, "", True)


def on_x86(fires: Asked | x86.OffsetFacts, passes: Any, unread: Any = NEEDS_NOTHING) -> Case:
    def with_features(one: Any) -> Any:
        return (one, FEATURES) if isinstance(one, x86.OffsetFacts) else one

    return Case(x86.judge_offset, with_features(fires), with_features(passes), with_features(unread))


def of_kind(kind: str | None, **facts: Any) -> x86.OffsetFacts:
    return PLAIN._replace(kind=kind, **facts)


MOV, SITE, AUTIASP, ADD, LDR, LDXR, STXR = (
    *(0xAA1E03E9, 0xD503201F, 0xD50323BF, 0x91000421, 0xF9400020, 0xC85F7C20, 0xC8027C20),
)


def on_arm64(
    offset: int, *words: int, sites: tuple[int, ...] = (4,), reserved: str | None = "", **features: bool | None
) -> Asked:
    facts = arm64.OffsetFacts(offset, False, sites, tuple((word,) for word in words), reserved)
    return facts, arm64.Features(True, True)._replace(**features)


def load(offset: int, size: int, end: int | None = 40) -> Asked:
    return access.Load(offset, size, end), None


def of_load(fires: Asked, passes: Asked, unread: Asked | None = NEEDS_NOTHING) -> Case:
    return Case(lambda one, _: access.judge_load(one), fires, passes, unread)


CASES: dict[str, Case] = {
    "kprobe_instruction.offset_range": Case(x86.judge_number, (-1, FEATURES), (x86.UINT_MAX, FEATURES), NEEDS_NOTHING),
    "kprobe_instruction.not_entry": on_x86(
        PLAIN._replace(is_return=True),
        PLAIN._replace(is_return=True, offset_bytes=0),
        PLAIN._replace(is_return=True, offset_bytes=4, starts_with_endbr=None),
    ),
    "kprobe_instruction.reserved": on_x86(
        of_kind(kinds.UD, patch_site="bug"),
        of_kind(kinds.CALL, patch_site="static_call", offset_bytes=0, ftrace_site=0),
        of_kind(kinds.CALL, patch_site=None),
    ),
    "kprobe_instruction.inside_ftrace_site": on_x86(
        PLAIN._replace(ftrace_site=0, offset_bytes=4), PLAIN._replace(ftrace_site=0, offset_bytes=5, boundaries=None)
    ),
    "kprobe_instruction.not_boundary": on_x86(
        PLAIN._replace(offset_bytes=2), PLAIN._replace(offset_bytes=4), PLAIN._replace(offset_bytes=8)
    ),
    "kprobe_instruction.trap": on_x86(
        of_kind(kinds.INT),
        (of_kind(kinds.UD), FEATURES._replace(refuses_traps=False)),
        (of_kind(kinds.INT), FEATURES._replace(refuses_traps=None)),
    ),
    "kprobe_instruction.cfi": on_x86(
        PLAIN._replace(cfi_pair=True),
        (PLAIN._replace(cfi_pair=True), FEATURES._replace(cfi=False)),
        (PLAIN._replace(cfi_pair=True), FEATURES._replace(cfi=None)),
    ),
    "kprobe_instruction.not_copied": on_x86(of_kind(kinds.MASKING), of_kind(kinds.OTHER), of_kind(None)),
    "kprobe_instruction.not_emulated": on_x86(
        of_kind(kinds.INDIRECT), of_kind(kinds.CALL), of_kind(kinds.INDIRECT, is_running_code=False)
    ),
    "kprobe_instruction.unaligned": Case(
        arm64.judge_offset, on_arm64(6, MOV, SITE), on_arm64(8, MOV, SITE, ADD), NEEDS_NOTHING
    ),
    "kprobe_instruction.ftrace_site": Case(
        arm64.judge_offset, on_arm64(4, MOV, SITE), on_arm64(0, MOV, SITE), on_arm64(4, MOV, SITE, sites=(4, 8))
    ),
    "kprobe_instruction.extable": Case(
        arm64.judge_offset,
        on_arm64(8, MOV, SITE, LDR, reserved="extable"),
        on_arm64(8, MOV, SITE, LDR),
        on_arm64(8, MOV, SITE, LDR, reserved=None),
    ),
    "kprobe_instruction.rejected": Case(
        arm64.judge_offset, on_arm64(8, MOV, SITE, AUTIASP), on_arm64(8, MOV, SITE, ADD), on_arm64(8, MOV, SITE)
    ),
    "kprobe_instruction.exclusive": Case(
        arm64.judge_offset,
        on_arm64(12, MOV, SITE, LDXR, ADD, STXR),
        on_arm64(20, MOV, SITE, LDXR, ADD, STXR, ADD),
        on_arm64(12, MOV, SITE, 0xC8DFFC20, ADD, exact_masks=None),  # LDAR, which the older mask takes for LDXR
    ),
    "tracepoint_access.below_pointer_size": of_load(load(7, 1), load(8, 1)),
    "tracepoint_access.beyond_limit": of_load(load(8192, 1, 9000), load(8191, 1, 9000)),
    "tracepoint_access.unaligned": of_load(load(12, 8), load(12, 4)),
    "tracepoint_access.beyond_last_field": of_load(load(40, 1), load(39, 1), load(39, 1, None)),
}
