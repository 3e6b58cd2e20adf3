"""Objects with damage: any bytes are judged or refused with one sentence, in bounded time. What the kernels say of
whole objects is in tests/commands/test_lint.py, a corpus in test_corpus.py."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from pathlib import Path

import pytest

from probe_scout.commands.lint import _kept
from probe_scout.errors import Malformed
from probe_scout.formats.elf import bpf_object
from probe_scout.frontends.session import open_kernel
from probe_scout.model.verdict import NO, UNKNOWN, YES
from probe_scout.probes.objects.judge import Judge
from probe_scout.probes.objects.kernel_types import KernelTypes

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = int(os.environ.get("PROBE_SCOUT_EXAMPLES", "200"))
SECONDS_MAX, BYTES_MAX = 20, 64 << 20
OBJECTS = [path.read_bytes() for path in sorted((ROOT / "fixtures" / "objects").glob("*.bpf.o"))]


@pytest.fixture(scope="module")
def judge() -> Judge:
    kernel = open_kernel(str(ROOT / "fixtures" / "kernels" / "debian-6.12.107-amd64.tar.xz"))._kernel
    return Judge(KernelTypes(kernel), _kept(kernel))


def mutated(random: random.Random) -> bytes:
    """An object with bytes put, words of zeros, ones and noise, and its end cut off."""
    raw = bytearray(random.choice(OBJECTS))
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        how = random.random()
        at = random.randrange(len(raw))
        if how < 0.6:
            raw[at] = random.choice((0, 255, random.randrange(256)))
        elif how < 0.9:
            raw[at : at + 8] = random.choice((bytes(8), b"\xff" * 8, random.randbytes(8)))
        elif len(raw) > 200:
            del raw[random.randrange(100, len(raw)) :]
    return bytes(raw)


@pytest.mark.property
def test_mutated_objects_are_judged_or_refused(judge):
    source = random.Random(16)
    read = 0
    for number in range(EXAMPLES):
        raw = mutated(source)
        begin = time.process_time()
        try:
            whole, programs = judge.answer(bpf_object.read(raw, "x.o"))
        except Malformed as error:
            said = str(error)
        else:
            said = ""
        assert "\n" not in said, number
        assert time.process_time() - begin < SECONDS_MAX, number
        if said:
            continue
        read += 1
        for answer in (whole, *programs):
            assert answer.answer in (YES, NO, UNKNOWN), number
            assert answer.answer == YES or answer.findings, number
            assert (answer.answer == NO) == bool(answer.errno), number
    assert read > EXAMPLES // 10


def test_a_size_that_the_object_does_not_have_costs_no_memory(judge):
    """Sections, types and maps of 2^60 bytes: every eight bytes of the section headers set to ones."""
    raw = OBJECTS[0]
    headers = int.from_bytes(raw[40:48], "little")
    tracemalloc.start()
    for at in range(headers, len(raw) - 8, 8):
        try:
            judge.answer(bpf_object.read(raw[:at] + b"\xff" * 7 + b"\x0f" + raw[at + 8 :], "x.o"))
        except Malformed:
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES_MAX
