"""proc/kcore, written here as the ELF core file that fs/proc/kcore.c shows."""

from __future__ import annotations

import os

import pytest
from hypothesis import given

from probe_scout.errors import Broken, Denied, NotThere, SourceError
from probe_scout.sources import kcore
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.image_writer import Load, elf_core

TEXT, MODULES = 0xFFFFFFFF81000000, 0xFFFFFFFFC0000000
CORE = elf_core([Load(TEXT, b"\xf3\x0f\x1e\xfa" + b"\x90" * 60), Load(MODULES, b"\x55\x48\x89\xe5")], b"NOTE", kind=4)


@pytest.fixture
def core(tmp_path):
    path = tmp_path / "kcore"
    path.write_bytes(CORE)
    return str(path)


def test_text_is_read_by_running_address(core):
    assert kcore.read_text(core, TEXT, 4) == b"\xf3\x0f\x1e\xfa"
    assert kcore.read_text(core, MODULES + 1, 3) == b"\x48\x89\xe5"


def test_several_places_are_read_in_order_of_asking(core):
    assert kcore.read_texts(core, ((MODULES, 1), (TEXT, 1))) == (b"\x55", b"\xf3")


@pytest.mark.parametrize(("address", "size"), [(TEXT - 1, 4), (TEXT + 62, 4), (0, 1), (TEXT, 1 << 40), (TEXT, -1)])
def test_an_address_in_no_region_is_not_there(core, address, size):
    with pytest.raises(NotThere):
        kcore.read_text(core, address, size)


def test_an_absent_file_is_not_there(tmp_path):
    with pytest.raises(NotThere, match="No such file"):
        kcore.read_text(str(tmp_path / "kcore"), TEXT, 4)


@pytest.mark.parametrize("call", ["open", "pread"])
def test_lockdown_is_denied(core, monkeypatch, call):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(Denied, match="Operation not permitted"):
        kcore.read_text(core, TEXT, 4)


@pytest.mark.parametrize("size", [0, 20, 64 + 30, len(CORE) - 6])
def test_a_file_that_ends_early_is_broken(tmp_path, size):
    path = tmp_path / "kcore"
    path.write_bytes(CORE[:size])
    with pytest.raises(Broken, match="ends"):
        kcore.read_text(str(path), MODULES, 4)


def test_a_file_that_is_no_core_is_broken(tmp_path):
    path = tmp_path / "kcore"
    path.write_bytes(b"\x7fELF\x01" + CORE[5:])
    with pytest.raises(Broken, match="ELF64"):
        kcore.read_text(str(path), TEXT, 4)


@pytest.mark.property
@EXAMPLES
@given(damaged(CORE))
def test_a_damaged_core_is_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("core") / "kcore"
    path.write_bytes(raw)
    try:
        text = kcore.read_text(str(path), TEXT, 4)
    except SourceError:  # NotThere, Denied or Broken, as every source raises
        return
    assert len(text) == 4
