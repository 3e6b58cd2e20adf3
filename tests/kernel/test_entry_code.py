"""A function without an ftrace site may begin with a jump label: without its code a refusal is a guess.

Seen at __pkru_allows_pkey of 6.19 and random_get_entropy of 7.3, which the kernel accepts.
"""

from __future__ import annotations

import pytest

from probe_scout.kernel.kernel import Kernel
from probe_scout.model.target import parse
from probe_scout.probes.attach import bulk, verdicts
from probe_scout.sources import open_source

NOP5, PUSH = "0f1f440000", "55"


def answer(kernel, name="foo"):
    (verdict,) = verdicts.verdicts(kernel, parse(name), ("fentry",))
    return verdict.answer, verdict.errno, [gap.fact for gap in verdict.unread]


def by_scan(kernel, name="foo"):
    kernel.full()
    (traits,) = [traits for n, _, traits in bulk.lines(kernel) if n == name]
    return bulk.Sweep(kernel, ("fentry",)).answers(traits)[0]["fentry"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, ("unknown", None, ["entry_code"])),
        ({"bar": (PUSH, ())}, ("no", "EBUSY", [])),  # slices hold each entry that may be a no-op: this is none
        ({"foo": (NOP5, ("running",))}, ("yes", None, [])),
        ({"foo": (NOP5, ("jump_label",))}, ("unknown", None, ["entry_code"])),
        ({"foo": ("eb03", ("running",))}, ("no", "EBUSY", [])),
    ],
)
def test_what_the_code_shows(tiny_folder, code, said):
    kernel = Kernel(open_source(str(tiny_folder(["foo notrace", "bar"], code=code))))
    assert answer(kernel) == said
    assert by_scan(kernel) == said[0]


def test_a_function_with_a_site_needs_no_code(tiny_folder):
    kernel = Kernel(open_source(str(tiny_folder(["foo", "bar notrace"]))))
    assert (answer(kernel), by_scan(kernel)) == (("yes", None, []), "yes")
