"""What kprobes of arm64 answer for an offset. The offsets of ktime_get are those that booted kernels were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from probe_scout.model.verdict import NO, UNKNOWN, YES
from probe_scout.rules.kprobe_instruction_arm64 import Features, OffsetFacts, judge_offset

# Words of Debian 6.12's functions, and which offsets its kernel took; what the tables hold is told by `held`.
RECORDED = Path(__file__).with_name("recorded") / "arm64_offsets.jsonl"
NEW, OLD, BLIND = Features(True, True), Features(False, False), Features(None, None)
MOV, SITE, PACIASP, AUTIASP, RET = 0xAA1E03E9, 0xD503201F, 0xD503233F, 0xD50323BF, 0xD65F03C0
LDXR, STXR, LDAR, STLR, ADD, LDR, B = 0xC85F7C20, 0xC8027C20, 0xC8DFFC20, 0xC89FFC20, 0x91000421, 0xF9400020, 0x14000004


def ask(offset, *words, sites=(4,), reserved="", is_return=False, kernel=NEW):
    made = tuple(word if isinstance(word, tuple) else (word,) for word in words)
    said = judge_offset(OffsetFacts(offset, is_return, sites, made, reserved), kernel)
    return said.answer, said.rule.partition(".")[2]


@pytest.mark.parametrize(
    ("offset", "is_return", "said"),
    [
        (0, False, (YES, "")),
        (0, True, (YES, "")),
        (4, False, (NO, "ftrace_site")),
        (4, True, (NO, "not_entry")),
        (8, True, (NO, "not_entry")),
        (1, False, (NO, "unaligned")),
        (6, False, (NO, "unaligned")),
        (8, False, (UNKNOWN, "rejected")),
    ],
)
def test_what_needs_no_code(offset, is_return, said):
    assert ask(offset, is_return=is_return, reserved=None) == said


def test_one_of_two_sites_is_not_told():
    assert ask(4, sites=(4, 8)) == (UNKNOWN, "ftrace_site")
    assert ask(0, sites=(4, 8)) == (YES, "")


@pytest.mark.parametrize("held", ["bug", "jump_label", "extable"])
def test_a_table_holds_the_address(held):
    assert ask(8, MOV, SITE, ADD, reserved=held) == (NO, "extable" if held == "extable" else "reserved")


def test_an_instruction_decides():
    assert ask(8, MOV, SITE, PACIASP) == (YES, "")
    assert ask(8, MOV, SITE, AUTIASP) == (NO, "rejected")
    assert ask(12, MOV, SITE, AUTIASP, RET) == (YES, "")
    assert ask(0, AUTIASP, sites=()) == (NO, "rejected")
    assert ask(8, MOV, SITE, 0xD4200080) == (UNKNOWN, "rejected")  # somebody's kprobe


@pytest.mark.parametrize(("word", "said"), [(ADD, YES), (LDR, UNKNOWN), (SITE, UNKNOWN), (B, UNKNOWN), (AUTIASP, NO)])
def test_tables_that_were_not_read_matter_where_the_word_may_be_theirs(word, said):
    assert ask(8, MOV, SITE, word, reserved=None)[0] == said


def test_between_an_exclusive_load_and_its_store():
    pair = (MOV, SITE, LDXR, ADD, STXR, ADD)
    assert [ask(4 * at, *pair)[1] for at in range(2, 6)] == ["rejected", "exclusive", "rejected", ""]


def test_load_acquire_counts_by_the_older_mask():
    words = (MOV, SITE, LDAR, ADD, STLR, ADD)
    assert ask(12, *words, kernel=NEW) == (YES, "")
    assert ask(12, *words, kernel=OLD) == (NO, "exclusive")
    assert ask(12, *words, kernel=BLIND) == (UNKNOWN, "exclusive")
    assert ask(20, *words, kernel=BLIND) == (YES, "")


def test_the_scan_ends_after_128_instructions():
    assert ask(8 + 4 * 128, MOV, SITE, LDXR, *[ADD] * 128) == (NO, "exclusive")
    assert ask(8 + 4 * 129, MOV, SITE, LDXR, *[ADD] * 129) == (YES, "")


def test_what_boot_may_put_there_must_agree():
    assert ask(8, MOV, SITE, (ADD, PACIASP)) == (YES, "")
    assert ask(8, MOV, SITE, (ADD, AUTIASP)) == (UNKNOWN, "rejected")
    assert ask(8, MOV, SITE, (LDXR, AUTIASP)) == (NO, "rejected")
    assert ask(8, MOV, SITE, ()) == (UNKNOWN, "rejected")
    assert ask(12, MOV, SITE, (LDXR, ADD), ADD) == (UNKNOWN, "exclusive")
    assert ask(12, MOV, SITE, (), ADD) == (UNKNOWN, "exclusive")
    assert ask(16, MOV, SITE, LDXR, (ADD, STXR), ADD)[0] == UNKNOWN


@pytest.mark.parametrize(
    ("offset", "words", "sites", "said"),
    [
        (12, (MOV, SITE, LDXR, ()), (4,), (NO, "exclusive")),  # whatever stands there
        (12, (MOV, SITE, ADD), (4,), (UNKNOWN, "rejected")),
        (16, (MOV, SITE, ADD), (4,), (UNKNOWN, "rejected")),
        (4, (LDXR, ADD), (), (NO, "exclusive")),
        (4, (ADD, ADD), (), (YES, "")),
        (12, (MOV, LDXR, ADD, ADD), (4,), (YES, "")),  # ftrace writes its site at boot, whatever the image holds
        (16, (MOV, LDXR, LDXR, ADD, ADD), (8,), (YES, "")),
        (16, (MOV, SITE, ADD, LDXR, ADD), (8,), (NO, "exclusive")),
        (12, (MOV, SITE, LDXR, ADD), (4, 8), (YES, "")),
    ],
)
def test_how_far_the_scan_goes_back(offset, words, sites, said):
    assert ask(offset, *words, sites=sites) == said


@pytest.mark.parametrize("held", ["bug", "extable"])
def test_a_later_rule_settles_what_an_earlier_one_left_open(held):
    """Every errno is EINVAL, so the order does not show."""
    assert ask(8, MOV, SITE, ADD, sites=(4, 8), reserved=held)[0] == NO


@pytest.mark.parametrize(("kernel", "said"), [(NEW, NO), (OLD, YES), (BLIND, UNKNOWN)])
def test_memory_copy_is_refused_where_the_kernel_knows_it(kernel, said):
    assert ask(8, MOV, SITE, 0x19010440, kernel=kernel)[0] == said


@pytest.mark.parametrize("line", RECORDED.read_text().splitlines(), ids=lambda line: json.loads(line)["name"])
def test_offsets_of_a_booted_kernel(line):
    one = json.loads(line)
    words = tuple((int(one["words"][at : at + 8], 16),) for at in range(0, len(one["words"]), 8))
    kernel = Features(exact_masks=False, refuses_mops=None)  # 6.12
    said = {YES: [], NO: [], UNKNOWN: []}
    for offset in sorted(one["yes"] + one["no"]):
        held = one["held"].get(str(offset), "")
        facts = OffsetFacts(offset, False, (one["site"],), words[: offset // 4 + 1], held)
        said[judge_offset(facts, kernel).answer].append(offset)
    assert said == {YES: one["yes"], NO: one["no"], UNKNOWN: []}
