"""An access that is_valid_access takes is refused where convert_ctx_access makes nothing of it: code of a few lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from probe_scout.formats.image.access import READ, WRITE, Accesses
from probe_scout.formats.image.program import Program

pytest.importorskip("capstone")

_TEXT = 0xFFFF_FFFF_8100_0000
_TABLE, _OPS, _VALID, _CONVERT = _TEXT, _TEXT + 64, _TEXT + 128, _TEXT + 192
_OFFSETS = {
    ("bpf_verifier_ops", "is_valid_access"): 0,
    ("bpf_verifier_ops", "convert_ctx_access"): 8,
    ("bpf_insn_access_aux", "reg_type"): 0,
    ("bpf_insn_access_aux", "ctx_field_size"): 4,
    ("bpf_prog", "type"): 4,
    ("bpf_prog", "expected_attach_type"): 8,
    ("bpf_prog", "aux"): 16,
}
# info->ctx_field_size = 4; return 1;
_TAKES_ALL = bytes.fromhex("41c7400404000000 b801000000 c3")
# if (insn->off == 8) { *target_size = 4; return 1; } return 0;
_KNOWS_8 = bytes.fromhex("0fb74602 83f808 750d 41c70004000000 b801000000 c3 31c0 c3")
# return insn->off == 8;  the size of the field is left out
_WITHOUT_SIZE = bytes.fromhex("31c0 66837e0208 0f94c0 c3")
# prog->cb_access = 1; return 1;  in the byte of the bits behind `pages`
_NOTES = bytes.fromhex("80490208 41c70004000000 b801000000 c3")


def accesses(convert: bytes) -> Accesses:
    pieces = {
        _TABLE: _OPS.to_bytes(8, "little"),
        _OPS: _VALID.to_bytes(8, "little") + (_CONVERT if convert else 0).to_bytes(8, "little"),
        _VALID: _TAKES_ALL,
        _CONVERT: convert,
    }
    memory = b"".join(piece.ljust(64, b"\0") for piece in pieces.values())

    def text_at(address: int, size: int) -> bytes | None:
        at = address - _TEXT
        return memory[at : at + size] if 0 <= at < len(memory) else None

    def enumerators(name: str) -> dict[str, int]:
        return {"SCALAR_VALUE": 1, "PTR_TO_CTX": 2} if name == "bpf_reg_type" else {}

    facts: Any = SimpleNamespace(
        image=SimpleNamespace(text_at=text_at),
        address={"bpf_verifier_ops": _TABLE}.get,
        offset=lambda *path: _OFFSETS.get(path),
        pointer=lambda at: int.from_bytes(text_at(at, 8) or b"", "little"),
        first_name=lambda _: "",
        records=lambda: SimpleNamespace(btf=SimpleNamespace(enumerators=enumerators, find_ids=lambda *_: [])),
    )
    return Accesses(facts)


def test_no_instruction_is_a_refusal():
    image = accesses(_KNOWS_8)
    assert [image.allowed(Program(0), offset, 4) for offset in (4, 8, 12)] == [False, True, False]
    assert image.value() == ("scalar_value", False, 4)


def test_a_narrow_load_is_rewritten_as_its_field():
    image = accesses(_KNOWS_8)
    assert [image.allowed(Program(0), offset, 1) for offset in (7, 8, 9, 11, 12)] == [False, True, True, True, False]
    assert image.allowed(Program(0), 8, 2, WRITE) is False
    assert image.allowed(Program(0), 8, 4, WRITE) is True


def test_a_field_of_narrow_loads_whose_size_is_not_said():
    assert accesses(_WITHOUT_SIZE).allowed(Program(0), 8, 4, READ) is False


def test_a_note_in_the_program():
    assert accesses(_NOTES).allowed(Program(0), 8, 4) is True


def test_a_context_that_is_not_rewritten():
    assert accesses(b"").allowed(Program(0), 4, 4) is True
