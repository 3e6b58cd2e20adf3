"""Which modules are taken to be loaded in a kernel that was not booted, and what the kernel then shows."""

from __future__ import annotations

import gzip
import json

import pytest

import probe_scout
from probe_scout.errors import UsageError
from probe_scout.frontends.cli import run
from probe_scout.kernel import loaded_modules
from tests.builders import package_writer as write
from tests.builders.image_writer import ModuleSymbol, bzimage, module
from tests.builders.tiny_image import TinyImage
from tests.builders.tiny_kernel import FEATURE_FUNCTIONS

RELEASE = "6.12.0-tiny"
TOP = f"lib/modules/{RELEASE}"


def ko(name: str, needs: str = "", parts: bool = False) -> bytes:
    """A module with a function that is called as it is, perhaps two parts of it, and one in .noinstr.text."""
    sections = {
        ".text": b"\x90" * 32,
        ".text.unlikely": b"\x90" * 16 + b"\x0f\x0b" * 8,
        ".noinstr.text": b"\x90" * 16,
        ".modinfo": f"name={name}\0depends={needs}\0".encode(),
    }
    symbols = [
        ModuleSymbol(f"{name}_open", ".text", 16),
        ModuleSymbol(f"{name}_closed", ".noinstr.text", 0),
    ]
    if parts:
        symbols += [
            ModuleSymbol(f"{name}_open.cold", ".text.unlikely", 0),
            ModuleSymbol(f"{name}_open.part.0", ".text.unlikely", 16),
        ]
    return module(sections, symbols, {".rela__mcount_loc": [(0, ".text", 16)]}, relocation=1)


MODULES = {
    "kernel/fs/top-one.ko": ko("top_one", "middle"),
    "kernel/lib/middle.ko.gz": gzip.compress(ko("middle", "base-two")),
    "kernel/lib/base-two.ko": ko("base_two"),
    "kernel/lib/alone.ko": ko("alone", parts=True),
}
LISTS = {"modules.builtin": b"kernel/fs/ext4/ext4.ko\n"}


@pytest.fixture(scope="module")
def vmlinuz() -> bytes:
    made = TinyImage()
    for name in (*FEATURE_FUNCTIONS, "vfs_read"):
        made.function(name)
    return bzimage(gzip.compress(made.elf(), 1))


@pytest.fixture(scope="module")
def places(vmlinuz, tmp_path_factory) -> dict[str, str]:
    """The same kernel as one package, as a folder of two, unpacked, and as an image beside its modules."""
    tmp = tmp_path_factory.mktemp("places")
    boot = {f"boot/vmlinuz-{RELEASE}": vmlinuz, f"boot/config-{RELEASE}": b"CONFIG_KPROBES=y\n"}
    lib = {f"usr/{TOP}/{path}": raw for path, raw in (MODULES | LISTS).items()}
    (tmp / "one.deb").write_bytes(write.deb(boot | lib))
    (tmp / "two").mkdir()
    (tmp / "two" / "linux-image.deb").write_bytes(write.deb(boot))
    (tmp / "two" / "linux-modules.rpm").write_bytes(write.rpm({name[4:]: raw for name, raw in lib.items()}))
    for path, raw in (boot | {name[4:]: raw for name, raw in lib.items()}).items():
        place = tmp / "tree" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
    return {
        "package": str(tmp / "one.deb"),
        "packages": str(tmp / "two"),
        "tree": str(tmp / "tree"),
        "image": str(tmp / "tree" / "boot" / f"vmlinuz-{RELEASE}"),
        "only image": str(tmp / "two" / "linux-image.deb"),
    }


PLACES = ["package", "packages", "tree", "image"]


@pytest.mark.parametrize("place", PLACES)
def test_what_a_module_needs_is_loaded_before_it(places, place):
    kernel = probe_scout.open_kernel(places[place], modules="top-one")
    read = kernel._kernel.source.read
    assert [line.split()[:4] for line in read("proc/modules").decode().splitlines()] == [
        ["top_one", "4096", "0", "-"],
        ["middle", "4096", "1", "top_one,"],
        ["base_two", "4096", "1", "middle,"],
    ]
    ours = [line.split()[2] for line in read("proc/kallsyms").splitlines() if line.endswith(b"]")]
    assert ours == [
        b"top_one_open",
        b"top_one_closed",
        b"middle_open",
        b"middle_closed",
        b"base_two_open",
        b"base_two_closed",
    ]
    sites = [line for line in read("sys/kernel/tracing/available_filter_functions").splitlines() if b"[" in line]
    assert sites == [b"base_two_open [base_two]", b"middle_open [middle]", b"top_one_open [top_one]"]
    report = kernel.check(["top_one:top_one_closed", "top_one_open", "vfs_read", "alone_open"], types=["kprobe"])
    assert [(t.verdicts[0].answer, t.verdicts[0].errno) for t in report.targets] == [
        ("no", "EINVAL"),
        ("yes", None),
        ("yes", None),
        ("no", "ENOENT"),
    ]
    assert kernel.info().assumed[0] == "these modules are loaded: base_two, middle, top_one"


@pytest.mark.parametrize("place", PLACES)
def test_parts_of_a_function_are_judged_by_the_code_of_the_file(places, place):
    """Nothing lists them, so the first instruction decides: a no-op, or the ud2 of a BUG."""
    kernel = probe_scout.open_kernel(places[place], modules="alone")
    report = kernel.check(["alone_open.cold", "alone_open.part.0"], types=["kprobe"])
    assert [(t.verdicts[0].answer, t.verdicts[0].errno) for t in report.targets] == [("yes", None), ("no", "EINVAL")]
    rows = {row.target: row.answers["kprobe"] for row in kernel.scan("alone_*", types=["kprobe"]).rows}
    assert rows == {"alone_open": "yes", "alone_closed": "no", "alone_open.cold": "yes", "alone_open.part.0": "no"}


@pytest.mark.parametrize("place", ["package", "tree"])
def test_all_and_none(places, place):
    everything = probe_scout.open_kernel(places[place], modules="all")._kernel.source.read("proc/modules")
    assert {line.split()[0] for line in everything.splitlines()} == {b"top_one", b"middle", b"base_two", b"alone"}
    none = probe_scout.open_kernel(places[place], modules="none")
    assert none._kernel.source.read("proc/modules") == b""
    assert none.info().assumed[0] == "no modules are loaded"


def test_a_list_of_another_machine_names_what_is_not_here(places, tmp_path):
    listed = tmp_path / "modules"
    listed.write_text(
        "gone 4096 0 - Live 0x0000000000000000\nmiddle 4096 0 - Live 0x0\next4 1 0 - Live 0x0\nalone 1 0 - Live 0x0\n"
    )
    kernel = probe_scout.open_kernel(places["package"], modules=f"@{listed}")
    assert [line.split()[0] for line in kernel._kernel.source.read("proc/modules").splitlines()] == [
        b"middle",
        b"base_two",
        b"alone",
    ]
    assert kernel.info().assumed[-1] == "not loaded, as this kernel has no such module: gone"


def test_lists_begin_with_the_module_that_was_loaded_last(tmp_path):
    path = tmp_path / "list"
    path.write_text("Module                  Size  Used by\nb 1 0\na-c 1 1 b\n")
    assert loaded_modules.wanted(f"@{path}").names == ("a_c", "b")
    path.write_text("# ours\na\nb\n")
    assert loaded_modules.wanted(f"@{path}").names == ("a", "b")


@pytest.mark.parametrize(
    ("root", "modules", "says"),
    [
        ("package", "xfz", "has no module xfz"),
        ("tree", "none,alone", "is no name of a module"),
        ("only image", "alone", "holds no modules; put all packages"),
        ("package", "@/no/such", "No such file"),
    ],
)
def test_a_mistake_is_one_sentence(places, root, modules, says):
    with pytest.raises(UsageError, match=says):
        probe_scout.open_kernel(places[root], modules=modules).info()


def test_built_in_names_are_no_mistake(places):
    kernel = probe_scout.open_kernel(places["tree"], modules="ext4,alone")
    assert kernel.info().assumed[0] == "this module is loaded: alone"


def test_a_fleet_keeps_the_functions_of_the_modules_it_was_told(places, tmp_path, capsys, monkeypatch):
    """Other modules are other functions: the build is judged again, with them; the same list is not judged twice."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list").write_text("alone\n")
    asked = []
    for modules in ("none", "alone", "@list", "all", "all"):
        assert run.main(["fleet", "add", places["package"], f"--modules={modules}", "--json"]) == 0
        added = json.loads(capsys.readouterr().out)["added"][0]
        run.main(["fleet", "ask", "alone_open", "--type=kprobe", "--json"])
        answers = json.loads(capsys.readouterr().out)["answers"]
        asked.append((added["outcome"], answers[0]["state"], added["functions"]))
    alone = [(outcome, state) for outcome, state, _ in asked]
    assert alone == [("added", "absent"), *[("again", "kept")] * 3, ("kept", "kept")]
    assert [functions - asked[0][2] for *_, functions in asked] == [0, 4, 4, 10, 10]
    assert run.main(["fleet", "ask", "alone_open", "--modules=all"]) == 2
    assert "--modules belongs to fleet add" in capsys.readouterr().err


def test_a_kernel_that_was_booted_takes_no_list(tmp_path, capsys):
    assert run.main(["check", "vfs_read", "--modules=all"]) == 2
    assert "--modules is for a kernel that was not booted" in capsys.readouterr().err


def test_on_the_command_line(places, capsys):
    line = ["check", "alone_open", "--type=kprobe", f"--root={places['tree']}", "--json"]
    assert run.main([*line, "--modules=alone"]) == 0
    assert json.loads(capsys.readouterr().out)["targets"][0]["verdicts"][0]["answer"] == "yes"
    assert run.main(line) == 1


def test_a_snapshot_keeps_the_modules(places, tmp_path):
    out = tmp_path / "kept.tar.gz"
    assert run.main(["snapshot", f"--from={places['package']}", "--modules=alone", "-o", str(out)]) == 0
    report = probe_scout.open_kernel(str(out)).check(["alone_open", "alone_closed"], types=["kprobe"])
    assert [t.verdicts[0].answer for t in report.targets] == ["yes", "no"]
    assert report.kernel.assumed[0] == "this module is loaded: alone"


def test_several_kernels_in_a_folder_are_told_apart_by_the_user(places, vmlinuz, tmp_path):
    (tmp_path / "boot").mkdir()
    for name in ("vmlinuz-1", "vmlinuz-2"):
        (tmp_path / "boot" / name).write_bytes(vmlinuz)
    with pytest.raises(probe_scout.ProbeScoutError, match=r"several kernels \(boot/vmlinuz-1, boot/vmlinuz-2\)"):
        probe_scout.open_kernel(str(tmp_path)).info()
