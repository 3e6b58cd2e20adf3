"""What an image's checks said is kept: nothing is opened again, and every answer is that of the image itself."""

from __future__ import annotations

import random
from functools import cache

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.btf import kinds
from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.access import Accesses
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.helpers import Helpers
from probe_scout.formats.image.kfuncs import Permissions
from probe_scout.formats.image.program import Program
from probe_scout.probes import kept_image
from probe_scout.probes.kept_image import KeptImage
from tests.vm import cache as lab

LAB = lab.root()  # before the tests move the cache
KEPT = {
    "build_id": "ab",
    "types": {"XDP": 6, "TRACING": 26},
    "attach_types": {"XDP": 37},
    "numbers": [1, 2, 147],
    "built": [6],
    "protos": [[4096, True, False, 0], [8192, False, True, 12288]],
    "columns": {"6/37/0/all/none": [1, 0, -1]},
    "places": {"3000?6/37/0/all/none": "?"},
    "elsewhere": {"3000?@6/37/0/all/none": ["n", [7, 9], [["bpf_", 4]]]},
    "loads": {"0:4:1@6/37/0/all/none": [True, "ptr_to_packet", False, 0], "4:4:2@6/37/0/all/none": [False]},
    "members": {"own.0.1": "n"},
    "kfuncs": {
        "hooks": {"6": 1},
        "gave_up": [],
        "flags": {"bpf_a": 1, "bpf_b": 32},
        "columns": {"6/37/0/all/none": "y?"},
    },
}


def closed():
    raise Malformed("the image", 0, "no reading")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PROBE_SCOUT_CACHE", raising=False)
    return tmp_path


def keep(sha256):
    from probe_scout.sources import cache as answers

    answers.keep(f"{kept_image._FORMAT}\0{answers.program()}\0{sha256}", KEPT, large=True)


def test_kept_answers_open_nothing(home):
    keep("aa")
    image = KeptImage("aa", closed)
    program = Program(6, 37)
    assert [image.proto(program, one) for one in (1, 2, 147)] == [1, 0, None]
    assert (image.read(1).gpl_only, image.read(2).allowed, image.function(6), image.function(26)) == (
        True,
        12288,
        True,
        False,
    )
    assert image.kfuncs().permits(program, "bpf_a") is True
    assert image.kfuncs().permits(program, "bpf_b") is None
    assert image.kfuncs().permits(program, "bpf_other") is False
    assert image.kfuncs().flags["bpf_b"] == 32
    accesses = image.accesses()
    assert accesses.allowed(program, 0, 4) is True
    assert accesses.value().kind == "ptr_to_packet"
    assert accesses.allowed(program, 4, 4, 2) is False
    assert image.struct_ops().takes(None, "own", 1, 0, True) is False


def test_a_place_that_no_list_names_is_as_all_others(home):
    keep("aa")
    image = KeptImage("aa", closed)
    assert image.permits(Program(6, 37, btf_id=8, function="vfs_read"), 12288) is False
    for btf_id, name in ((7, "vfs_read"), (8, "bpf_prog_run")):
        with pytest.raises(Malformed):  # this place needs the image
            image.permits(Program(6, 37, btf_id=btf_id, function=name), 12288)


@pytest.mark.parametrize("change", ["another image", "readable by others", "damaged", "off"])
def test_what_cannot_be_trusted_opens_the_image(home, monkeypatch, change):
    keep("aa")
    (path,) = (home / "probe-scout").iterdir()
    if change == "readable by others":
        path.chmod(0o644)
    elif change == "damaged":
        path.write_bytes(path.read_bytes()[:-9])
    elif change == "off":
        monkeypatch.setenv("PROBE_SCOUT_CACHE", "off")
    with pytest.raises(Malformed):
        KeptImage("bb" if change == "another image" else "aa", closed)


# Against the image.


@cache
def facts(kernel):
    pytest.importorskip("capstone")
    path = LAB / "kernels" / kernel / "vmlinuz"
    if not path.exists():
        pytest.skip(f"{path} is not there: python -m tests.vm fetches it")
    return Facts(KernelImage(vmlinux_of(path.read_bytes())))


@pytest.mark.image
@pytest.mark.parametrize("kernel", ["5.10", "6.1", "6.12", "7.3"])
def test_kept_answers_are_those_of_the_image(home, kernel):
    image = facts(kernel)
    helpers, records = Helpers(image), image.records()
    first = KeptImage(kernel, lambda: image)
    rolled = random.Random(7)
    functions = [(one, records.record(one).name) for one in rolled.sample(range(1, 60000), 6000)]
    functions = [(one, name) for one, name in functions if records.record(one).kind == kinds.FUNC][:40]
    listed = [
        name
        for name in ("filp_close", "vfs_truncate", "bpf_lsm_file_open", "bpf_sk_storage_get", "tcp_connect")
        if name
    ]
    functions += [(found[0].type_id, name) for name in listed if (found := records.btf.find_functions(name))]
    columns = [
        (26, 24, False),
        (26, 26, False),
        (26, 25, True),
        (29, 27, True),
        (29, 27, False),
        (2, 0, False),
        (6, 37, False),
    ]
    asked = 0
    for again in (first, None):
        kept = again or KeptImage(kernel, closed)
        for type_, attach, sleeps in columns:
            for btf_id, name in (*functions, (None, "")):
                program = Program(type_, attach, sleeps, btf_id, name)
                for number in rolled.sample(sorted(helpers.numbers.values()), 12) if again else ():
                    proto, real = kept.proto(program, number), helpers.proto(program, number)
                    assert (None if proto is None else bool(proto)) == (None if real is None else bool(real))
                    asked += 1
                for number in (helpers.numbers.get("d_path"), helpers.numbers.get("sk_storage_get")):
                    proto, real = (kept.proto(program, number), helpers.proto(program, number)) if number else (0, 0)
                    if proto and kept.read(proto).allowed:
                        assert kept.permits(program, kept.read(proto).allowed) == helpers.permits(
                            program, helpers.read(real).allowed
                        ), (program, number)
                        asked += 1
        first.keep()
    assert asked > 3000


@pytest.mark.image
@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7.3"])
def test_kept_kfuncs_and_loads_are_those_of_the_image(home, kernel):
    image = facts(kernel)
    permissions, accesses = Permissions(image), Accesses(image)
    kept = KeptImage(kernel, lambda: image)
    for type_, attach in ((6, None), (26, None), (26, 24), (27, None), (2, 0), (3, None), (29, None)):
        program = Program(type_, attach)
        for name in (*permissions.ids, "vfs_read"):
            assert kept.kfuncs().permits(program, name) == permissions.permits(program, name)
    assert kept.kfuncs().flags == permissions.flags
    for offset in range(0, 48, 4):
        for access in (1, 2):
            told = accesses.allowed(Program(6, 37), offset, 4, access)
            assert kept.accesses().allowed(Program(6, 37), offset, 4, access) == told
    kept.keep()
    assert KeptImage(kernel, closed).kfuncs().permits(Program(6, None), "vfs_read") is False
