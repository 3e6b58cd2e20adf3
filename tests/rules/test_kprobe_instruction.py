"""What kprobes answer for an instruction. Offsets of vfs_read are those that booted kernels were asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.arch import x86_64
from probe_scout.model import instruction as kinds
from probe_scout.model.verdict import NO, UNKNOWN, YES
from probe_scout.rules.kprobe_instruction import (
    Features,
    OffsetFacts,
    judge_number,
    judge_offset,
    probed_offset,
)
from tests.builders.damage import EXAMPLES

NEW = Features(adjusts_address=True, refuses_traps=True, emulates=True, cfi=False)  # 6.12, 7.3
MIDDLE = NEW._replace(refuses_traps=False)  # 6.1
OLD = MIDDLE._replace(adjusts_address=False)  # 5.10
BLIND = Features(None, None, None, None)

VFS_READ_IBT = bytes.fromhex("f30f1efae837d7c4ff415741564155415455534883ec6065488b042528000000")
VFS_READ = bytes.fromhex("e82ba9d8ff415741564155415455538b474489c583e5010f8457010000a90000")

COLD = OffsetFacts(
    offset_bytes=0,
    is_return=False,
    starts_with_endbr=False,
    ftrace_site=None,
    boundaries=(0,),
    decoded_bytes=1,
    kind=kinds.OTHER,
    inside=None,
    patch_site="",
    is_running_code=False,
)


def facts_of(code: bytes, offset: int, ftrace_site: int | None, is_return: bool = False) -> OffsetFacts:
    """Facts as the scanner tells them, for a function whose tables hold nothing."""
    look = x86_64.look(code, offset)
    return COLD._replace(
        offset_bytes=offset,
        is_return=is_return,
        ftrace_site=ftrace_site,
        starts_with_endbr=look.starts_with_endbr,
        boundaries=look.boundaries,
        decoded_bytes=look.decoded_bytes,
        kind=look.kind,
        inside=look.inside,
    )


def short(facts: OffsetFacts, features: Features) -> str:
    judgement = judge_offset(facts, features)
    return judgement.errno or judgement.answer


IBT_ANSWERS = [
    (0, YES),
    *((n, "EILSEQ") for n in (1, 2, 3)),
    (4, YES),
    *((n, "EILSEQ") for n in (5, 6, 7, 8)),
    (9, YES),
]
PLAIN_ANSWERS = [(0, YES), *((n, "EILSEQ") for n in (1, 2, 3, 4)), (5, YES)]


@pytest.mark.parametrize(("offset", "expected"), [*IBT_ANSWERS, (10, "EILSEQ"), (11, YES), (20, "EILSEQ")])
def test_offsets_of_a_function_with_endbr(offset, expected):
    pytest.importorskip("capstone")
    assert short(facts_of(VFS_READ_IBT, offset, 4), NEW) == expected


@pytest.mark.parametrize(("offset", "expected"), [*PLAIN_ANSWERS, (6, "EILSEQ"), (7, YES)])
@pytest.mark.parametrize("features", [OLD, MIDDLE])
def test_offsets_of_a_function_without_endbr(offset, expected, features):
    pytest.importorskip("capstone")
    assert short(facts_of(VFS_READ, offset, 0), features) == expected


@pytest.mark.parametrize(("offset", "expected"), IBT_ANSWERS)
def test_the_entry_needs_no_code_where_ftrace_has_a_record(offset, expected):
    unread = COLD._replace(
        starts_with_endbr=None,
        boundaries=None,
        decoded_bytes=0,
        kind=None,
        patch_site=None,
        ftrace_site=4,
        offset_bytes=offset,
    )
    assert short(unread, NEW) == (UNKNOWN if offset == 9 else expected)


@pytest.mark.parametrize(("offset", "expected"), [(0, YES), (4, YES), (5, "EINVAL"), (9, "EINVAL")])
def test_return_probes_of_a_function_with_endbr(offset, expected):
    pytest.importorskip("capstone")
    assert short(facts_of(VFS_READ_IBT, offset, 4, is_return=True), NEW) == expected


@pytest.mark.parametrize(("offset", "expected"), [(0, YES), (4, "EINVAL"), (5, "EINVAL")])
@pytest.mark.parametrize("features", [OLD, MIDDLE])
def test_return_probes_of_a_function_without_endbr(offset, expected, features):
    pytest.importorskip("capstone")
    assert short(facts_of(VFS_READ, offset, 0, is_return=True), features) == expected


def test_a_return_probe_at_four_is_unknown_while_endbr_is_unread():
    unread = COLD._replace(is_return=True, offset_bytes=4, starts_with_endbr=None)
    assert judge_offset(unread, NEW).answer == UNKNOWN
    assert short(unread, OLD) == "EINVAL"


def test_sym_plus_zero_is_probed_behind_endbr():
    entry = COLD._replace(starts_with_endbr=True)
    assert probed_offset(entry, NEW) == 4
    assert probed_offset(entry, OLD) == 0
    assert probed_offset(entry._replace(offset_bytes=9), NEW) == 9
    assert probed_offset(COLD, NEW) == 0
    assert probed_offset(entry, BLIND) is None


def test_a_record_behind_endbr_shows_that_addresses_are_adjusted():
    """Where the symbol was not read; a symbol that is not there is believed."""
    entry = COLD._replace(starts_with_endbr=None, ftrace_site=4)
    assert [probed_offset(entry, features) for features in (NEW, BLIND, OLD)] == [4, 4, 0]
    assert probed_offset(entry._replace(ftrace_site=0), BLIND) == 0


@pytest.mark.parametrize(
    ("offset", "boundaries", "decoded", "said"),
    [
        (3, None, 0, (NO, "not_boundary")),
        (4, None, 0, (UNKNOWN, "not_boundary")),
        (4, (0, 4), 8, (YES, "")),
        (7, (0, 4), 8, (NO, "not_boundary")),
        (8, (0, 4), 8, (UNKNOWN, "not_boundary")),  # the first byte that was not decoded
        (9, (0, 4), 8, (UNKNOWN, "not_boundary")),
    ],
)
def test_what_is_known_of_boundaries(offset, boundaries, decoded, said):
    """Behind ENDBR, in a function without a record: endbr64 is four bytes."""
    facts = COLD._replace(starts_with_endbr=True, offset_bytes=offset, boundaries=boundaries, decoded_bytes=decoded)
    judgement = judge_offset(facts, NEW)
    assert (judgement.answer, judgement.rule.partition(".")[2]) == said


def test_the_inside_of_a_site_is_refused_before_the_tables_on_old_kernels_only():
    inside = COLD._replace(ftrace_site=0, offset_bytes=2, patch_site="bug")
    assert judge_offset(inside, OLD).rule == "kprobe_instruction.inside_ftrace_site"
    assert judge_offset(inside, MIDDLE).rule == "kprobe_instruction.reserved"


@pytest.mark.parametrize("site", ["bug", "jump_label", "static_call"])
def test_an_address_in_the_kernels_tables_is_refused(site):
    assert judge_offset(COLD._replace(patch_site=site, kind=kinds.UD), NEW)[:3] == (
        NO,
        "EINVAL",
        "kprobe_instruction.reserved",
    )
    assert judge_offset(COLD._replace(patch_site=site, kind=kinds.CALL, ftrace_site=0), NEW).answer == YES


def test_a_cold_part_with_a_plain_first_instruction_is_accepted():
    assert judge_offset(COLD, NEW).answer == YES
    assert judge_offset(COLD._replace(is_return=True), NEW).answer == YES
    assert judge_offset(COLD, BLIND).answer == YES


def test_a_trap_outside_the_bug_table_is_refused_where_can_probe_looks():
    trap = COLD._replace(kind=kinds.UD)
    assert judge_offset(trap, NEW)[:3] == (NO, "EILSEQ", "kprobe_instruction.trap")
    assert judge_offset(trap, MIDDLE).answer == YES
    assert judge_offset(trap, BLIND).answer == UNKNOWN
    assert judge_offset(COLD._replace(kind=kinds.INT), NEW).errno == "EILSEQ"
    assert judge_offset(COLD._replace(kind=kinds.INT), MIDDLE).answer == UNKNOWN


def test_a_trap_with_unread_tables_is_refused_without_an_errno():
    trap = COLD._replace(kind=kinds.UD, patch_site=None)
    assert judge_offset(trap, NEW)[:3] == (NO, None, "kprobe_instruction.trap")
    assert judge_offset(trap, MIDDLE).answer == UNKNOWN


def test_unread_tables_matter_only_where_such_a_site_can_be():
    for kind in (kinds.CALL, kinds.JUMP, kinds.NOP5, kinds.PATCH2):
        assert judge_offset(COLD._replace(kind=kind, patch_site=None), NEW).answer == UNKNOWN
    assert judge_offset(COLD._replace(patch_site=None), NEW).answer == YES


@pytest.mark.parametrize(
    ("kind", "errno"),
    [
        (kinds.FAR, "EOPNOTSUPP"),
        (kinds.IRET, "EOPNOTSUPP"),
        (kinds.VMX, "EOPNOTSUPP"),
        (kinds.INDIRECT, "EOPNOTSUPP"),
        (kinds.MASKING, "EINVAL"),
        (kinds.EMULATED, "EINVAL"),
    ],
)
def test_instructions_that_kprobes_cannot_step_over(kind, errno):
    running = COLD._replace(kind=kind, is_running_code=True)
    assert judge_offset(running, NEW)[:2] == (NO, errno)
    assert short(running, NEW._replace(emulates=None)) == (UNKNOWN if errno == "EOPNOTSUPP" else errno)


def test_a_call_through_memory_in_an_image_may_be_another_in_the_running_kernel():
    assert judge_offset(COLD._replace(kind=kinds.INDIRECT), NEW).answer == UNKNOWN


def test_the_inside_of_a_patchable_instruction_is_unknown_in_an_image_only():
    pytest.importorskip("capstone")
    thunk_call = b"\x55\xe8\0\0\0\0\xc3"
    facts = facts_of(thunk_call, 3, None)
    assert judge_offset(facts, NEW).answer == UNKNOWN
    assert short(facts._replace(is_running_code=True, patch_site=""), NEW) == "EILSEQ"


def test_inside_what_may_be_a_jump_label_only_the_errno_is_open():
    pytest.importorskip("capstone")
    facts = facts_of(b"\x55\x0f\x1f\x44\0\0\xc3", 3, None)._replace(is_running_code=True)
    assert judge_offset(facts._replace(patch_site=None), NEW)[:2] == (NO, None)
    assert judge_offset(facts._replace(patch_site="jump_label"), NEW)[:2] == (NO, "EINVAL")
    assert judge_offset(facts._replace(patch_site=""), NEW)[:2] == (NO, "EILSEQ")


def test_unread_code_is_unknown():
    unread = COLD._replace(boundaries=None, kind=None)
    assert judge_offset(unread, NEW).rule == "kprobe_instruction.trap"
    assert judge_offset(unread._replace(offset_bytes=20), NEW)[:3] == (UNKNOWN, None, "kprobe_instruction.not_boundary")


def test_what_a_cfi_trap_decodes_is_refused_where_the_kernel_has_cfi():
    pair = COLD._replace(cfi_pair=True)
    assert short(pair, NEW._replace(cfi=True)) == "EILSEQ"
    assert short(pair, NEW) == YES
    assert short(pair, NEW._replace(cfi=None)) == UNKNOWN


@pytest.mark.parametrize(("offset", "answer"), [(0, YES), (0xFFFFFFFF, YES), (-1, NO), (1 << 32, NO)])
def test_a_number_that_is_no_offset(offset, answer):
    assert judge_number(offset, NEW).answer == answer


def test_such_a_number_has_another_errno_where_addresses_are_adjusted():
    assert [judge_number(-1, features).errno for features in (NEW, OLD, BLIND)] == ["ENOENT", "EINVAL", None]
    assert judge_number(-1, BLIND).answer == NO


TRISTATE = st.none() | st.booleans()
KINDS = st.sampled_from([value for name, value in vars(kinds).items() if name.isupper() and isinstance(value, str)])
FACTS = st.builds(
    OffsetFacts,
    offset_bytes=st.integers(0, 12),
    is_return=st.booleans(),
    starts_with_endbr=TRISTATE,
    ftrace_site=st.sampled_from((None, 0, 4)),
    boundaries=st.none() | st.sets(st.integers(1, 12)).map(lambda s: tuple(sorted(s | {0}))),
    decoded_bytes=st.integers(0, 14),
    kind=st.none() | KINDS,
    inside=st.none() | KINDS,
    patch_site=st.sampled_from((None, "", "bug", "jump_label", "static_call")),
    is_running_code=st.booleans(),
    cfi_pair=st.booleans(),
).filter(lambda f: f.ftrace_site is None or f.starts_with_endbr in (None, f.ftrace_site == 4))
FEATURES = st.builds(Features, TRISTATE, TRISTATE, TRISTATE, TRISTATE)


@pytest.mark.property
@EXAMPLES
@given(FACTS, FEATURES)
def test_every_refusal_has_a_rule_and_an_errno_that_the_kernel_knows(facts, features):
    judgement = judge_offset(facts, features)
    assert judgement.answer in (YES, NO, UNKNOWN)
    assert judgement.errno in ({"EINVAL", "EILSEQ", "EOPNOTSUPP", None} if judgement.answer == NO else {None})
    assert bool(judgement.rule) == (judgement.answer != YES)


@pytest.mark.property
@EXAMPLES
@given(FACTS, FEATURES, TRISTATE, TRISTATE, TRISTATE, TRISTATE)
def test_an_answer_without_a_feature_stands_when_the_feature_is_known(facts, features, adjusts, traps, emulates, cfi):
    """Unknown features may turn an answer into unknown, never into another answer."""
    answer = judge_offset(facts, features).answer
    read = Features(
        *(
            known if known is not None else later
            for known, later in zip(features, (adjusts, traps, emulates, cfi), strict=True)
        )
    )
    if answer != UNKNOWN and (facts.ftrace_site != 4 or read.adjusts_address):  # such records show that it adjusts
        assert judge_offset(facts, read).answer in (answer, UNKNOWN)
