"""Snapshot archives: the good ones, and the many ways in which one can be bad."""

from __future__ import annotations

import io
import lzma
import os
import resource
import subprocess
import sys
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe_scout.errors import Broken, Denied, NotThere, SourceError
from probe_scout.sources import archive as archive_room
from probe_scout.sources import open_source, tar, unpack
from probe_scout.sources.archive import ArchiveSource
from probe_scout.sources.folder import FolderSource
from probe_scout.sources.live import LiveSource
from tests.builders import tree
from tests.builders.damage import EXAMPLES, damaged
from tests.builders.tree import SMALL, manifest, member, pack, tar_of, write_tree
from tests.builders.zstd_readers import packed, without_readers

GOOD = tar_of(SMALL)


@pytest.fixture
def opened(tmp_path):
    def build(raw: bytes) -> ArchiveSource:
        path = tmp_path / "snapshot.tar"
        path.write_bytes(raw)
        return ArchiveSource(str(path))

    return build


def refused(opened, raw: bytes) -> str:
    """The sentence with which an archive is refused: one line, and it names the file."""
    with pytest.raises(Broken) as found:
        opened(raw)
    assert found.value.path.endswith("snapshot.tar")
    assert "\n" not in str(found.value)
    return found.value.why


@pytest.mark.parametrize("packing", ["", "xz", "gzip"])
def test_every_member_is_read(opened, packing):
    source = opened(pack(GOOD, packing))
    assert {path: source.read(path) for path in SMALL} == SMALL
    assert source.names("") == ("boot", "proc", "sys")
    assert source.names("sys/kernel/tracing/events/sched/sched_switch") == ("format", "id")
    assert source.names("proc/sys") == ("kernel",)


def test_zstd_is_read_where_there_is_a_reader(opened, monkeypatch):
    assert opened(packed(GOOD)).read("proc/kallsyms") == SMALL["proc/kallsyms"]
    without_readers(monkeypatch)
    says = "packed with zstd, which needs Python 3.14 or the zstandard package"
    assert refused(opened, b"\x28\xb5\x2f\xfd" + bytes(99)) == says


def test_folder_and_archive_say_the_same(opened, tmp_path):
    folder = FolderSource(str(write_tree(tmp_path / "folder", SMALL)), "snapshot")
    source = opened(GOOD)
    for path in ("", "proc", "sys/kernel", "sys/kernel/tracing/events"):
        assert source.names(path) == folder.names(path)
    for path in ("proc/modules", "proc/kallsyms/x", "../x"):
        with pytest.raises(NotThere) as ours:
            source.read(path)
        with pytest.raises(NotThere) as theirs:
            folder.read(path)
        assert (ours.value.kind, ours.value.why) == (theirs.value.kind, theirs.value.why)
    with pytest.raises(NotThere):
        source.names("proc/kallsyms")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_dialect(opened, form):
    path = "sys/kernel/tracing/events/" + "g" * 60 + "/" + "e" * 90 + "/format"
    source = opened(tree.tar([member("proc/version", b"v"), member(path, b"name: e\n"), member("z", b"z")], form))
    assert source.read(path) == b"name: e\n"
    assert source.read("z") == b"z"


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_name_without_room_in_ustar_is_read(opened, form):
    path = "code/" + "n" * 200
    assert opened(tree.tar([member(path, b"x" * 600)], form)).read(path) == b"x" * 600


def test_names_are_written_as_they_are_read(opened):
    names = [
        "a",
        "b" * 100,
        "c/" * 20 + "d" * 99,
        "e" * 90 + "/" + "f" * 100,
        "g" * 101,
        "h" * 300,
        "i/" * 30 + "ä" * 90,
    ]
    raw = b"".join(tar.header(name, 3) + tar.padded(b"xyz") for name in names) + tar.end()
    source = opened(raw)
    assert [source.read(name) for name in names] == [b"xyz"] * len(names)
    with tarfile.open(fileobj=io.BytesIO(raw)) as standard:
        assert standard.getnames() == names


@pytest.mark.parametrize("top", ["./", "debian-6.12/", "./debian-6.12/", ".//"])
def test_a_leading_dot_and_one_common_folder_are_passed_over(opened, top):
    raw = tree.tar([member(top, kind=tarfile.DIRTYPE), *(member(top + path, data) for path, data in SMALL.items())])
    source = opened(raw)
    assert source.read("proc/kallsyms") == SMALL["proc/kallsyms"]
    assert source.names("") == ("boot", "proc", "sys")


def test_two_top_folders_are_not_common(opened):
    source = opened(tar_of({"a/proc/kallsyms": b"1", "b/proc/kallsyms": b"2"}))
    assert source.read("b/proc/kallsyms") == b"2"


def test_the_kernels_own_first_folder_is_not_passed_over(opened):
    assert opened(tar_of({"proc/kallsyms": b"1", "proc/modules": b"2"})).read("proc/modules") == b"2"


def test_an_empty_folder_is_listed(opened):
    source = opened(tree.tar([member("proc/x", b""), member("sys/kernel/btf", kind=tarfile.DIRTYPE)]))
    assert source.names("sys/kernel") == ("btf",)
    assert source.names("sys/kernel/btf") == ()


@pytest.mark.parametrize("packing", ["", "xz", "gzip"])
def test_what_follows_the_end_is_ignored(opened, packing):
    source = opened(pack(GOOD + b"trailing" * 999, packing) + (b"more" if packing else b""))
    assert source.read("boot/config") == SMALL["boot/config"]


def test_an_archive_without_end_blocks_is_read(opened):
    raw = tar.header("proc/version", 3) + tar.padded(b"v\n\n")
    assert opened(raw).read("proc/version") == b"v\n\n"


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        ([member("../etc/passwd", b"x")], "holds a name that leaves the archive (../etc/passwd)"),
        ([member("proc/../../x", b"x")], "holds a name that leaves the archive (proc/../../x)"),
        ([member("..", kind=tarfile.DIRTYPE)], "holds a name that leaves the archive (../)"),
        ([member("/proc/kallsyms", b"x")], "holds an absolute name (/proc/kallsyms)"),
        ([member("proc/a", kind=tarfile.SYMTYPE, link="/etc/passwd")], "holds a symbolic link (proc/a)"),
        ([member("proc/a", kind=tarfile.LNKTYPE, link="proc/b")], "holds a hard link (proc/a)"),
        ([member("proc/a", kind=tarfile.CHRTYPE)], "holds a character device (proc/a)"),
        ([member("proc/a", kind=tarfile.BLKTYPE)], "holds a block device (proc/a)"),
        ([member("proc/a", kind=tarfile.FIFOTYPE)], "holds a FIFO (proc/a)"),
        ([member("proc/a", kind=tarfile.GNUTYPE_SPARSE)], "holds a sparse file (proc/a)"),
        ([member("proc/a", kind=b"V")], "holds a member of type V (proc/a)"),
        ([member("proc/a", b"1"), member("./proc//a", b"2")], "holds proc/a twice"),
        ([member("proc", b"1"), member("proc/a", b"2")], "proc is a file and a folder"),
        ([member(".", b"1")], "holds a file without a name"),
        ([member("proc/", b"1" * 600)], "a tar archive without files"),
        ([member("a/" * 40 + "b", b"1")], "holds a name of more than 32 folders (" + "a/" * 40 + "b)"),
        ([member("proc", kind=tarfile.DIRTYPE)], "a tar archive without files"),
        ([], "a tar archive without files"),
    ],
)
def test_a_hostile_member_is_refused(opened, members, sentence):
    assert refused(opened, tree.tar(members)) == sentence


def test_a_name_may_not_spoil_the_terminal(opened):
    assert "\x1b" not in refused(opened, tree.tar([member("/\x1b[31mred", b"x")]))


def test_too_many_members_are_refused(opened):
    raw = b"".join(tar.header(f"proc/{n}", 0) for n in range(11)) + tar.end()
    limit = tar.MEMBERS_MAX
    assert limit == 100_000
    try:
        tar.MEMBERS_MAX = 10
        assert refused(opened, raw) == "more than 10 members"
        tar.MEMBERS_MAX = 11
        assert len(opened(raw).names("proc")) == 11
    finally:
        tar.MEMBERS_MAX = limit


@pytest.mark.parametrize("size", [tar.MEMBER_BYTES_MAX + 1, 0o77777777777])
def test_a_huge_member_is_refused_before_it_is_unpacked(opened, size):
    assert refused(opened, tar.header("proc/kallsyms", size)) == "proc/kallsyms is larger than 128 MiB"


def test_a_size_beyond_octal_is_refused(opened):
    info = tarfile.TarInfo("proc/kallsyms")
    info.size = 9 << 30
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert refused(opened, info.tobuf(form)) == "proc/kallsyms is larger than 128 MiB"


def test_a_huge_long_name_is_refused(opened):
    block = bytearray(tar.header("././@LongLink", 1 << 20))
    block[156:157] = b"L"
    assert "long-name" in refused(opened, with_checksum(block))


@pytest.mark.parametrize("record", [b"9 path=a\n", b"x", b"99 path=a\n", b"3 \n", b"8 pathab\n", b"0 path=a\n"])
def test_a_damaged_pax_header_is_refused(opened, record):
    block = bytearray(tar.header("pax", len(record)))
    block[156:157] = b"x"
    raw = with_checksum(block) + tar.padded(record) + tar.header("a", 0) + tar.end()
    if record == b"9 path=a\n":
        assert opened(raw).names("") == ("a",)
    else:
        assert refused(opened, raw) == "a damaged pax header"


def test_a_global_pax_header_with_a_comment_is_passed_over(opened):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "of git"}) as made:
        made.addfile(tarfile.TarInfo("proc/version"))
    assert opened(out.getvalue()).read("proc/version") == b""


def with_checksum(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("packing", ["xz", "gzip"])
def test_a_bomb_is_refused(opened, monkeypatch, packing):
    monkeypatch.setattr(archive_room, "TOTAL_BYTES_MAX", 4 << 20)
    many = b"".join(tar.header(f"proc/{n}", 1 << 20) + bytes(1 << 20) for n in range(5)) + tar.end()
    assert refused(opened, pack(many, packing)) == "unpacks to more than 4 MiB"
    assert refused(opened, pack(GOOD + bytes(5 << 20), packing)) == "unpacks to more than 4 MiB"


def test_a_bomb_of_a_gigabyte_needs_little_memory(tmp_path):
    """The bomb is one member after the other, so that no single one breaks the limit of a member."""
    zeros = lzma.compress(bytes(64 << 20), preset=0)  # packed once; xz streams may follow each other
    with open(tmp_path / "bomb.tar.xz", "wb") as out:
        for n in range(16):
            out.write(lzma.compress(tar.header(f"proc/{n}", 64 << 20)) + zeros)
    probe = (
        "import sys\n"
        "from probe_scout.errors import Broken\n"
        "from probe_scout.sources import open_source\n"
        "try:\n    open_source(sys.argv[1])\nexcept Broken as exc:\n    print(exc.why)\n"
        # VmHWM is this program's own peak; ru_maxrss remembers the process that forked it.
        "print(next(int(l.split()[1]) >> 10 for l in open('/proc/self/status') if l.startswith('VmHWM')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path / "bomb.tar.xz")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (30, 30)),
    )
    why, peak_mib = done.stdout.splitlines()
    assert why == "unpacks to more than 512 MiB"
    assert int(peak_mib) < 700


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "an empty file"),
        (b"x", "not a tar archive: shorter than one header"),
        (b"PK\x03\x04" + bytes(999), "not a tar archive"),
        (b"\x7fELF" * 999, "not a tar archive"),
        (b"hello world\n" * 999, "not a tar archive"),
        (b"\xff" * 2048, "not a tar archive: the header at byte 0 has a wrong checksum"),
        (GOOD[:700], "cut off: the last member is not complete"),
        (GOOD[:1000], "cut off: the last member is not complete"),
        (lzma.compress(GOOD)[:-20], "cut off: the xz data ends early"),
        (lzma.compress(GOOD)[:200], "cut off: the xz data ends early"),
        (pack(GOOD, "gzip")[:-1], "cut off: the gzip data ends early"),
        (lzma.compress(b"not a tar"), "not a tar archive: shorter than one header"),
        (lzma.compress(b""), "not a tar archive: shorter than one header"),
    ],
)
def test_what_is_no_whole_archive_is_refused(opened, raw, sentence):
    assert refused(opened, raw) == sentence


def test_a_changed_header_is_refused(opened):
    raw = bytearray(GOOD)
    raw[3] ^= 1
    assert "wrong checksum" in refused(opened, bytes(raw))


def test_damaged_xz_data_is_refused(opened):
    raw = bytearray(lzma.compress(GOOD))
    raw[len(raw) // 2] ^= 0x10
    assert refused(opened, bytes(raw)).startswith("damaged xz data")


def test_an_xz_header_may_not_ask_for_any_memory(opened, monkeypatch):
    monkeypatch.setattr(unpack, "_XZ_MEMORY_BYTES", 1 << 20)
    assert "Memory usage limit" in refused(opened, lzma.compress(GOOD, preset=6))


def test_the_manifest_of_an_archive_is_used(opened):
    unread = {"proc/modules": {"kind": "denied", "why": "Permission denied"}}
    source = opened(tar_of({**SMALL, "manifest.json": manifest(SMALL, unread=unread)}))
    assert source.describe().release == "6.12.0-test"
    assert source.read("proc/kallsyms") == SMALL["proc/kallsyms"]
    with pytest.raises(Denied, match="when the snapshot was taken"):
        source.read("proc/modules")
    changed = {**SMALL, "proc/kallsyms": b"other"}
    with pytest.raises(Broken, match="does not have the size"):
        opened(tar_of({**changed, "manifest.json": manifest(SMALL)})).read("proc/kallsyms")
    with pytest.raises(Broken, match=r"manifest\.json is not JSON"):
        opened(tar_of({**SMALL, "manifest.json": b"{"}))


def use_everything(path: str) -> None:
    """Open, list and read all there is; the only errors are those of sources."""
    try:
        source = ArchiveSource(path)
    except SourceError:
        return
    pending = [""]
    while pending:
        folder = pending.pop()
        for name in source.names(folder):
            below = f"{folder}/{name}" if folder else name
            try:
                source.read(below)
            except SourceError:
                try:
                    source.names(below)
                except SourceError:
                    continue
                pending.append(below)


WITH_MANIFEST = tar_of({**SMALL, "manifest.json": manifest(SMALL)})


@pytest.mark.property
@EXAMPLES
@given(
    raw=st.one_of(
        st.binary(max_size=2000),
        st.sampled_from([WITH_MANIFEST, pack(WITH_MANIFEST, "xz"), pack(WITH_MANIFEST, "gzip")]).flatmap(damaged),
        damaged(WITH_MANIFEST).map(lambda raw: pack(raw, "gzip")),
    )
)
def test_any_bytes_give_an_answer_or_a_source_error(tmp_path_factory, raw):
    path = tmp_path_factory.getbasetemp() / "any.tar"
    path.write_bytes(raw)
    use_everything(str(path))


def test_open_source_tells_the_kinds_apart(tmp_path):
    (tmp_path / "a.tar").write_bytes(GOOD)
    assert isinstance(open_source(""), LiveSource)
    assert isinstance(open_source("/"), LiveSource)
    assert isinstance(open_source("//"), LiveSource)
    assert isinstance(open_source(str(tmp_path / "a.tar")), ArchiveSource)
    snapshot = write_tree(tmp_path / "snapshot", SMALL)
    assert open_source(str(snapshot)).describe().kind == "snapshot"
    packed = write_tree(tmp_path / "packed", {"proc/kallsyms.xz": b""})
    assert open_source(str(packed)).describe().kind == "snapshot"
    root = write_tree(tmp_path / "root", {**SMALL, "etc/fstab": b""})
    assert open_source(str(root)).describe().kind == "root"
    (root / "manifest.json").write_bytes(manifest({}))
    assert open_source(str(root)).describe().kind == "snapshot"
    assert open_source(str(tmp_path)).describe().kind == "root"


def test_open_source_refuses_in_one_sentence(tmp_path):
    with pytest.raises(NotThere, match="No such file or directory"):
        open_source(str(tmp_path / "none"))
    with pytest.raises(NotThere, match="not a name"):
        open_source("a\0b")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Broken, match="a FIFO, not a regular file"):
        open_source(str(tmp_path / "fifo"))
    with pytest.raises(Broken, match="a character device"):
        open_source("/dev/zero")


def test_a_live_question_does_not_pay_for_archives():
    probe = "import sys; from probe_scout.sources import open_source; open_source(''); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    assert "probe_scout.sources.live" in loaded
    for late in ("lzma", "zlib", "json", "hashlib", "probe_scout.sources.archive", "probe_scout.sources.folder"):
        assert late not in loaded
