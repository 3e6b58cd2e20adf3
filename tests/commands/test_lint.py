"""`lint` against what libbpf and booted kernels said of the same kinds of programs (fixtures/objects/answers.tsv)."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

import probe_scout
from probe_scout.errors import UsageError
from probe_scout.frontends.cli import run

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / "fixtures" / "objects"
SNAPSHOTS = {
    "5.10": "debian-5.10.223-amd64.tar.xz",
    "6.12": "debian-6.12.107-amd64.tar.xz",
}
COLUMNS = ("5.10", "6.1", "6.12", "7.3")


def answers():
    for line in (OBJECTS / "answers.tsv").read_text().splitlines():
        if not line.startswith("#"):
            name, program, *cells = line.split("\t")
            for kernel, cell in zip(COLUMNS, cells, strict=True):
                if kernel in SNAPSHOTS:
                    yield name, program, kernel, cell


@functools.cache
def linted(name: str, kernel: str):
    opened = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / SNAPSHOTS[kernel]))
    report = opened.lint([str(OBJECTS / f"{name}.bpf.o")])
    (one,) = report.objects
    return one.kernels[0]


@pytest.mark.parametrize(("name", "program", "kernel", "expected"), list(answers()))
def test_program_as_the_loader_and_the_kernel_answered(name, program, kernel, expected):
    (found,) = [p for p in linted(name, kernel).programs if p.name == program]
    said = found.answer if found.answer == "yes" else f"{found.stage} {found.errno}"
    assert said == expected
    assert found.left_to_verifier == (expected == "yes")


def test_one_strong_extern_costs_every_program_of_the_object():
    found = linted("strong", "6.12")
    assert {p.name: (p.answer, p.errno) for p in found.programs} == {"p": ("no", "ESRCH"), "bystander": ("no", "ESRCH")}
    assert (found.object.answer, found.object.stage) == ("no", "load")


def test_sizes_left_to_the_loader_are_taken_as_set_for_a_program_and_not_for_the_object():
    found = linted("maps", "6.12")
    assert [p.answer for p in found.programs] == ["yes"]
    assert [f.rule for f in found.programs[0].findings] == ["object_load.sizes_set"]
    assert (found.object.answer, found.object.errno) == ("no", "EINVAL")


def test_maps_from_before_libbpf_1_0_do_not_open():
    found = linted("legacy", "6.12")
    assert (found.object.stage, found.object.errno) == ("open", "EOPNOTSUPP")
    assert "aya does" in found.object.findings[0].says


def test_a_program_that_is_not_loaded_by_default_is_judged_and_does_not_count_for_the_object():
    (found,) = [p for p in linted("targets", "6.12").programs if p.name == "not_by_default"]
    assert (found.autoload, found.answer) == (False, "yes")


def test_section_names_belong_to_the_release_of_libbpf():
    kernel = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / SNAPSHOTS["6.12"]))
    report = kernel.lint([str(OBJECTS / "targets.bpf.o")], libbpf="1.1", program="tcx_6_6")
    (program,) = report.objects[0].kernels[0].programs
    assert [f.rule for f in program.findings] == ["object_load.section_name"]
    with pytest.raises(UsageError):
        kernel.lint([str(OBJECTS / "targets.bpf.o")], libbpf="newest")


def test_objects_are_found_inside_other_files(tmp_path):
    inner = (OBJECTS / "trie.bpf.o").read_bytes()
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(500) + inner + bytes(64))
    archive = tmp_path / "lib.a"
    archive.write_bytes(
        b"!<arch>\n" + f"{'x.o/':16}{'0':12}{'0':6}{'0':6}{'644':8}{len(inner):<10}`\n".encode() + inner
    )
    kernel = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / SNAPSHOTS["6.12"]))
    report = kernel.lint([str(program), str(archive), str(tmp_path)])
    assert [one.path for one in report.objects] == [f"{program}@507"]  # the same bytes are judged once
    assert report.skipped == ()


@pytest.mark.parametrize("cut", [0, 3, 64, 500, 2000])
def test_a_damaged_object_is_one_sentence(tmp_path, cut):
    path = tmp_path / "cut.o"
    path.write_bytes((OBJECTS / "relocations.bpf.o").read_bytes()[:cut])
    kernel = probe_scout.open_kernel(str(ROOT / "fixtures" / "kernels" / SNAPSHOTS["6.12"]))
    report = kernel.lint([str(path)])
    assert report.objects == ()
    ((name, why),) = report.skipped
    assert name == str(path)
    assert why


def test_the_command_prints_the_document_and_ends_with_the_worst_answer(capsys):
    snapshot = str(ROOT / "fixtures" / "kernels" / SNAPSHOTS["6.12"])
    code = run.main(["lint", str(OBJECTS / "strong.bpf.o"), "--root", snapshot, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 1
    assert found["schema"] == "probe-scout/lint/1"
    (program, _) = found["objects"][0]["kernels"][0]["programs"]
    assert set(program) == {
        *("name", "section", "type", "autoload", "answer", "stage", "errno", "findings", "left_to_verifier"),
        "alternatives",
    }


def test_the_recorded_objects_are_those_of_the_sources():
    """The names of programs by another reader of ELF; the objects were compiled from bpf/objects."""
    from elftools.elf.elffile import ELFFile

    sources = {path.name.removesuffix(".c") for path in (ROOT / "bpf" / "objects").glob("*.bpf.c")}
    assert {path.name.removesuffix(".o") for path in OBJECTS.glob("*.o")} == sources
    with open(OBJECTS / "targets.bpf.o", "rb") as handle:
        symbols = ELFFile(handle).get_section_by_name(".symtab").iter_symbols()
        names = {symbol.name for symbol in symbols if symbol["st_info"]["type"] == "STT_FUNC"}
    assert names == {program.name for program in linted("targets", "6.12").programs}
