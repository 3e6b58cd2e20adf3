"""`inline` and the coverage of `check`: small kernels with debug files of their own, found in every way there is."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from probe_scout.errors import Malformed, UsageError
from probe_scout.formats.dwarf import names as n
from probe_scout.frontends.session import open_kernel
from probe_scout.model.inline import ParameterPlace
from probe_scout.model.report import Coverage
from probe_scout.model.target import parse
from probe_scout.probes.inlining import debug_files
from probe_scout.probes.inlining.survey import Entry as SurveyEntry
from tests.builders.dwarf_writer import TEXT, DwarfWriter, Entry
from tests.builders.image_writer import Load, elf_core
from tests.builders.small_files import note
from tests.builders.tiny_kernel import ETEXT, SINITTEXT, STEXT, SYMBOL_BYTES

BUILD_ID = bytes(range(20))  # as tiny_kernel writes it
OTHER_ID = bytes(20)
# endbr64, the site of ftrace, and instructions of one byte
CODE = "f30f1efa0f1f440000" + "90" * 40
ELF_SYMBOLS = {"caller": (TEXT, 0x40), "second": (TEXT + 0x40, 0x40), "both": (TEXT + 0x80, 0x20)}
KERNEL = {"symbols": ["caller", "second", "both"]}


def function(name: str, address: int, *children: Entry, origin: str = "") -> Entry:
    own = {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, origin)} if origin else {n.AT_NAME: (n.FORM_STRP, name)}
    return Entry(n.TAG_SUBPROGRAM, {**own, n.AT_LOW_PC: (n.FORM_ADDR, address)}, list(children), f"{name} code")


def copy(name: str, address: int, line: int = 30) -> Entry:
    location = {n.AT_LOCATION: (n.FORM_EXPRLOC, b"\x55")}
    origin = {n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, f"{name} x")}
    place = Entry(n.TAG_FORMAL_PARAMETER, {**origin, **location})
    attributes = {
        n.AT_ABSTRACT_ORIGIN: (n.FORM_REF4, name),
        n.AT_LOW_PC: (n.FORM_ADDR, address),
        n.AT_CALL_LINE: (n.FORM_DATA1, line),
    }
    return Entry(n.TAG_INLINED_SUBROUTINE, attributes, [place])


def abstract(name: str) -> Entry:
    parameter = Entry(n.TAG_FORMAL_PARAMETER, {n.AT_NAME: (n.FORM_STRING, "x")}, None, label=f"{name} x")
    attributes = {
        n.AT_NAME: (n.FORM_STRP, name),
        n.AT_DECL_LINE: (n.FORM_DATA1, 7),
        n.AT_INLINE: (n.FORM_DATA1, 1),
    }
    return Entry(n.TAG_SUBPROGRAM, attributes, [parameter], label=name)


def debug_file(build_id: bytes = BUILD_ID, symbols=None, extra: tuple[Entry, ...] = ()) -> bytes:
    """`gone` is inlined into `caller` at +0xc and +0x6, and into `second`; `both` has code and a copy in `second`."""
    w = DwarfWriter()
    children = [
        abstract("gone"),
        abstract("both"),
        function("caller", TEXT, copy("gone", TEXT + 0xC), copy("gone", TEXT + 6, 31)),
        function("second", TEXT + 0x40, copy("gone", TEXT + 0x4C), copy("both", TEXT + 0x50)),
        function("both", TEXT + 0x80, origin="both"),
        *extra,
    ]
    attributes = {n.AT_NAME: (n.FORM_STRING, "a.c"), n.AT_LANGUAGE: (n.FORM_DATA1, 12)}
    w.unit(Entry(n.TAG_COMPILE_UNIT, attributes, children))
    if build_id:
        w.extra[".note.gnu.build-id"] = note(b"GNU", 3, build_id)
    return w.elf(ELF_SYMBOLS if symbols is None else symbols)


@pytest.fixture
def debug(tmp_path):
    """debug(build_id=…) writes a debug file and returns its path."""

    def write(*args, name="vmlinux.debug", **kwargs) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(debug_file(*args, **kwargs))
        return str(path)

    return write


@pytest.fixture
def keeping(monkeypatch, tmp_path):
    """The cache is on, in a folder of its own."""
    monkeypatch.delenv("PROBE_SCOUT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "probe-scout"


# one name


def test_a_function_that_is_inlined_everywhere(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("gone", debug())
    (one,) = report.functions
    assert (one.kind, one.line, one.symbols, one.missed_callers) == ("full", 7, (), ("caller", "second"))
    assert [(c.target, c.line, c.seen, c.chain) for c in one.copies] == [
        ("caller+0x6", 31, False, ("caller",)),
        ("caller+0xc", 30, False, ("caller",)),
        ("second+0xc", 30, False, ("second",)),
    ]
    assert report.coverage == Coverage(
        "none",
        "dwarf",
        True,
        (("caller", 6), ("caller", 12), ("second", 12)),
        ("caller", "second"),
        kind="full",
        missed=3,
    )
    assert (report.debug.matches, report.debug.how, report.unread) == (True, "named", ())
    assert report.notes == ("Every call is seen by probes at all addresses above together.",)


def test_every_copy_has_its_own_verdict(tiny_folder, debug, tmp_path, monkeypatch):
    """+0x6 lies inside the site of ftrace, +0xc on an instruction."""
    monkeypatch.setattr("probe_scout.kernel.text.reserved_word", lambda *args: "")
    image = tmp_path / "image"
    image.write_bytes(elf_core([Load(STEXT, bytes(0x1000) + bytes.fromhex(CODE).ljust(SYMBOL_BYTES, b"\x90") * 3)]))
    (one,) = open_kernel(str(tiny_folder(**KERNEL)), vmlinux=str(image)).inline("gone", debug()).functions
    assert [(c.verdict.answer, c.verdict.errno) for c in one.copies] == [("no", "EILSEQ"), ("yes", None), ("yes", None)]
    assert one.copies[0].verdict.findings[0].rule.startswith("kprobe_instruction.")
    assert one.copies[1].parameters == (ParameterPlace("x", "register", "di"),)


def test_how_far_the_reading_is_is_told(tiny_folder, debug):
    told = []
    open_kernel(str(tiny_folder(**KERNEL))).inline("gone", debug(), progress=lambda *at: told.append(at))
    assert told[0][0] == 0 < told[0][1] == told[-1][0] == told[-1][1]


def test_the_verdict_is_that_of_check(tiny_folder, debug):
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    (one,) = kernel.inline("gone", debug()).functions
    for place in one.copies:
        assert kernel.check([place.target], ["kprobe"]).targets[0].verdicts[0] == place.verdict


def test_a_function_with_code_and_a_copy_elsewhere(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("both", debug())
    (one,) = report.functions
    assert (one.kind, one.says) == ("partial", "A probe on it misses 1 inlined copy in 1 function.")
    assert (report.coverage.answer, report.coverage.missed_callers) == ("partial", ("second",))


def test_a_piece_of_a_copy_is_no_call_of_its_own(tiny_folder, debug):
    """`split` is inlined into `caller`, and there the compiler folded a part of it back in, at its own line."""
    outer = copy("split", TEXT + 0x10)
    outer.children.append(copy("split", TEXT + 0x14, 7))
    holder = function("caller", TEXT, outer)
    w = DwarfWriter()
    attributes = {n.AT_NAME: (n.FORM_STRING, "a.c"), n.AT_LANGUAGE: (n.FORM_DATA1, 12)}
    w.unit(
        Entry(
            n.TAG_COMPILE_UNIT, attributes, [abstract("split"), holder, function("split", TEXT + 0x80, origin="split")]
        )
    )
    w.extra[".note.gnu.build-id"] = note(b"GNU", 3, BUILD_ID)
    path = debug(name="pieces")
    with open(path, "wb") as file:
        file.write(w.elf({"caller": (TEXT, 0x40), "split": (TEXT + 0x80, 0x20)}))
    report = open_kernel(str(tiny_folder(["caller", "split"]))).inline("split", path)
    (one,) = report.functions
    assert [(c.target, c.piece, c.seen) for c in one.copies] == [
        ("caller+0x10", False, False),
        ("caller+0x14", True, False),
    ]
    assert (report.coverage.inlined_into, report.coverage.missed) == ((("caller", 0x10),), 1)
    table = open_kernel(str(tiny_folder(["caller", "split"]))).inline_all("split", debug=path)
    assert [(row.copies, row.missed) for row in table.rows] == [(2, 1)]


def test_a_function_that_is_never_inlined(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("caller", debug())
    assert (report.functions[0].kind, report.coverage) == ("no", Coverage("complete", "dwarf", True, kind="no"))
    assert report.alternatives == ()


def test_what_lies_near_is_advised_only_with_a_yes_of_its_own(tiny_folder, debug):
    kernel = open_kernel(str(tiny_folder(["caller", "second blacklisted notrace", "both"])))
    report = kernel.inline("gone", debug())
    assert {(one.attach, one.target) for one in report.alternatives} == {("kprobe", "caller"), ("fentry", "caller")}
    assert "Holds 2 of 3 inlined copies of gone; only together" in report.alternatives[0].says


def test_debug_information_of_another_build_is_told_and_gives_no_verdict(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("gone", debug(OTHER_ID))
    assert report.debug.matches is False
    assert report.coverage.build_id_match is False
    assert [place.verdict for place in report.functions[0].copies] == [None, None, None]
    assert "is of another build (000000000000) than this kernel (000102030405)" in report.notes[0]
    assert report.alternatives == ()


def test_without_a_build_id_the_places_of_symbols_are_compared(tiny_folder, debug):
    names = {"_stext": STEXT, "_etext": ETEXT, "_sinittext": SINITTEXT, "_einittext": SINITTEXT + (1 << 24)}
    symbols = {name: (TEXT + address - STEXT, 0) for name, address in names.items()}
    symbols |= {"do_exit": (TEXT + 0x1000, 4), **ELF_SYMBOLS}
    there = ["do_exit", "gone_by"]
    folder = tiny_folder(there, missing=("sys/kernel/notes",))
    path = debug(b"", symbols=symbols)
    assert open_kernel(str(folder)).inline("gone", path).debug.matches is True
    folder = tiny_folder(["earlier", *there], missing=("sys/kernel/notes",))
    assert open_kernel(str(folder)).inline("gone", path).debug.matches is False
    folder = tiny_folder(there, missing=("sys/kernel/notes",), hidden=True)
    report = open_kernel(str(folder)).inline("gone", path)
    assert report.debug.matches is None
    assert "unknown" in report.notes[0]


def test_a_name_that_nobody_knows(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("secand", debug())
    assert (report.functions, report.unread) == ((), ())
    assert report.suggestions == ("second",)


def test_a_symbol_that_the_file_does_not_describe_is_unknown(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(["entry_SYSCALL_64"]))).inline("entry_SYSCALL_64", debug())
    assert report.coverage == Coverage()
    assert [unread.fact for unread in report.unread] == ["debug"]


@pytest.mark.parametrize("name", ["caller+0x10", "tp:sched:sched_switch", "t:sched:sched_switch"])
def test_only_functions_can_be_asked(tiny_folder, name):
    with pytest.raises(UsageError, match="is no function"):
        open_kernel(str(tiny_folder(**KERNEL))).inline(name)


def test_a_name_with_the_compilers_suffix_is_its_source_function(tiny_folder, debug):
    symbols = ELF_SYMBOLS | {"moved.isra.0": (TEXT + 0xC0, 0x20)}
    path = debug(symbols=symbols, extra=(function("moved", TEXT + 0xC0),))
    kernel = open_kernel(str(tiny_folder(["moved.isra.0"])))
    assert kernel.inline("moved.isra.0", path).coverage == Coverage("complete", "dwarf", True, kind="transformed")
    plain = kernel.inline("moved", path)
    assert (plain.functions[0].kind, plain.coverage.answer, plain.coverage.clones) == (
        "transformed",
        "unknown",
        ("moved.isra.0",),
    )


def test_a_clone_of_a_function_makes_its_coverage_partial(tiny_folder, debug):
    symbols = ELF_SYMBOLS | {"own": (TEXT + 0xC0, 0x10), "own.constprop.0": (TEXT + 0xD0, 0x10)}
    extra = (abstract("own"), *(function("own", TEXT + at, origin="own") for at in (0xC0, 0xD0)))
    report = open_kernel(str(tiny_folder(["own", "own.constprop.0"]))).inline(
        "own", debug(symbols=symbols, extra=extra)
    )
    assert report.functions[0].kind == "no"
    assert report.coverage == Coverage("partial", "dwarf", True, clones=("own.constprop.0",), kind="no")


# where debug files are


def test_no_debug_information_says_what_would_help(tiny_folder):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("gone")
    (unread,) = report.unread
    assert (unread.fact, unread.kind) == ("debug", "not_there")
    assert "no debug information of this kernel (build-id 000102030405)" in unread.why
    assert "--debug" in unread.cure
    assert "DEBUGINFOD_URLS" in unread.cure


@pytest.mark.parametrize(
    ("place", "how"),
    [
        (f".build-id/00/{BUILD_ID.hex()[2:]}.debug", "build-id"),
        ("boot/vmlinux-6.99.0-tiny", "release"),
        ("lib/modules/6.99.0-tiny/vmlinux", "release"),
        ("usr/lib/modules/6.99.0-tiny/vmlinux.debug", "release"),
    ],
)
def test_usual_places(tiny_folder, debug, tmp_path, monkeypatch, place, how):
    path = debug(name=f"debug/{place}")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("gone")
    assert (report.debug.path, report.debug.how, report.functions[0].kind) == (path, how, "full")


def test_a_file_of_another_build_in_a_usual_place_is_passed_over(tiny_folder, debug, tmp_path, monkeypatch):
    debug(OTHER_ID, name="debug/boot/vmlinux-6.99.0-tiny")
    (tmp_path / "debug/lib/modules/6.99.0-tiny").mkdir(parents=True)
    (tmp_path / "debug/lib/modules/6.99.0-tiny/vmlinux").write_bytes(b"no ELF file")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    (unread,) = kernel.inline("gone").unread
    assert "vmlinux-6.99.0-tiny is of another build (000000000000)" in unread.why
    assert "an ELF file" in unread.why
    right = debug(name="debug/lib/modules/6.99.0-tiny/vmlinux.debug")
    assert kernel.inline("gone").debug.path == right


def test_below_a_mounted_root(debug, tmp_path, monkeypatch):
    monkeypatch.delenv("PROBE_SCOUT_DEBUG")
    path = debug(name="root/usr/lib/debug/boot/vmlinux-6.99.0-tiny")
    build = debug_files.Build(BUILD_ID.hex(), "6.99.0-tiny", None, str(tmp_path / "root"))
    assert [found.path for found in debug_files.usual(build)] == [path]


@pytest.mark.parametrize("release", ["../../etc", ".hidden", ""])
def test_a_release_is_no_path(release, monkeypatch, tmp_path):
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path))
    assert list(debug_files._candidates(debug_files.Build("", release))) == []


@pytest.mark.parametrize("build_id", ["../../../etc/passwd", "abc", "ABCDEF0123", "g" * 40, "0" * 200])
def test_a_build_id_is_hexadecimal(build_id, monkeypatch, tmp_path):
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path))
    assert list(debug_files._candidates(debug_files.Build(build_id, ""))) == []


def test_files_of_a_module(tiny_folder, debug, tmp_path, monkeypatch):
    folder = tiny_folder(["caller [nf_one]", "second [nf_one]"])
    debug(b"", name="debug/lib/modules/6.99.0-tiny/kernel/net/nf-one.ko.debug")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    report = open_kernel(str(folder)).inline("nf_one:gone")
    assert [place.target for place in report.functions[0].copies] == [
        "nf_one:caller+0x6",
        "nf_one:caller+0xc",
        "nf_one:second+0xc",
    ]
    assert open_kernel(str(folder)).inline("caller").module == "nf_one"  # a name that only a module has
    (unread,) = open_kernel(str(folder)).inline("xfs:gone").unread
    assert "module xfs" in unread.why


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "an empty file"),
        (b"\x7fELF", "an ELF header"),
        (DwarfWriter().elf(), "no debug information"),
        (b"hello", "begins with b'hello'"),
        (b"\x9f\xeb\x01\0" + bytes(40), "found BTF"),
        (b"MZ" + bytes(400), "in the file vmlinux"),
        (b"\xfd7zXZ\0", "packed by xz"),
        (debug_file()[:700], "the end of the file"),
    ],
)
def test_a_named_file_without_debug_information(tiny_folder, tmp_path, content, sentence):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(Malformed, match=sentence):
        open_kernel(str(tiny_folder(**KERNEL))).inline("gone", str(path))


def test_a_file_of_another_machine_is_refused(tiny_folder, tmp_path):
    raw = bytearray(debug_file(b""))
    raw[18:20] = (183).to_bytes(2, "little")
    path = tmp_path / "file"
    path.write_bytes(raw)
    with pytest.raises(Malformed, match="for x86_64, which this kernel is for, found one for aarch64"):
        open_kernel(str(tiny_folder(**KERNEL))).inline("gone", str(path))


def test_a_name_unknown_to_a_file_that_cannot_be_compared_is_unknown(tiny_folder, debug):
    report = open_kernel(str(tiny_folder(["other"]))).inline("nowhere", debug(b""))
    assert [unread.fact for unread in report.unread] == ["debug"]
    assert "no build-id" in report.unread[0].why


def test_a_part_that_dwz_moved_must_be_there(tiny_folder, tmp_path):
    w = DwarfWriter()
    w.alt = DwarfWriter()
    names = {n.AT_NAME: (n.FORM_GNU_STRP_ALT, "shared"), n.AT_LOW_PC: (n.FORM_ADDR, TEXT)}
    w.unit(Entry(n.TAG_COMPILE_UNIT, {n.AT_NAME: (n.FORM_STRING, "a.c")}, [Entry(n.TAG_SUBPROGRAM, names)]))
    w.extra[".gnu_debugaltlink"] = b"shared.dwz\0" + OTHER_ID
    path, beside = tmp_path / "vmlinux", tmp_path / "shared.dwz"
    path.write_bytes(w.elf({"shared": (TEXT, 8)}))
    kernel = open_kernel(str(tiny_folder(["shared"])))
    with pytest.raises(Malformed, match=r"shared\.dwz, to which dwz moved a part, found no such file of this build"):
        kernel.inline("shared", str(path))
    w.alt.extra[".note.gnu.build-id"] = note(b"GNU", 3, BUILD_ID)
    beside.write_bytes(w.alt.elf())
    with pytest.raises(Malformed, match="of this build"):
        kernel.inline("shared", str(path))
    w.alt.extra[".note.gnu.build-id"] = note(b"GNU", 3, OTHER_ID)
    beside.write_bytes(w.alt.elf())
    assert kernel.inline("shared", str(path)).functions[0].kind == "no"


def test_units_that_refer_to_other_files_are_told(tiny_folder, tmp_path):
    w = DwarfWriter()
    attributes = {n.AT_NAME: (n.FORM_STRING, "a.c"), n.AT_DWO_NAME: (n.FORM_STRING, "a.dwo")}
    w.unit(Entry(n.TAG_COMPILE_UNIT, attributes, []))
    path = tmp_path / "vmlinux"
    path.write_bytes(w.elf())
    with pytest.raises(Malformed, match=r"\.dwo files"):
        open_kernel(str(tiny_folder())).inline("f", str(path))


def test_a_named_file_that_is_not_there(tiny_folder):
    with pytest.raises(UsageError, match="No such file"):
        open_kernel(str(tiny_folder(**KERNEL))).inline("gone", "/nonexistent/vmlinux")


# debuginfod


@pytest.fixture
def server():
    """A debuginfod on loopback: `content` by path, `asked` keeps what was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found.asked.append(self.path)
            status, body = found.content.get(self.path, (404, b"not found"))
            time.sleep(found.silent_s)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + found.promised_more))
            self.end_headers()
            try:
                for at in range(0, len(body), 1000 if found.drop_s else len(body) or 1):
                    self.wfile.write(body[at : at + 1000] if found.drop_s else body)
                    time.sleep(found.drop_s)
            except OSError:
                pass  # the other side gave up

        def log_message(self, *args):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.asked, found.content, found.promised_more = [], {}, 0
    found.silent_s = found.drop_s = 0.0
    found.url = f"http://127.0.0.1:{found.server_address[1]}"
    found.path = f"/buildid/{BUILD_ID.hex()}/debuginfo"
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def test_debuginfod_is_asked_once_and_kept(tiny_folder, server, keeping, monkeypatch):
    monkeypatch.setenv("DEBUGINFOD_URLS", f"ftp://nowhere {server.url}/")
    server.content[server.path] = (200, debug_file())
    said = []
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", "/nonexistent")
    report = kernel.inline("gone", announce=said.append)
    assert (report.debug.how, report.functions[0].kind) == ("fetched", "full")
    assert said == [f"asking {server.url}/ for the debug information of build 000102030405"]
    kept = keeping / "debug" / f"{BUILD_ID.hex()}.debug"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kernel.inline("both").debug.path == str(kept)
    assert server.asked == [server.path]


def test_a_server_is_not_asked_unless_the_user_says_so(tiny_folder, server, keeping, monkeypatch):
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    assert kernel.inline("gone").unread
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    kernel.check(["gone"])
    assert server.asked == []


def test_a_server_that_has_nothing_or_something_else(tiny_folder, server, keeping, monkeypatch):
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    for content, promised, sentence in [
        ((404, b""), 0, "404"),
        ((200, b"<html>"), 0, "an ELF file"),
        ((200, debug_file(OTHER_ID)), 0, "another build (000000000000)"),
        ((200, debug_file()), 7, "cut off"),
    ]:
        server.content[server.path], server.promised_more = content, promised
        (unread,) = kernel.inline("gone").unread
        assert sentence in unread.why
        monkeypatch.setenv("DEBUGINFOD_MAXSIZE", "")
    server.promised_more = 0
    monkeypatch.setenv("DEBUGINFOD_MAXSIZE", "100")
    assert "more than 100 bytes" in kernel.inline("gone").unread[0].why
    assert not [path for path in (keeping / "debug").iterdir() if path.stat().st_size and ".debug." in path.name]


def test_a_server_that_sends_too_little_in_too_long_is_given_up(tiny_folder, server, keeping, monkeypatch):
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    monkeypatch.setenv("DEBUGINFOD_TIMEOUT", "0.2")
    server.content[server.path], server.drop_s = (200, debug_file() * 200), 0.1
    (unread,) = open_kernel(str(tiny_folder(**KERNEL))).inline("gone").unread
    assert "less than 100 kB in 0.2 seconds" in unread.why
    assert list((keeping / "debug").iterdir()) == []


def test_a_server_that_says_nothing_is_given_up(tiny_folder, server, keeping, monkeypatch):
    monkeypatch.setenv("DEBUGINFOD_URLS", server.url)
    monkeypatch.setenv("DEBUGINFOD_TIMEOUT", "0.2")
    server.content[server.path], server.silent_s = (200, debug_file()), 0.6
    (unread,) = open_kernel(str(tiny_folder(**KERNEL))).inline("gone").unread
    assert "timed out" in unread.why


def test_the_debuginfod_of_elfutils(tiny_folder, tmp_path, keeping, monkeypatch):
    """The real server, which finds the file by reading the folder, and answers for its build-id alone."""
    program = shutil.which("debuginfod")
    if program is None:
        pytest.skip("there is no debuginfod")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "vmlinux.debug").write_bytes(debug_file())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (program, "-p", str(port), "-d", str(tmp_path / "db"), "-F", str(tmp_path / "files"))
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("DEBUGINFOD_URLS", url)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    alone = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}  # else it asks itself
    with subprocess.Popen(command, env=alone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            for _ in range(200):
                report = kernel.inline("gone")
                if report.debug is not None or running.poll() is not None:
                    break
                time.sleep(0.1)
            monkeypatch.setattr(kernel._kernel, "build_id", lambda: "0" * 40)
            (unread,) = kernel.inline("gone").unread
        finally:
            running.terminate()
    assert report.debug is not None, report.unread
    assert (report.debug.how, report.debug.matches, report.functions[0].kind) == ("fetched", True, "full")
    assert f"{url}: HTTP 404" in unread.why


def test_a_server_that_is_not_there(tiny_folder, keeping, monkeypatch):
    monkeypatch.setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1")
    (unread,) = open_kernel(str(tiny_folder(**KERNEL))).inline("gone").unread
    assert "http://127.0.0.1:1" in unread.why
    assert "refused" in unread.why


# what is kept


def test_a_kept_answer_equals_the_fresh_one_and_reads_no_debug_information(tiny_folder, debug, keeping, monkeypatch):
    folder, path = str(tiny_folder(**KERNEL)), debug()
    fresh = open_kernel(folder).inline("gone", path)
    whole = open_kernel(folder, cache=True).inline("gone", path)
    monkeypatch.setattr(
        "probe_scout.formats.dwarf.inline_facts.find", lambda *args: pytest.fail("the file was searched")
    )
    assert open_kernel(folder).inline("gone", path) == fresh == whole
    monkeypatch.setattr("probe_scout.sources.open_source", lambda *_: pytest.fail("the source was opened"))
    assert open_kernel(folder, cache=True).inline("gone", path) == fresh


def test_a_changed_file_is_read_anew(tiny_folder, debug, keeping):
    folder = str(tiny_folder(**KERNEL))
    path = debug()
    assert open_kernel(folder, cache=True).inline("gone", path).functions
    debug(extra=(function("late", TEXT + 0xF0),))
    assert open_kernel(folder, cache=True).inline("late", path).functions[0].kind == "gone"  # no symbol names it


def test_a_debug_file_that_appears_changes_a_kept_answer_of_check(tiny_folder, debug, tmp_path, keeping, monkeypatch):
    folder = str(tiny_folder(**KERNEL))
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    assert open_kernel(folder, cache=True).check(["gone"]).targets[0].coverage == Coverage()
    debug(name="debug/boot/vmlinux-6.99.0-tiny")
    assert open_kernel(folder, cache=True).check(["gone"]).targets[0].coverage.answer == "none"


# check


@pytest.mark.parametrize(("name", "answer"), [("gone", "none"), ("both", "partial"), ("caller", "complete")])
def test_check_tells_the_coverage(tiny_folder, debug, name, answer):
    (target,) = open_kernel(str(tiny_folder(**KERNEL))).check([name], debug=debug()).targets
    assert (target.coverage.answer, target.coverage.basis, target.coverage.build_id_match) == (answer, "dwarf", True)
    assert any(one.target == "caller" for one in target.alternatives) == (name == "gone")


def test_check_reads_a_debug_file_in_a_usual_place(tiny_folder, debug, tmp_path, monkeypatch):
    debug(name="debug/boot/vmlinux-6.99.0-tiny")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    (target,) = open_kernel(str(tiny_folder(**KERNEL))).check(["both"]).targets
    assert target.coverage.missed_callers == ("second",)
    assert [one.kind for one in target.diagnosis if one.certainty == "is"]


def test_a_broken_debug_file_is_no_evidence_for_check(tiny_folder, tmp_path, monkeypatch):
    place = tmp_path / "debug/boot"
    place.mkdir(parents=True)
    (place / "vmlinux-6.99.0-tiny").write_bytes(debug_file()[:500])
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    (target,) = open_kernel(str(tiny_folder(**KERNEL))).check(["both"]).targets
    assert target.coverage == Coverage()


def test_a_survey_of_this_build_comes_before_a_debug_file(tiny_folder, debug, tmp_path, monkeypatch):
    debug(name="debug/boot/vmlinux-6.99.0-tiny")
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "debug"))
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", lambda: ("a survey",))
    asked = []

    def surveyed(build_id, name, module=None, has_symbol=None, release="", machine=""):
        asked.append((build_id, name, module, has_symbol, release, machine))
        return SurveyEntry("partial", "survey", None, ("6.99.0-tiny",), 1)

    monkeypatch.setattr("probe_scout.probes.inlining.survey.lookup", surveyed)
    (target,) = open_kernel(str(tiny_folder(**KERNEL))).check(["both"]).targets
    assert asked == [(BUILD_ID.hex(), "both", None, True, "6.99.0-tiny", "x86_64")]
    assert target.coverage == Coverage("partial", "survey", True, kind="partial", missed=1)


def test_a_prediction_is_told_as_one(tiny_folder, monkeypatch):
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", lambda: ("a survey",))
    entry = SurveyEntry("no", "survey-other", 0.98, ("6.1", "6.12"), asked=100, right=98, suffixes=())
    monkeypatch.setattr("probe_scout.probes.inlining.survey.lookup", lambda *args: entry)
    (target,) = open_kernel(str(tiny_folder(**KERNEL))).check(["both"]).targets
    assert target.coverage == Coverage(
        "complete", "survey-other", False, right=98, asked=100, kernels=("6.1", "6.12"), kind="no"
    )


# from a survey, without debug information


@pytest.fixture
def surveyed(monkeypatch, tmp_path):
    """surveyed({name: cell text}, places, build_id=…) puts a survey of one kernel in place of all."""
    from probe_scout.probes.inlining.survey import cell, format

    def put(cells: dict[str, str], places=None, build_id="", scope="vmlinux", release="6.99.0-tiny"):
        names = {}
        for name, text in cells.items():
            missed = 2 if text.startswith("partial") else 0
            names[name] = {scope: [cell.read(text, missed)._replace(places=tuple((places or {}).get(name, ())))]}
        shares = {("yes", "partial", "near"): format.Share(100, 97, 96)}
        path = tmp_path / "one.survey"
        path.write_bytes(format.encode([release], [(0, scope, build_id or BUILD_ID.hex())], names, shares))
        monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", lambda: (str(path),))

    monkeypatch.setenv("PROBE_SCOUT_DEBUG", str(tmp_path / "nothing"))
    return put


PLACES = {"gone": (("caller", 0xC), ("second", 0xC)), "both": (("second", 0x10),)}


def test_a_survey_of_this_build_answers_where_there_is_no_debug_information(tiny_folder, surveyed):
    surveyed({"gone": "full", "both": "partial", "caller": "no"}, PLACES)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    report = kernel.inline("gone")
    (one,) = report.functions
    assert (one.kind, one.file, one.line, one.missed_callers) == ("full", "", 0, ("caller", "second"))
    assert (
        one.says == "No code of its own, only 2 inlined copies in 2 functions: there is nothing to probe by this name."
    )
    assert [(c.target, c.seen, c.chain, c.parameters) for c in one.copies] == [
        ("caller+0xc", False, (), ()),
        ("second+0xc", False, (), ()),
    ]
    assert report.coverage == Coverage(
        "none", "survey", True, PLACES["gone"], ("caller", "second"), kind="full", missed=2
    )
    assert (report.debug, report.unread) == (None, ())
    assert "from the survey of this build" in report.notes[0]
    assert ("fentry", "second") in {(other.attach, other.target) for other in report.alternatives}
    assert kernel.inline("caller").coverage == Coverage("complete", "survey", True, kind="no")


def test_a_place_out_of_a_survey_has_the_verdict_of_check(tiny_folder, surveyed):
    surveyed({"both": "partial"}, PLACES)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    (place,) = kernel.inline("both").functions[0].copies
    assert kernel.check([place.target], ["kprobe"]).targets[0].verdicts[0] == place.verdict
    (target,) = kernel.check(["both"]).targets
    assert target.coverage == kernel.inline("both").coverage
    assert [one.says for one in target.diagnosis if one.kind == "partly_inlined"] == [
        "both is also inlined elsewhere: calls from second are missed."
    ]


def test_a_survey_says_the_same_as_the_debug_information_it_was_made_from(tiny_folder, debug, tmp_path, monkeypatch):
    from probe_scout.probes.inlining.survey import build

    path = debug()
    collected = build.Collected()
    collected.add(build.read_file(path)._replace(release="6.99.0-tiny"))
    survey = tmp_path / "own.survey"
    survey.write_bytes(collected.encoded())
    folder = str(tiny_folder(**KERNEL))
    by_debug = {name: open_kernel(folder).inline(name, path) for name in ("gone", "both", "caller", "second")}
    monkeypatch.setenv("PROBE_SCOUT_DEBUG", "off")
    monkeypatch.setattr("probe_scout.probes.inlining.survey.paths", lambda: (str(survey),))
    for name, one in by_debug.items():
        found = open_kernel(folder).inline(name)
        assert found.coverage == one.coverage._replace(basis="survey")
        assert [c.target for c in found.functions[0].copies] == [c.target for c in one.functions[0].copies]
        assert [c.verdict for c in found.functions[0].copies] == [c.verdict for c in one.functions[0].copies]


def test_a_prediction_has_no_number_no_place_and_no_certainty(tiny_folder, surveyed):
    surveyed({"both": "partial"}, PLACES, build_id="0badc0de")
    report = open_kernel(str(tiny_folder(**KERNEL))).inline("both")
    (one,) = report.functions
    assert (one.says, one.missed_callers, one.copies) == ("A probe on it misses inlined copies.", (), ())
    assert (report.coverage.basis, report.coverage.inlined_into) == ("survey-other", ())
    assert report.notes == (
        "A prediction: this build was not surveyed, and 6.99.0-tiny says so; 97 of 100 such predictions came true.",
        "In 6.99.0-tiny the inlined copies are in second.",
    )
    assert [unread.fact for unread in report.unread] == ["debug"]


def test_of_a_name_in_no_survey_nothing_is_said(tiny_folder, surveyed):
    surveyed({"both": "partial"})
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    report = kernel.inline("caller")
    assert (report.functions, report.coverage, [unread.fact for unread in report.unread]) == ((), Coverage(), ["debug"])
    assert kernel.inline("secand").suggestions == ("second",)


def test_a_transformed_function_names_its_symbol(tiny_folder, surveyed):
    surveyed({"moved": "transformed|isra"}, {"moved": (("caller", 0xC),)})
    kernel = open_kernel(str(tiny_folder([*KERNEL["symbols"], "moved.isra.0", "moved.isra.0.cold"])))
    report = kernel.inline("moved")
    assert report.functions[0].symbols == report.coverage.clones == ("moved.isra.0",)
    assert report.coverage.answer == "unknown"
    assert kernel.inline("moved.isra.0").coverage.answer == "partial"


def test_every_function_of_a_survey(tiny_folder, surveyed):
    surveyed({"gone": "full", "both": "partial", "caller": "no", "odd": "full"}, PLACES)
    kernel = open_kernel(str(tiny_folder(**KERNEL)))
    table = kernel.inline_all()
    assert (table.basis, table.debug, table.unread) == ("survey", None, ())
    assert {row.name: (row.kind, row.copies, row.missed, row.symbols) for row in table.rows} == {
        "gone": ("full", None, 2, ()),
        "both": ("partial", None, 2, ("both",)),
        "caller": ("no", 0, 0, ("caller",)),
        "odd": ("full", None, None, ()),
    }
    assert [row.name for row in kernel.inline_all("bo*", ("partial",)).rows] == ["both"]
    surveyed({"both": "partial"}, build_id="0badc0de")
    assert [unread.fact for unread in kernel.inline_all().unread] == ["debug"]


# a whole file


def test_every_function_of_a_file(tiny_folder, debug, keeping):
    kernel, path = open_kernel(str(tiny_folder(**KERNEL))), debug()
    told = []
    rows = {row.name: row for row in kernel.inline_all(debug=path, progress=lambda *a: told.append(a)).rows}
    assert {name: (row.kind, row.copies, row.missed) for name, row in rows.items()} == {
        "caller": ("no", 0, 0),
        "second": ("no", 0, 0),
        "gone": ("full", 3, 3),
        "both": ("partial", 1, 1),
    }
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    told.clear()
    again = kernel.inline_all(debug=path, progress=lambda *a: told.append(a))
    assert ({row.name: row for row in again.rows}, told) == (rows, [])


@pytest.mark.parametrize(
    ("glob", "kinds", "names"),
    [("*e*", (), {"caller", "second", "gone"}), ("*", ("full", "partial"), {"gone", "both"}), ("b*", ("no",), set())],
)
def test_a_pattern_and_classes(tiny_folder, debug, glob, kinds, names):
    report = open_kernel(str(tiny_folder(**KERNEL))).inline_all(glob, kinds, debug())
    assert {row.name for row in report.rows} == names


def test_targets_parse_as_they_are_written(tiny_folder, debug):
    for one in open_kernel(str(tiny_folder(**KERNEL))).inline("gone", debug()).functions[0].copies:
        assert str(parse(one.target)) == one.target
    assert os.path.isabs(debug())
