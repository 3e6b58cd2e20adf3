"""`check` of user functions and USDT probes: programs compiled here, below a root of their own and a small kernel."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from probe_scout.errors import UsageError
from probe_scout.frontends.cli import run
from probe_scout.frontends.session import open_kernel
from probe_scout.model.user_target import USDT, USER_FUNCTION, UserTarget, is_user, read
from tests.builders import programs
from tests.builders.tiny_kernel import tiny_files
from tests.builders.tree import write_tree

PLACES = r"""
#include <stddef.h>
__attribute__((naked, noinline)) void locked(void) { __asm__("lock incl counter(%rip)\n nop\n ret"); }
__attribute__((naked, noinline)) void stores(void) { __asm__("vmovdqu %ymm0,(%rsp)\n vzeroupper\n ret"); }
__attribute__((naked, noinline)) void clears(void) { __asm__("vzeroupper\n ret"); }
__attribute__((naked, noinline)) void copies(void) { __asm__("rep movsb\n ret"); }
__attribute__((naked, noinline)) void loops(void) { __asm__("1: dec %edi\n jnz 1b\n ret"); }
__attribute__((naked, noinline)) void calls(void) { __asm__("mov $60,%eax\n ret"); }
__attribute__((naked, noinline)) void asks(void) { __asm__("syscall\n ret"); }
__attribute__((naked, noinline)) void tail(void) { __asm__("nop\n jmp calls"); }
__attribute__((naked, noinline)) void again(void) { __asm__("dec %edi\n jz 1f\n call again\n1: ret"); }
__attribute__((naked, noinline)) void trap(void) { __asm__("int3\n ret"); }
int counter;
int main(void) { return 0; }
"""
CXX = r"""
#include <stdexcept>
namespace ns { struct Box { int put(int x); void fail(); };
int Box::put(int x) { return x + 1; }
void Box::fail() { throw std::runtime_error("x"); }
template <class T> T twice(T x) { return x + x; } template int twice<int>(int); }
int main() { ns::Box b; return b.put(1) - 2; }
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    programs.compiled(folder, "places", PLACES, "-fno-pie", "-no-pie")
    programs.library(folder)
    programs.compiled(folder, "traced", programs.USDT)
    programs.compiled(folder, "cxx", CXX, compiler="g++")
    return folder


@pytest.fixture
def kernel(built, tmp_path):
    """A mounted root with the programs in /app and libps.so in a library folder."""
    write_tree(tmp_path, tiny_files(symbols=("foo", "ata_hook [libata]")))
    (tmp_path / "app").mkdir()
    (tmp_path / "usr/lib").mkdir(parents=True, exist_ok=True)
    for name in ("places", "traced", "cxx"):
        shutil.copy(built / name, tmp_path / "app" / name)
    shutil.copy(built / "libps.so", tmp_path / "usr/lib/libps.so.1")
    return open_kernel(str(tmp_path))


def ask(kernel, text: str, *types: str):
    """The only report of a target."""
    (report,) = kernel.check([text], types).targets
    return report


def answers(report) -> dict[str, tuple[str, str | None]]:
    return {v.attach: (v.answer, v.errno) for v in report.verdicts}


def limits(report) -> set[str]:
    return {limit.id.partition(".")[2] for limit in report.limits}


# spelling

SPELLINGS = [
    ("/bin/bash:readline", UserTarget(USER_FUNCTION, "/bin/bash", "readline")),
    ("/bin/bash:readline+0x10", UserTarget(USER_FUNCTION, "/bin/bash", "readline", 16)),
    ("/bin/bash:0x1234", UserTarget(USER_FUNCTION, "/bin/bash", "", 0x1234)),
    ("./a:f", UserTarget(USER_FUNCTION, "./a", "f")),
    ("libc.so.6:malloc@GLIBC_2.2.5", UserTarget(USER_FUNCTION, "libc.so.6", "malloc@GLIBC_2.2.5")),
    ("uprobe//bin/bash:readline", UserTarget(USER_FUNCTION, "/bin/bash", "readline", attach="uprobe")),
    ("uretprobe.multi//bin/x:f*", UserTarget(USER_FUNCTION, "/bin/x", "f*", attach="uretprobe.multi")),
    ("u:/bin/bash:readline", UserTarget(USER_FUNCTION, "/bin/bash", "readline", attach="uprobe")),
    ("uprobe:libssl:SSL_write", UserTarget(USER_FUNCTION, "libssl", "SSL_write", attach="uprobe")),
    ('SEC("uprobe.s//bin/x:f")', UserTarget(USER_FUNCTION, "/bin/x", "f", attach="uprobe.s")),
    ("pid:12:main", UserTarget(USER_FUNCTION, "", "main", pid=12)),
    ("pid:12:libc:malloc", UserTarget(USER_FUNCTION, "libc", "malloc", pid=12)),
    ("pid:12:/usr/bin/x:f", UserTarget(USER_FUNCTION, "/usr/bin/x", "f", pid=12)),
    ("pid:12:ns::Box::put", UserTarget(USER_FUNCTION, "", "ns::Box::put", pid=12)),
    ("container:0123456789ab:/x:f", UserTarget(USER_FUNCTION, "/x", "f", container="0123456789ab")),
    ("/a:ns::Box::put(int)", UserTarget(USER_FUNCTION, "/a", "ns::Box::put(int)")),
    ("/a:main.(*T).Do", UserTarget(USER_FUNCTION, "/a", "main.(*T).Do")),
    ("usdt:/a:prov:name", UserTarget(USDT, "/a", "name", provider="prov")),
    ("usdt//a:prov:name", UserTarget(USDT, "/a", "name", provider="prov")),
    ("pid:5:usdt:prov:name", UserTarget(USDT, "", "name", pid=5, provider="prov")),
    ("pid:5:usdt:libc:libc:name", UserTarget(USDT, "libc", "name", pid=5, provider="libc")),
]


@pytest.mark.parametrize(("text", "target"), SPELLINGS, ids=[row[0] for row in SPELLINGS])
def test_spellings(text: str, target: UserTarget):
    assert is_user(text)
    assert read(text) == target
    assert read(str(target))._replace(attach=target.attach) == target


@pytest.mark.parametrize(
    "text", ["vfs_read", "xfs:xfs_file_open", "tp:sched:sched_switch", "kprobe/vfs_read", "libata:x"]
)
def test_kernel_targets_are_not_taken(text: str):
    assert not is_user(text)


@pytest.mark.parametrize("text", ["/bin/bash:", "/bin/bash", "usdt:/a:", "pid:1:usdt:x:", "uprobe:", "usdt:x"])
def test_targets_that_name_no_place(text: str, kernel):
    with pytest.raises(UsageError):
        kernel.check([text])


# verdicts


def test_a_plain_function(kernel):
    report = ask(kernel, "/app/places:calls")
    assert report.kind == "user_function"
    assert answers(report) == dict.fromkeys(
        ("uprobe", "uretprobe", "uprobe.multi", "uretprobe.multi", "uprobe.session"), ("yes", None)
    )
    assert (report.limits, report.hazards) == ((), ())
    (site,) = report.place.sites
    symbols = programs.run(programs.tool("nm"), str(Path(kernel._root) / "app/places"))
    assert site.address == int(re.search(r"^(\w+) T calls$", symbols, re.M)[1], 16)
    assert report.forms[0].form == "uprobe//app/places:calls"


def test_refused_instruction_of_a_file_nobody_is_known_to_map(kernel):
    report = ask(kernel, "/app/places:locked", "uprobe")
    assert answers(report) == {"uprobe": ("unknown", None)}
    assert [u.fact for u in report.verdicts[0].unread] == ["mapped"]
    assert limits(report) == {"uprobe_refused"}
    assert report.limits[0].effect == "never"
    assert report.alternatives[0].target == "/app/places:locked+0x7"


PLACED = [
    ("stores", {"uprobe_vex"}, {"hazard.uprobe_vex"}),
    ("clears", set(), set()),
    ("copies", {"uprobe_repeats"}, set()),
    ("loops", {"uprobe_repeats"}, set()),
    ("asks", set(), {"hazard.uprobe_syscall"}),
    ("tail", {"uretprobe_tail_call"}, set()),
    ("again", {"uretprobe_nesting"}, set()),
    ("trap", {"uprobe_refused"}, set()),
    ("calls+1", {"uprobe_inside"}, {"hazard.uprobe_inside"}),
    ("calls+5", {"uprobe_offset"}, set()),
    ("_start", {"uretprobe_no_return"}, {"hazard.uretprobe_start"}),
]


@pytest.mark.parametrize(("name", "want", "dangers"), PLACED, ids=[row[0] for row in PLACED])
def test_limits_and_dangers_of_a_place(name: str, want: set[str], dangers: set[str], kernel):
    report = ask(kernel, f"/app/places:{name}")
    assert limits(report) == want
    assert {hazard.id for hazard in report.hazards} == dangers


def test_an_offset_is_the_same_place(kernel):
    by_name = ask(kernel, "/app/places:stores")
    offset = by_name.place.sites[0].offset
    by_offset = ask(kernel, f"/app/places:{offset:#x}")
    assert limits(by_offset) == limits(by_name)
    assert by_offset.place.sites[0].offset == offset
    assert set(answers(by_offset)) == {"uprobe", "uprobe.multi"}  # returns are asked for by their type


def test_return_probe_inside_a_function(kernel):
    report = ask(kernel, "/app/places:calls+5", "uretprobe")
    assert "hazard.uretprobe_offset" in {hazard.id for hazard in report.hazards}


@pytest.mark.parametrize(
    ("text", "errno"),
    [
        ("/app:f", {"uprobe": "EINVAL", "uprobe.multi": "EBADF"}),
        ("/app/places:0x7fffffff", {"uprobe": "EINVAL", "uprobe.multi": "EINVAL"}),
        ("/app/places:no_such", {"uprobe": "ENOENT", "uprobe.multi": "ENOENT"}),
    ],
)
def test_files_and_names_that_are_not_there(text: str, errno: dict[str, str], kernel):
    report = ask(kernel, text, "uprobe", "uprobe.multi")
    assert answers(report) == {attach: ("no", name) for attach, name in errno.items()}


def test_a_file_that_the_snapshot_has_not(kernel):
    report = ask(kernel, "/app/nothing:f", "uprobe")
    assert answers(report) == {"uprobe": ("unknown", None)}
    assert [(u.fact, u.kind) for u in report.verdicts[0].unread] == [("user_file", "not_recorded")]


def test_a_file_that_is_no_program(kernel):
    (Path(kernel._root) / "app/text").write_text("#!/bin/sh\n")
    report = ask(kernel, "/app/text:0x0")
    assert set(answers(report).values()) == {("yes", None)}
    assert limits(report) == {"uprobe_not_code"}
    named = ask(kernel, "/app/text:main")
    assert set(answers(named).values()) == {("no", "ENOENT")}


# names


def test_versions(kernel):
    both = ask(kernel, "libps.so.1:twice")
    assert both.place.file == "/usr/lib/libps.so.1"
    assert [s.version for s in both.place.sites if s.chosen] == ["PS_2.0"]
    assert limits(both) == {"uprobe_versions"}
    assert "refused" in both.forms[0].says
    old = ask(kernel, "libps.so.1:twice@PS_1.0")
    assert [s.version for s in old.place.sites if s.chosen] == ["PS_1.0"]
    assert old.place.sites[0].offset != next(s.offset for s in both.place.sites if s.chosen)


def test_an_ifunc_is_its_resolver(kernel):
    report = ask(kernel, "libps.so.1:picked")
    assert limits(report) == {"uprobe_ifunc"}
    assert report.limits[0].effect == "never"
    assert report.place.sites[0].kind == "ifunc"


def test_a_name_that_is_only_called(kernel):
    report = ask(kernel, "/app/traced:__libc_start_main")
    assert set(answers(report).values()) == {("no", "ENOENT")}
    assert "calls __libc_start_main" in report.verdicts[0].findings[0].says


def test_library_by_its_short_name(kernel):
    report = ask(kernel, "libps:entry")
    assert report.place.file == "/usr/lib/libps.so.1"
    assert "libbpf takes libps for a program" in report.diagnosis[0].says


def test_a_module_named_like_a_library_stays_one(kernel):
    assert ask(kernel, "libata:ata_hook").kind == "function"


@pytest.mark.parametrize("name", ["ns::Box::put", "ns::Box::put(int)", "_ZN2ns3Box3putEi", "ns::Box::pu?(int)"])
def test_cxx_names(name: str, kernel):
    report = ask(kernel, f"/app/cxx:{name}")
    assert set(answers(report).values()) == {("yes", None)}
    assert report.prototype == "int ns::Box::put(int x)"
    assert "hazard.uretprobe_exception" in {hazard.id for hazard in report.hazards}


def test_a_pattern_gives_one_report_for_each(kernel):
    found = kernel.check(["/app/cxx:_ZN2ns3Box*"]).targets
    assert {report.prototype for report in found} == {"int ns::Box::put(int x)", "void ns::Box::fail()"}


def test_stripped_file_and_its_debug_file(kernel):
    root = Path(kernel._root)
    path = programs.compiled(root / "app", "plain", programs.PROGRAM, "-Wl,--build-id")
    debug = root / "debug"
    os.replace(programs.stripped(path, "--only-keep-debug"), debug)
    os.replace(programs.stripped(path), path)
    report = ask(kernel, "/app/plain:work")
    assert set(answers(report).values()) == {("no", "ENOENT")}
    assert "stripped" in {d.kind for d in report.diagnosis}
    from probe_scout.formats.elf.user_image import UserImage

    build = UserImage(path.read_bytes(), "x").build_id
    home = root / "usr/lib/debug/.build-id" / build[:2]
    home.mkdir(parents=True)
    os.replace(debug, home / f"{build[2:]}.debug")
    report = ask(open_kernel(str(root)), "/app/plain:work")
    assert set(answers(report).values()) == {("yes", None)}
    assert report.place.sites[0].source == "debug"


def test_mini_debug_info(kernel):
    root = Path(kernel._root)
    path = programs.compiled(root / "app", "plain", programs.PROGRAM)
    os.replace(programs.with_mini_debug(path), path)
    report = ask(kernel, "/app/plain:work")
    assert set(answers(report).values()) == {("yes", None)}
    assert report.place.sites[0].source == "minidebug"


@pytest.mark.parametrize("flags", [(), ("-ldflags=-s -w",)], ids=["symbols", "stripped"])
def test_go(flags: tuple[str, ...], kernel, tmp_path_factory):
    folder = tmp_path_factory.mktemp("go")
    shutil.copy(programs.go_program(folder, *flags), Path(kernel._root) / "app/go")
    report = ask(kernel, "/app/go:main.add")
    assert set(answers(report).values()) == {("yes", None)}
    assert report.place.language == "go"
    assert "hazard.uretprobe_go" in {hazard.id for hazard in report.hazards}
    text = programs.run(programs.tool("objdump"), "-d", str(Path(kernel._root) / "app/go"))
    raw = (Path(kernel._root) / "app/go").read_bytes()
    assert report.place.return_offsets
    assert all(raw[at] == 0xC3 for at in report.place.return_offsets)
    if not flags:
        body = text.split("<main.add>:")[1].split("\n\n")[0]
        assert len(report.place.return_offsets) == len(re.findall(r"\tret", body))
    generic = ask(kernel, "/app/go:main.(*pair[...]).sum")
    assert set(answers(generic).values()) == {("yes", None)}


def test_an_ifunc_names_what_its_resolver_may_pick(kernel):
    report = ask(kernel, "/usr/lib/libps.so.1:picked")
    assert limits(report) == {"uprobe_ifunc"}
    assert "one of fast." in report.limits[0].says
    assert [(one.attach, one.target, one.answer) for one in report.alternatives] == [
        ("uprobe", "/usr/lib/libps.so.1:fast", "yes")
    ]


# USDT


def test_usdt(kernel):
    report = ask(kernel, "usdt:/app/traced:prov:plain")
    assert report.kind == "usdt"
    assert answers(report) == {"usdt": ("yes", None)}
    assert len(report.place.sites) == 2
    assert [a.type for a in report.place.sites[0].arguments] == ["int32_t", "uint64_t"]
    assert limits(report) == {"usdt_sites"}
    guarded = ask(kernel, "usdt:/app/traced:prov:guarded")
    assert limits(guarded) == {"usdt_semaphore"}
    assert guarded.place.sites[0].ref_ctr_offset is not None


def test_usdt_that_libbpf_cannot_parse(kernel):
    root = Path(kernel._root)
    source = programs.USDT.replace(
        '"prov", "guarded", "sem", "-4@%0", "m"(x)', '"prov", "odd", "0", "4@table+8(%%rip)", "m"(x)'
    )
    programs.compiled(root / "app", "odd", source)
    report = ask(kernel, "usdt:/app/odd:prov:odd")
    assert answers(report) == {"usdt": ("no", "EINVAL")}
    assert report.verdicts[0].findings[0].rule == "usdt_spec.argument"


def test_usdt_that_is_not_there(kernel):
    report = ask(kernel, "usdt:/app/traced:prov:plane")
    assert answers(report) == {"usdt": ("no", "ENOENT")}
    assert "prov:plain" in report.suggestions


# command line


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("/app/places:calls", 0),
        ("/app/places:stores", 1),
        ("/app/places:locked", 1),
        ("libps.so.1:picked", 1),
        ("/app/places:none_such", 1),
        ("uretprobe:/app/places:_start", 1),
        ("/app/places:", 2),
        ("usdt:/app/traced:prov:plain", 0),
    ],
)
def test_exit_codes(target: str, code: int, kernel, capsys):
    assert run.main(["check", target, "--root", str(kernel._root)]) == code


def test_the_document(kernel, capsys):
    assert run.main(["check", "/app/places:stores", "--root", str(kernel._root), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "probe-scout/check/1"
    (target,) = document["targets"]
    assert target["kind"] == "user_function"
    assert target["limits"][0]["effect"] == "corrupts"
    assert target["place"]["sites"][0]["misread"] == "jump"


def test_a_type_of_another_kind_is_a_usage_error(kernel):
    with pytest.raises(UsageError, match="fentry does not apply"):
        kernel.check(["/app/places:calls"], ["fentry"])
    with pytest.raises(UsageError, match="uprobe does not apply"):
        kernel.check(["vfs_read"], ["uprobe"])


# scan


def test_scan_lists_every_function_with_its_answer(kernel):
    rows = {row.target.rpartition(":")[2]: row for row in kernel.scan("/app/places", ["uprobe"]).rows}
    symbols = programs.run(programs.tool("nm"), "--defined-only", str(Path(kernel._root) / "app/places"))
    assert set(rows) == set(re.findall(r"^\w+ [Tt] (\S+)$", symbols, re.M)) - _labels(symbols)
    assert (rows["locked"].answers, rows["locked"].errno) == ({"uprobe": "no"}, {"uprobe": "ENOTSUPP"})
    assert rows["calls"].answers == {"uprobe": "yes"}
    assert (rows["stores"].misread, rows["clears"].misread) == ("jump", "")


def _labels(symbols: str) -> set[str]:
    """Symbols of the start files that are no functions."""
    return {name for name in re.findall(r"\w+ [Tt] (\S+)", symbols) if name.startswith("__") and name.endswith("_end")}


def test_scan_of_a_pattern_and_of_static_probes(kernel):
    assert {row.target for row in kernel.scan("libps.so.1:*tw*").rows} == {
        *("/usr/lib/libps.so.1:twice", "/usr/lib/libps.so.1:twice@PS_1.0"),
        *("/usr/lib/libps.so.1:new_twice", "/usr/lib/libps.so.1:old_twice"),
    }
    rows = list(kernel.scan("usdt:/app/traced:*:*").rows)
    assert [row.target for row in rows].count("usdt:/app/traced:prov:plain") == 2
    assert {answer for row in rows for answer in row.answers.values()} == {"yes"}


def test_scan_says_what_is_misread(kernel, capsys):
    assert run.main(["scan", "/app/places:s*", "--root", str(kernel._root), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert "/app/places:stores,," in out
    assert "do not probe /app/places:stores" in err


def test_scan_of_a_file_that_is_none(kernel):
    with pytest.raises(UsageError):
        list(kernel.scan("/app/nothing").rows)
