"""From debug files to surveys, by API and command: one class a name, one file a kernel, nothing half done."""

from __future__ import annotations

import os
import struct

import pytest

from probe_scout.errors import Malformed, UsageError
from probe_scout.formats.dwarf.inline_facts import Row
from probe_scout.frontends.cli import run
from probe_scout.probes.inlining import survey
from probe_scout.probes.inlining.survey import build, own
from probe_scout.probes.inlining.survey.cell import written
from tests.commands.test_inline import BUILD_ID, OTHER_ID, debug_file


def row(name, kind, symbols=(), missed=0, file="a.c"):
    return Row(name, file, 1, kind, tuple(symbols), missed, missed)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([row("f", "no", ["f"])], "no"),
        ([row("f", "partial", ["f"], 9)], "partial"),
        ([row("f", "no", ["f", "f.part.0", "f.cold"])], "no|part"),
        ([row("f", "transformed", ["f.constprop.0.isra.0"])], "transformed|constprop,isra"),
        ([row("f", "no", ["f", "f.llvm.123"])], "no|llvm"),
        ([row("f", "no", ["f"]), row("f", "full", file="b.c")], "no||full"),  # two functions of one name
        ([row("f", "no", ["f"]), row("f", "partial", ["f"], file="b.c")], "partial||no"),
        ([row("f", "no", ["f"]), row("f", "gone", file="weak.c")], "no"),  # an overridden weak definition
        ([row("f", "full"), row("f", "transformed", ["f.isra.0"], file="b.c")], "transformed|isra|full"),
    ],
)
def test_several_functions_of_one_name_become_one_cell(rows, text):
    assert {name: written(cell) for name, cell in build.cells_of({"f": rows}).items()} == {"f": text}


def test_names_that_symbols_do_not_have():
    rows = {
        "new": [row("new", "no", ["_RNv3new"], file="lib.rs")],  # Rust: no name that a probe could take
        "alias": [row("alias", "no", ["real"])],  # the linkage name is the symbol
        "a\tb": [row("a\tb", "full")],
    }
    assert {name: written(cell) for name, cell in build.cells_of(rows).items()} == {"real": "no"}


def test_kernels_are_in_the_order_of_their_numbers():
    collected = build.Collected()
    for release in ("6.12.1-x", "6.1.0-x", "5.10.0-x"):
        collected.add(build.Read(release, "vmlinux", "aa", build.cells_of({"f": [row("f", "no", ["f"])]})))
    again = build.Collected()
    from .conftest import table

    read = table(collected.encoded())
    again.take(read)
    assert read.kernels == list(again.kernels) == ["5.10.0-x", "6.1.0-x", "6.12.1-x"]
    assert again.encoded() == collected.encoded()


# a user's own


@pytest.fixture
def keeping(monkeypatch, tmp_path, shipped):
    """The cache is on, in a folder of its own; surveys are asked."""
    monkeypatch.delenv("PROBE_SCOUT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "probe-scout" / "surveys"


@pytest.fixture
def vmlinux(tmp_path):
    def write(build_id=BUILD_ID, name="vmlinux-6.99.0-tiny", is_module=False):
        path = tmp_path / name
        raw = bytearray(debug_file(build_id))
        if is_module:
            raw[16:18] = struct.pack("<H", 1)  # ET_REL
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return str(path)

    return write


def test_a_kernel_of_ones_own_is_a_fact_from_then_on(vmlinux, keeping):
    before = survey.state()
    assert survey.lookup(BUILD_ID.hex(), "both") is None
    (made,) = own.add([vmlinux()]).kernels
    assert (made.release, made.build_id, made.added, made.shipped) == (
        "6.99.0-tiny",
        BUILD_ID.hex(),
        ("vmlinux",),
        False,
    )
    assert survey.state() != before
    entry = survey.lookup(BUILD_ID.hex(), "both")
    assert (entry.kind, entry.basis, entry.missed, entry.kernels) == ("partial", "survey", 1, ("6.99.0-tiny",))
    assert survey.lookup(OTHER_ID.hex(), "both").basis == "survey-other"
    assert [one.release for one in own.listed().kernels if not one.shipped] == ["6.99.0-tiny"]
    assert oct(os.stat(made.path).st_mode & 0o777) == "0o600"
    assert [oct(os.stat(folder).st_mode & 0o777) for folder in (keeping, keeping.parent)] == ["0o700", "0o700"]


def test_modules_join_their_kernel_until_it_is_another_build(vmlinux, keeping):
    module = vmlinux(bytes(19) + b"m", "lib/modules/6.99.0-tiny/kernel/drivers/nvme-core.ko.debug", True)
    own.add([vmlinux()])
    (made,) = own.add([module]).kernels
    assert (made.build_id, made.modules, made.added) == (BUILD_ID.hex(), ("nvme_core",), ("nvme_core",))
    assert survey.lookup(bytes(19).hex() + b"m".hex(), "gone", "nvme-core").kind == "full"
    (made,) = own.add([vmlinux()]).kernels
    assert made.modules == ("nvme_core",)  # the same build again
    (made,) = own.add([vmlinux(OTHER_ID)]).kernels
    assert (made.build_id, made.modules) == (OTHER_ID.hex(), ())
    assert survey.lookup(BUILD_ID.hex(), "both").basis == "survey-other"


def test_a_survey_made_elsewhere_is_taken_as_its_debug_files_were(vmlinux, keeping, tmp_path):
    module = vmlinux(bytes(19) + b"m", "lib/modules/6.99.0-tiny/kernel/drivers/nvme-core.ko.debug", True)
    (made,) = own.add([vmlinux(), module]).kernels
    elsewhere = tmp_path / "copied"
    os.rename(made.path, elsewhere)
    assert survey.lookup(BUILD_ID.hex(), "both") is None
    (again,) = own.add([str(elsewhere)]).kernels
    assert again == made
    with open(again.path, "rb") as kept:
        assert kept.read() == elsewhere.read_bytes()
    elsewhere.write_bytes(elsewhere.read_bytes()[:-40])
    with pytest.raises(Malformed):
        own.add([str(elsewhere)])


def test_nothing_is_kept_if_one_file_is_broken(vmlinux, keeping, tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(debug_file()[:300])
    with pytest.raises(Malformed):
        own.add([vmlinux(), str(broken)])
    assert not keeping.exists()


def test_a_file_without_build_id_is_refused(vmlinux, keeping):
    with pytest.raises(UsageError, match="has no build-id"):
        own.add([vmlinux(b"")])


def test_without_a_cache_nothing_is_kept(vmlinux):
    with pytest.raises(UsageError, match="no cache folder"):
        own.add([vmlinux()])


def test_a_folder_that_others_may_write_to_is_not_believed(vmlinux, keeping):
    own.add([vmlinux()])
    keeping.chmod(0o777)
    assert survey.lookup(BUILD_ID.hex(), "both") is None
    with pytest.raises(PermissionError):
        own.add([vmlinux()])


def test_the_command_adds_and_lists(vmlinux, keeping, capsys):
    assert run.main(["survey", vmlinux()]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("6.99.0-tiny  build 000102030405, ")
    assert "  read     vmlinux" in out
    assert "reading" in err
    assert run.main(["survey", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "release,build_id,modules,shipped,path"
    assert [line.split(",")[3] for line in (lines[1], lines[-1])] == ["yes", "no"]
    assert run.main(["survey", "--json"]) == 0
    assert '"schema": "probe-scout/survey/1"' in capsys.readouterr().out
    assert run.main(["survey", "--format", "ndjson"]) == 0
    assert capsys.readouterr().out.count('"release"') == len(lines) - 1


@pytest.mark.parametrize(("text", "code"), [(None, 2), (b"no ELF file", 4), (b"", 4)])
def test_a_file_that_cannot_be_read_is_one_sentence(keeping, tmp_path, capsys, text, code):
    path = tmp_path / "vmlinux"
    if text is not None:
        path.write_bytes(text)
    assert run.main(["survey", str(path)]) == code
    assert "Traceback" not in capsys.readouterr().err
