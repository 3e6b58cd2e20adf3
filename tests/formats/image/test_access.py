"""Loads and stores of contexts, read from kernel images, against booted kernels of the same build.

fixtures/calls/contexts.tsv.xz: every offset and size, for each program and attach type (tests/vm/contexts.py). The
images are those of the lab.
"""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

import pytest

from probe_scout.formats.image import access
from probe_scout.formats.image.access import Accesses
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.program import Program
from tests.vm import cache as lab
from tests.vm import contexts

pytest.importorskip("capstone")
pytestmark = pytest.mark.image
RECORDED = Path(__file__).resolve().parents[3] / "fixtures" / "calls" / "contexts.tsv.xz"
KERNELS = ("5.10", "6.1", "6.12", "7.3")


@cache
def facts(name: str) -> Facts:
    if not (lab.root() / "kernels" / name / "vmlinuz").exists():
        pytest.skip(f"the lab has no {name}: python -m tests.vm fetch {name}")
    return contexts.facts_of(name)


def lines_of(kernel: str) -> list[str]:
    text = lzma.decompress(RECORDED.read_bytes()).decode()
    return [line.partition("\t")[2] for line in text.splitlines() if line.startswith(f"{kernel}\t")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_load_and_store_is_answered_as_by_the_booted_kernel(kernel):
    told, untold, wrong = contexts.differences(facts(kernel), lines_of(kernel))
    assert wrong == []
    assert told > 30_000
    assert untold <= 2  # netfilter's, which asks the kernel's own types


def test_parts_that_are_refused_when_they_are_rewritten():
    """5.10: parts of a pointer and gaps, which is_valid_access takes and convert_ctx_access makes no instruction of."""
    image = facts("5.10")
    number = image.records().btf.enumerators("bpf_prog_type")
    accesses = Accesses(image)
    skb, sockopt = Program(number["BPF_PROG_TYPE_SCHED_CLS"], 0), Program(number["BPF_PROG_TYPE_CGROUP_SOCKOPT"], 21)
    assert accesses.allowed(skb, 168, 8) is True  # __sk_buff.sk
    assert [accesses.allowed(skb, 172, size) for size in (1, 2, 4)] == [False, False, False]
    assert accesses.allowed(sockopt, 8, 8) is True  # bpf_sockopt.optval
    assert accesses.allowed(sockopt, 12, 4) is False
    assert accesses.allowed(skb, 48, 4, access.WRITE) is True  # __sk_buff.cb, a note in the program


def test_what_a_load_gives():
    image = facts("6.12")
    accesses = Accesses(image)
    number = image.records().btf.enumerators("bpf_prog_type")
    xdp = Program(number["BPF_PROG_TYPE_XDP"], 0)
    assert accesses.allowed(xdp, 0, 4) is True
    assert accesses.value()[:2] == ("ptr_to_packet", False)
    assert accesses.allowed(xdp, 0, 2) is False
    skb = Program(number["BPF_PROG_TYPE_SCHED_CLS"], 0)
    assert accesses.allowed(skb, 0, 1) is True
    assert accesses.value() == ("scalar_value", False, 4)
    assert accesses.allowed(skb, 168, 8) is True
    assert accesses.value()[:2] == ("ptr_to_sock_common", True)


def test_contexts_that_are_arguments_are_not_told():
    image = facts("6.12")
    number = image.records().btf.enumerators("bpf_prog_type")
    accesses = Accesses(image)
    assert accesses.by_arguments(number["BPF_PROG_TYPE_LSM"])
    assert accesses.allowed(Program(number["BPF_PROG_TYPE_LSM"], 0), 0, 8) is None
    assert accesses.allowed(Program(number["BPF_PROG_TYPE_EXT"], 0), 0, 8) is None
