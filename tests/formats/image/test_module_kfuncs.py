"""Kfuncs out of a module's file: a written one, damaged ones, and real ones against what booted kernels said."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings

from probe_scout.errors import Malformed
from probe_scout.formats.btf.reader import Btf
from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.kfuncs import Permissions, flag_names
from probe_scout.formats.image.module_kfuncs import ModuleFacts, permissions
from tests.builders.btf_writer import BtfWriter
from tests.builders.damage import answer, damaged
from tests.vm import cache as lab

pytest.importorskip("capstone")
RECORDED = Path(__file__).resolve().parents[3] / "fixtures" / "calls" / "module-kfuncs.tsv.xz"
SCHED_CLS, XDP, TRACING = 3, 6, 26
TYPES = {"UNSPEC": 0, "SCHED_CLS": SCHED_CLS, "XDP": XDP, "TRACING": TRACING}


def vmlinux(with_set: bool = True) -> BtfWriter:
    types = BtfWriter()
    number = types.int("unsigned int")
    types.struct("bpf_kfunc_desc", 4, [("func_id", number, 0)])
    types.enum("bpf_prog_type", {f"BPF_PROG_TYPE_{name}": value for name, value in TYPES.items()})
    types.enum("btf_kfunc_hook", {"BTF_KFUNC_HOOK_COMMON": 0, "BTF_KFUNC_HOOK_XDP": 1, "BTF_KFUNC_HOOK_TC": 2})
    pointer = types.ptr(0)
    members = [("owner", pointer, 0), ("set", pointer, 64), ("filter", pointer, 128)]
    types.struct("btf_kfunc_id_set", 24, members if with_set else members[:1])
    types.struct("bpf_prog", 16, [("type", number, 0), ("aux", pointer, 64)])
    types.struct("bpf_prog_aux", 8, [("attach_btf_id", number, 0)])
    return types


def module(base: BtfWriter, *, names=("bpf_a", "bpf_b"), skips: bool = False) -> bytes:
    """A module that registers one set for XDP and then, unless that failed, for SCHED_CLS.

    `skips`: it registers nothing unless a variable of another file says so.
    """
    own = BtfWriter(base=base)
    ids = [own.function(name) for name in names]
    # endbr64; call __fentry__; mov $set, %rsi; mov $6, %edi; call register; test %eax, %eax; jne +17;
    # mov $set, %rsi; mov $3, %edi; call register; jmp __x86_return_thunk
    code = bytearray.fromhex("f30f1efa e800000000 48c7c600000000 bf06000000 e800000000 85c0 7511")
    code += bytes.fromhex("48c7c600000000 bf03000000 e800000000 e900000000")
    kset, register, thunk, fentry, variable, member = 2, 3, 4, 5, 6, 8
    places = [(5, fentry, 4, -4), (12, kset, 11, 0), (22, register, 4, -4)]
    places += [(33, kset, 11, 0), (43, register, 4, -4), (48, thunk, 4, -4)]
    if skips:  # cmpl $0, variable; je to the end
        head = bytearray.fromhex("833d00000000 00 7430")
        code = head + code
        places = [(2, variable, 2, -5)] + [(at + len(head), *rest) for at, *rest in places]
    sets = struct.pack("<II", len(ids), 1) + b"".join(struct.pack("<II", one, 1 << n) for n, one in enumerate(ids))
    texts = ["", "register_own", "kset", "register_btf_kfunc_id_set", "__x86_return_thunk", "__fentry__", "switch_on"]
    texts += [
        "__BTF_ID__set8__own_ids",
        *(f"__BTF_ID__func__{name}__{n}1" for n, name in enumerate(("bpf_a", "bpf_b"))),
    ]
    sections = {"": b"", ".text": bytes(code), ".data": bytes(24), ".BTF_ids": sets, ".BTF": own.bytes()}
    homes = [(0, 0, 0), (1, 0, 0x12), (2, 0, 0x01), *([(0, 0, 0x10)] * 4), (3, 0, 0), (3, 8, 1), (3, 16, 1)]
    strings = "\0".join(texts).encode() + b"\0"
    at = {text: strings.find(b"\0" + text.encode() + b"\0") + 1 for text in texts[1:]}
    symbols = b"".join(
        struct.pack("<IBBHQQ", at.get(text, 0), info, 0, home, value, 0)
        for text, (home, value, info) in zip(texts, homes, strict=True)
    )
    sections[".rela.text"] = b"".join(
        struct.pack("<QQq", place, sym << 32 | kind, add) for place, sym, kind, add in places
    )
    sections[".rela.data"] = struct.pack("<QQq", 8, (member - 1) << 32 | 1, 0)
    sections |= {".symtab": symbols, ".strtab": strings, ".shstrtab": b""}
    return elf(sections)


def elf(sections: dict[str, bytes]) -> bytes:
    order = list(sections)
    names = "\0".join(order).encode() + b"\0"
    sections[".shstrtab"] = names
    body, headers = bytearray(64), b""
    for number, name in enumerate(order):
        kind = {"": 0, ".symtab": 2, ".strtab": 3, ".shstrtab": 3}.get(name, 4 if name.startswith(".rela") else 1)
        flags = {".text": 6, ".data": 3, ".BTF_ids": 2}.get(name, 0)
        info = order.index(name.removeprefix(".rela")) if kind == 4 else 0
        link = {2: order.index(".strtab"), 4: order.index(".symtab")}.get(kind, 0)
        start = names.find(name.encode() + b"\0") if name else len(names) - 1
        headers += struct.pack("<IIQQQQIIQQ", start, kind, flags, 0, len(body), len(sections[name]), link, info, 8, 0)
        body += sections[name].ljust((len(sections[name]) + 7) // 8 * 8, b"\0")
        assert number < 64
    head = struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, len(body), 0, 64, 0, 0, 64, len(order), len(order) - 1)
    body[:64] = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + head
    return bytes(body) + headers


def read(raw: bytes, base: BtfWriter, hooks=None) -> Permissions:
    return permissions(ModuleFacts(raw, "own.ko", Btf(base.bytes())), hooks)


def test_a_set_is_for_the_types_that_it_is_registered_for():
    base = vmlinux()
    found = read(module(base), base, {0: 0, XDP: 1, SCHED_CLS: 2, TRACING: 3})
    assert found.kfuncs.gave_up == ()
    assert [(row.program_type, row.set_name) for row in found.kfuncs.registrations] == [
        (XDP, "own_ids"),
        (3, "own_ids"),
    ]
    assert {name: flag_names(flags) for name, flags in found.flags.items()} == {
        "bpf_a": ("acquire",),
        "bpf_b": ("release",),
    }
    assert [found.allowed("bpf_a", one) for one in (XDP, SCHED_CLS, TRACING)] == [True, True, False]


def test_without_the_kernels_image_only_registered_types_are_told():
    base = vmlinux()
    found = read(module(base), base)
    assert [found.allowed("bpf_b", one) for one in (XDP, SCHED_CLS, TRACING)] == [True, True, None]


def test_a_registration_that_hangs_on_the_unknown_is_not_told():
    base = vmlinux()
    found = read(module(base, skips=True), base, {0: 0, XDP: 1, SCHED_CLS: 2, TRACING: 3})
    assert "register_own" in found.kfuncs.gave_up[0]
    assert [found.allowed("bpf_a", one) for one in (XDP, TRACING)] == [None, None]


def test_a_file_of_another_vmlinux_is_refused():
    base = vmlinux()
    with pytest.raises(Malformed, match="BTF ids of the functions"):
        read(module(base, names=("bpf_a", "bpf_other")), base)


def test_a_kernel_that_keeps_sets_another_way_is_not_told():
    base = vmlinux(with_set=False)
    found = read(module(base), base, {0: 0, XDP: 1})
    assert found.kfuncs.gave_up == ("this kernel registers kfuncs in a way that is not read",)
    assert found.allowed("bpf_a", XDP) is None


BASE = vmlinux()
WHOLE = module(BASE)


@pytest.mark.property
@settings(max_examples=60, deadline=None)
@given(damaged(WHOLE))
def test_damage_is_one_sentence_or_an_answer(raw):
    found = answer(lambda content: read(content, BASE, {0: 0, XDP: 1}), raw)
    assert found is None or found.allowed("bpf_a", XDP) in (True, False, None)


@pytest.mark.image
@pytest.mark.parametrize("kernel", ["6.12", "7.3"])
def test_kfuncs_of_nf_conntrack_are_allowed_and_refused_as_the_verifier_did(kernel):
    home = lab.root() / "kernels" / kernel
    if not (home / "ko" / "nf_conntrack.ko").exists():
        pytest.skip(f"{home} is not there: python -m tests.vm fetches it")
    image = Facts(KernelImage(vmlinux_of((home / "vmlinuz").read_bytes())))
    btf = image.records().btf
    raw = (home / "ko" / "nf_conntrack.ko").read_bytes()
    found = permissions(ModuleFacts(raw, "nf_conntrack.ko", btf), Permissions(image).kfuncs.hooks)
    types = {
        name.removeprefix("BPF_PROG_TYPE_").lower(): value for name, value in btf.enumerators("bpf_prog_type").items()
    }
    asked = 0
    for line in lzma.decompress(RECORDED.read_bytes()).decode().splitlines():
        recorded_on, name, answer, programs = line.split("\t")
        for program in programs.split() if recorded_on == kernel else ():
            plain = program.partition("/")[0].removesuffix(".s")
            type_ = "tracing" if plain in ("fentry", "fexit", "iter", "tp_btf") else plain
            assert found.allowed(name, types[type_]) is (answer == "allowed"), (name, program)
            asked += 1
    assert asked > 290
