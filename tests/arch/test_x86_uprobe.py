"""arch/x86_uprobe.py: what running kernels said of uprobes on single instructions, and what they did."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from probe_scout.arch import x86_uprobe as uprobe

RECORDED = Path(__file__).parent / "recorded"
TRUTH = Path(__file__).parents[3] / "shared" / "truth" / "uprobes"
ERRNO = {None: 0, "ENOEXEC": 8, "ENOTSUPP": 524}
# The decoders of the kernels that were asked, by what each is known to have (not by its number).
EVERY_EDITION = tuple(uprobe.Edition(*one) for one in product((True, False), repeat=5))
EDITIONS = {
    "5.10": uprobe.OLDEST,
    "6.1": uprobe.OLDEST,
    "6.12": uprobe.OLDEST._replace(apx=True),
    "6.18": uprobe.Edition(apx=True, invalid64=True, xop=True, nop10=False, nops=False),
    "7.3": uprobe.NEWEST,
}


def _differs(kernel: str, bits: int, code: bytes, errno: int, page_left: int = 4096) -> str:
    found = uprobe.analyze(code, bits == 64, EDITIONS[kernel], page_left)
    return "" if ERRNO[found.errno] == errno else f"{kernel} {bits} {code.hex()}: {errno}, here {found}"


def test_recorded_opcodes():
    lines = gzip.decompress((RECORDED / "opcodes.tsv.gz").read_bytes()).decode().splitlines()[1:]
    assert len(lines) > 3000
    rows = [line.split("\t") for line in lines]
    wrong = [_differs(kernel, int(bits), bytes.fromhex(code), int(errno)) for kernel, bits, code, errno in rows]
    assert not [one for one in wrong if one]
    assert {errno for *_, errno in rows} == {"0", "8", "524"}


@pytest.mark.parametrize("name", ["opcodes", "attach"])
def test_all_answers(name: str):
    """Every recorded answer, where the truth lies beside the repository."""
    path = TRUTH / f"{name}.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the repository")
    wrong, count = [], 0
    for line in gzip.open(path, "rt"):
        row = json.loads(line)
        if row.get("mapped") == "after" or row.get("kind") == "end":  # nobody looked at the bytes
            continue
        count += 1
        kernel = ".".join(row["kernel"].split(".")[:2])
        left = 4096 - row.get("offset", 0) % 4096
        if differs := _differs(kernel, row["bits"], bytes.fromhex(row["bytes"]), row["errno"], left):
            wrong.append(differs)
    assert count > 6000
    assert not wrong


# vex.jsonl: instruction, its bytes, and whether the program's results stayed the same on five kernels of five.
VEX = [
    ("vmovdqu %ymm0,(%rdi)", "c5fe7f07", "jump", False),
    ("vpor %ymm1,%ymm0,%ymm0", "c5fdebc1", "jump", False),
    ("vpsubsb %ymm1,%ymm0,%ymm0", "c5fde8c1", "call", False),
    ("vpshufd $0x1b,%xmm0,%xmm0", "c5f970c01b", "jump", False),
    ("vmovd %xmm0,%eax", "c5f97ec0", "jump", False),
    ("vpcmpeqb %ymm1,%ymm0,%ymm0", "c5fd74c1", "jump", False),
    ("vcmpps $0,%ymm1,%ymm0,%ymm0", "c5fcc2c100", "return", None),
    ("vzeroupper", "c5f877", "jump", True),
    ("andn %ecx,%ebx,%eax", "c4e260f2c1", "", True),
    ("vmovups (%rdi),%ymm0", "c5fc1007", "", True),
    ("movdqu %xmm0,(%rdi)", "f30f7f07", "", True),
    ("pcmpeqb %xmm1,%xmm0", "660f74c1", "", True),
]


@pytest.mark.parametrize(("text", "code", "misread", "same"), VEX, ids=[row[0] for row in VEX])
def test_vex_is_read_as_legacy(text: str, code: str, misread: str, same: bool | None):
    found = uprobe.analyze(bytes.fromhex(code))
    assert (found.refused, found.misread) == ("", misread)
    assert found.harmless == (same is True)


@pytest.mark.parametrize("code", ["c5f96ec7", "c5fe6f07", "c5fdefc0", "c5fdd4c1"])  # vmovd, vmovdqu, vpxor, vpaddq
def test_vex_refused_by_its_opcode(code: str):
    assert uprobe.analyze(bytes.fromhex(code)).errno == "ENOTSUPP"


def test_bytes_of_any_kind_give_an_answer():
    noise = random.Random(13)
    for edition in EDITIONS.values():
        for _ in range(4000):
            code = noise.randbytes(noise.randrange(17))
            for is_64bit in (True, False):
                found = uprobe.analyze(code, is_64bit, edition)
                assert found.decoded is None or 1 <= found.decoded.length <= 15


def test_boundaries_are_those_of_objdump():
    """Length by length through a program of this machine, beside binutils."""
    objdump, program = shutil.which("objdump"), Path("/bin/true")
    if objdump is None or not program.is_file():
        pytest.skip("needs objdump and /bin/true")
    text = subprocess.run(
        [objdump, "-d", "-j", ".text", "--insn-width=16", str(program)], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") >= 2]
    if "x86-64" not in text:
        pytest.skip("not an x86-64 program")
    codes = [(bytes.fromhex(row[1]), row[2]) for row in rows if "(bad)" not in row[2]]
    assert len(codes) > 500
    for code, words in codes:
        found = uprobe.decode(code)
        assert found is not None, words
        assert found.length == len(code), words


def test_what_two_bytes_or_no_edition_tell_is_what_every_edition_says():
    """`is_plain` and `analyze_any` are short ways: they say nothing, or what the whole decoder says."""
    chance = random.Random(7)
    heads = [bytes([a]) for a in range(256)] + [
        bytes([a, b]) for a in (0x41, 0x48, 0x66, 0x8F, 0xC5) for b in range(256)
    ]
    heads += [b"\xf3\x0f\x1e\xfa", b"\x62\xf5\x7c\x08", b"\x66\x2e\x0f\x1f\x84", b"\x66\xeb\x00", b"\xd5\x08\x01"]
    plain = settled = 0
    for head in heads * 4:
        code = (head + chance.randbytes(16))[:16]
        if head in heads[-4:-3]:
            code = head + bytes(11)
        all_say = {uprobe.analyze(code, True, edition) for edition in EVERY_EDITION}
        answers = {(one.refused, one.misread, one.harmless) for one in all_say}
        if uprobe.is_plain(code):
            plain += 1
            assert answers == {("", "", True)}, code.hex()
        if (told := uprobe.analyze_any(code)) is not None:
            settled += 1
            assert answers == {(told.refused, told.misread, told.harmless)}, code.hex()
    assert plain > len(heads)
    assert len(heads) * 5 // 2 < settled < len(heads) * 4
