"""Kept tables of BTF: with them and without them every question has the same answer."""

from __future__ import annotations

import random

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.btf import tables
from probe_scout.formats.btf.kinds import FUNC, STRUCT, TYPEDEF
from probe_scout.formats.btf.reader import Btf
from tests.builders.btf_writer import BtfWriter
from tests.formats.btf.test_reader import FORMS, small


class Given(dict):
    """Parts in memory; `whole` gives what `damaged` does not name."""

    damaged = ""

    def part(self, name):
        return memoryview(self[name]) if name in self else None

    def whole(self, name):
        return None if name == self.damaged else self.part(name)


def with_tables(raw: bytes, parts: dict[str, bytes] | None = None) -> Btf:
    return Btf(raw, tables=tables.Tables(Given(Btf(raw).make_tables() if parts is None else parts)))


def answers(btf: Btf, names) -> list[object]:
    kinds = frozenset((FUNC, STRUCT, TYPEDEF))
    return [
        [
            (name, btf.find_functions(name), btf.find_struct(name), btf.has_name(name), btf.find_ids(name, kinds))
            for name in names
        ],
        [btf.find_enumerators(name) for name in names],
        [btf.has_member("file", name) for name in names],
        btf.enumerators("bpf_attach_type"),
        btf.functions(),
        btf.function_shapes(),
        btf.decl_tags("bpf_kfunc"),
        list(btf.starts()),
        btf.is_sorted(),
    ]


def names_of(raw: bytes) -> list[str]:
    btf = Btf(raw)
    names = [name.decode() for name in raw[btf._strings_at : btf._strings_end].split(b"\0")]
    return [*names, *(name[1:] for name in names), *(f"{name}_" for name in names), "absent", "\0", ""]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_same_answers_in_every_form(form):
    raw = small(**form).bytes()
    assert answers(with_tables(raw), names_of(raw)) == answers(Btf(raw), names_of(raw))


def test_the_same_with_several_records_of_a_name_and_of_many_names():
    w = small()
    for number in range(1500):
        w.function(f"many_{number % 700}", 1, [("file", 3)] * (number % 3))
    raw = w.bytes()
    assert answers(with_tables(raw), names_of(raw)) == answers(Btf(raw), names_of(raw))
    assert len(with_tables(raw).find_functions("many_3")) == 3


def test_a_module_above_a_base_with_tables():
    base = small().bytes()
    module = BtfWriter(base=small())
    module.function("mod_open", 1, [("file", 3)])
    raw = module.bytes()
    for name in ("mod_open", "vfs_open", "file", "absent"):
        found = [Btf(raw, b).find_functions(name) for b in (Btf(base), with_tables(base))]
        assert found[0] == found[1]
        assert Btf(raw, Btf(base)).has_name(name) == Btf(raw, with_tables(base)).has_name(name)


def test_no_record_is_walked(monkeypatch):
    raw = small().bytes()
    parts = Btf(raw).make_tables()
    monkeypatch.setattr(Btf, "_walk", lambda self: pytest.fail("walked"))
    monkeypatch.setattr(Btf, "_positions_of", lambda self, name: pytest.fail("searched"))
    btf = with_tables(raw, parts)
    assert btf.find_functions("vfs_close")[0].type_id == 7
    assert btf.find_functions("absent") == ()
    assert btf.shape(6).nargs == 2


def test_tables_of_another_blob_give_no_wrong_answer():
    raw, other = small().bytes(), small()
    other.function("another", 1, [])
    parts = Btf(other.bytes()).make_tables()
    assert answers(with_tables(raw, parts), names_of(raw)) == answers(Btf(raw), names_of(raw))


@pytest.mark.parametrize("lost", ["btf starts", "btf infos", "btf named", "btf strings"])
def test_a_part_that_is_damaged_or_missing_is_made_up_for(lost):
    raw = small().bytes()
    good = answers(Btf(raw), names_of(raw))
    parts = Given(Btf(raw).make_tables())
    parts.damaged = lost
    assert answers(with_tables(raw, parts), names_of(raw)) == good
    del parts[lost]
    assert answers(with_tables(raw, parts), names_of(raw)) == good


def test_changed_bytes_of_the_tables_of_names_give_no_wrong_answer():
    raw = small().bytes()
    good = answers(Btf(raw), names_of(raw))
    made = Btf(raw).make_tables()
    rng = random.Random(3)
    for name in ("btf named", "btf strings"):
        for _ in range(60):
            changed = bytearray(made[name])
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            assert answers(with_tables(raw, {**made, name: bytes(changed)}), names_of(raw)) == good


def test_broken_records_have_no_tables():
    w = small()
    w.raw(0)
    with pytest.raises(Malformed):
        Btf(w.bytes()).make_tables()
