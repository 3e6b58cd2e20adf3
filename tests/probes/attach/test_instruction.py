"""kprobes at an offset: which symbol decides where the offset leaves the one that was named."""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import instruction
from probe_scout.sources import open_source
from tests.builders.tiny_kernel import SYMBOL_BYTES

BEHIND = hex(SYMBOL_BYTES)


@pytest.mark.parametrize(
    ("asked", "answer", "errno"),
    [
        (f"first+{BEHIND}", "yes", None),  # the entry of `traced`
        (f"first+{SYMBOL_BYTES * 2:#x}", "no", "EINVAL"),  # the entry of `last`, which ftrace does not know
        (f"traced+{BEHIND}", "no", "EINVAL"),
        ("first+0x1", "no", "EINVAL"),
    ],
)
def test_the_symbol_at_the_address_decides(tiny_folder, asked, answer, errno):
    """within_notrace_func: first+0x20 of 6.12's dh_unpack_data.constprop.0 lies at the next function and is taken."""
    folder = tiny_folder(("first notrace", "traced", "last notrace"))
    (said,) = instruction.verdicts(Kernel(open_source(str(folder))), parse(asked), ("kprobe",))
    assert (said.answer, said.errno) == (answer, errno)


def test_a_place_that_no_name_tells_apart_is_unknown(tiny_folder):
    folder = tiny_folder(("first notrace", "twin", "second", "twin"))
    (said,) = instruction.verdicts(Kernel(open_source(str(folder))), parse(f"first+{BEHIND}"), ("kprobe",))
    assert said.answer == "unknown"
    assert "no name tells apart" in said.unread[0].why


def test_the_name_asked_for_must_be_there(tiny_folder):
    folder = tiny_folder(("first", "second"))
    (said,) = instruction.verdicts(Kernel(open_source(str(folder))), parse(f"nothing+{BEHIND}"), ("kprobe",))
    assert (said.answer, said.errno) == ("no", "ENOENT")


def test_an_offset_behind_the_end_says_whose_code_lies_there(tiny_kernel):
    kernel = tiny_kernel(("first", "second", "twin", "third", "twin"))
    (told,) = kernel.check(["first+0x110"], ["kprobe"]).targets[0].diagnosis
    assert (told.kind, told.says) == (
        "other_function",
        "first has 0x100 bytes; the offset 0x110 lies in second+0x10.",
    )
    (twin,) = kernel.check(["first+0x200"], ["kprobe"]).targets[0].diagnosis
    assert twin.says.endswith("lies in code that no name tells apart.")
    inside = kernel.check(["first+0x10", "nothing+0x10"], ["kprobe"])
    assert [d.kind for target in inside.targets for d in target.diagnosis if d.kind == "other_function"] == []


def test_no_image_is_asked_for_where_its_code_is_not_decoded(tiny_kernel):
    kernel = tiny_kernel(("__arm64_sys_bpf", "first"), without=("__x64_sys_bpf",))
    (verdict,) = kernel.check(["first+0x10"], ["kprobe"]).targets[0].verdicts
    assert verdict.answer == "unknown"
    assert [one.cure for one in verdict.unread] == ["ask the kernel itself: probe-scout verify, on the machine as root"]
