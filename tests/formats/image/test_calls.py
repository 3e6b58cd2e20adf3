"""Helpers and kfuncs of program types, read from kernel images, against what booted kernels of the same build said.

fixtures/calls/helpers.tsv.xz: what bpftool's probes could load; kfuncs.tsv.xz: which bare calls the verifier refused
with "calling kernel function … is not allowed". The images are those of the lab (tests/vm/fetch.py).
"""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

import pytest

from probe_scout.formats.elf.kernel_image import KernelImage, vmlinux_of
from probe_scout.formats.image import kfuncs
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.helpers import Helpers
from tests.vm import cache as lab

pytest.importorskip("capstone")
pytestmark = pytest.mark.image
RECORDED = Path(__file__).resolve().parents[3] / "fixtures" / "calls"
KERNELS = ("5.10", "6.1", "6.12", "7.3")
# libbpf_probe_bpf_prog_type's own expected attach types (tools/lib/bpf/libbpf_probes.c), and the kernel's defaults.
ATTACH = {
    "CGROUP_SOCK_ADDR": "CGROUP_INET4_CONNECT",
    "CGROUP_SOCKOPT": "CGROUP_GETSOCKOPT",
    "CGROUP_SOCK": "CGROUP_INET_SOCK_CREATE",
    "SK_LOOKUP": "SK_LOOKUP",
    "SK_REUSEPORT": "SK_REUSEPORT_SELECT",
}
# bpftool leaves out what writes to the log.
UNASKED = frozenset(("trace_printk", "trace_vprintk", "probe_write_user", "unspec"))
TRACING = {"fentry": "TRACE_FENTRY", "fexit": "TRACE_FEXIT", "iter": "TRACE_ITER", "tp_btf": "TRACE_RAW_TP"}


@cache
def facts(name: str) -> Facts:
    image = lab.root() / "kernels" / name / "vmlinuz"
    if not image.exists():
        pytest.skip(f"{image} is not there: python -m tests.vm fetches it")
    return Facts(KernelImage(vmlinux_of(image.read_bytes())))


@cache
def permissions_of(name: str) -> kfuncs.Permissions:
    return kfuncs.Permissions(facts(name))


def rows(file: str, kernel: str) -> list[list[str]]:
    lines = lzma.decompress((RECORDED / file).read_bytes()).decode().splitlines()
    return [line.split("\t")[1:] for line in lines if line.startswith(kernel + "\t")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_helpers_are_those_that_bpftool_could_load(kernel):
    helpers = Helpers(facts(kernel))
    wrong, told, untold = [], 0, set()
    for type_, allowed in rows("helpers.tsv.xz", kernel):
        attach = helpers.attach_types.get(ATTACH.get(type_, ""), 0)
        for name, number in helpers.numbers.items():
            if name in UNASKED or name.startswith("__"):
                continue
            answer = helpers.allowed(helpers.types[type_], number, attach)
            if answer is None:
                untold.add((type_, name))
                continue
            told += 1
            if answer != (name in allowed.split()):
                wrong.append((type_, name, answer))
    assert wrong == []
    assert told > 3800
    assert {type_ for type_, _ in untold} <= {"SYSCALL"}


def test_a_helper_of_some_attach_types_is_not_told_without_one():
    helpers = Helpers(facts("6.12"))
    type_, bind = helpers.types["CGROUP_SOCK_ADDR"], helpers.numbers["bind"]
    assert helpers.allowed(type_, bind) is None
    assert helpers.allowed(type_, bind, helpers.attach_types["CGROUP_INET4_CONNECT"]) is True
    assert helpers.allowed(type_, bind, helpers.attach_types["CGROUP_INET4_BIND"]) is False
    assert helpers.allowed(helpers.types["STRUCT_OPS"], bind) is None


@pytest.mark.parametrize(("kernel", "registrations", "count"), [("6.1", 8, 42), ("6.12", 43, 129), ("7.3", 74, 316)])
def test_every_registering_function_runs(kernel, registrations, count):
    found = permissions_of(kernel).kfuncs
    assert found.gave_up == ()
    assert len(found.registrations) == registrations
    assert len({kfunc for row in found.registrations for kfunc in row.members}) == count
    assert len(found.hooks) > 30


@pytest.mark.parametrize(("kernel", "least"), [("6.12", 3700), ("7.3", 9800)])
def test_kfuncs_are_allowed_and_refused_as_the_verifier_did(kernel, least):
    image = facts(kernel)
    permissions = permissions_of(kernel)
    types = {
        name.removeprefix("BPF_PROG_TYPE_").lower(): number
        for name, number in image.records().btf.enumerators("bpf_prog_type").items()
    }
    attach = {
        name.removeprefix("BPF_"): number for name, number in image.records().btf.enumerators("bpf_attach_type").items()
    }
    wrong, told = [], 0
    for name, answer, programs in rows("kfuncs.tsv.xz", kernel):
        for program in programs.split() if name in permissions.ids else ():
            plain = program.partition("/")[0].removesuffix(".s")
            type_ = "tracing" if plain in TRACING else plain
            expected = attach[TRACING[plain]] if plain in TRACING else 0 if plain == "kprobe" else None
            said = permissions.allowed(name, types[type_], expected)
            told += said is not None
            if said is not None and said != (answer == "allowed"):
                wrong.append((name, program, said))
    assert wrong == []
    assert told > least


def test_hooks_before_the_common_one_are_found():
    """6.1: tracing and lsm share a hook, kprobe has none (bpf_prog_type_to_kfunc_hook)."""
    image = facts("6.1")
    hooks = permissions_of("6.1").kfuncs.hooks
    number = image.records().btf.enumerators("bpf_prog_type")
    assert hooks[number["BPF_PROG_TYPE_TRACING"]] == hooks[number["BPF_PROG_TYPE_LSM"]]
    assert hooks[number["BPF_PROG_TYPE_KPROBE"]] == kfuncs.NO_HOOK
