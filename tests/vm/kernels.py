"""The kernels of the lab: the one table that code, tests and docs/lab.md use.

A name stands for a line of Debian's kernel packages. `pinned` is the build whose answers are recorded;
when it has left the archive the newest of the suite that matches `release` is taken, and `fetch` says so.
"""

from __future__ import annotations

from typing import NamedTuple

from .machines import MACHINES, Machine

# What recorded kernels have loaded: file systems, network, KVM, device mapper. The flavours lack some: cloud has
# neither KVM nor 9p, and rt's kvm_amd refuses QEMU's processor.
USUAL = "ext4 xfs nf_conntrack kvm_amd tun veth overlay 9pnet_virtio 9p bridge btrfs nf_tables sch_fq dm_mod"
OTHER = {
    "cloud": "ext4 xfs nf_conntrack tun veth overlay bridge btrfs nf_tables sch_fq dm_mod",
    "rt": USUAL.replace("kvm_amd", "kvm"),
    "arm64": USUAL.replace("kvm_amd ", ""),  # KVM is part of the image there
    "riscv64": USUAL.replace("kvm_amd ", ""),
}


class Kernel(NamedTuple):
    """One line of kernels. `release` is a pattern for `uname -r`; `modules` are loaded for recordings."""

    name: str
    suite: str
    release: str
    pinned: str
    flavour: str
    modules: tuple[str, ...]
    purpose: str
    arch: Machine


def _kernel(name: str, suite: str, release: str, pinned: str, purpose: str) -> Kernel:
    flavour = name.partition("-")[2] or "generic"
    modules = OTHER.get(flavour, USUAL)
    arch = MACHINES[flavour if flavour in MACHINES else "amd64"]
    return Kernel(name, suite, release, pinned, flavour, tuple(modules.split()), purpose, arch)


_TABLE = (
    _kernel(
        "5.10",
        "bullseye",
        r"5\.10\.0-\d+-amd64",
        "5.10.0-32-amd64",
        "the oldest supported: no kprobe.multi, no BPF LSM by default",
    ),
    _kernel(
        "5.10-rt",
        "bullseye",
        r"5\.10\.0-\d+-rt-amd64",
        "5.10.0-32-rt-amd64",
        "common fields of 12 bytes, the copy of a system call's event as if they had 8: asked each run, never recorded",
    ),
    _kernel("6.1", "bookworm", r"6\.1\.0-\d+-amd64", "6.1.0-50-amd64", "kprobe.multi; lists before 6.2"),
    _kernel(
        "6.12", "trixie", r"6\.12\.\d+\+deb13-amd64", "6.12.107+deb13-amd64", "kprobe and fentry asked for all names"
    ),
    _kernel(
        "6.12-cloud",
        "trixie",
        r"6\.12\.\d+\+deb13-cloud-amd64",
        "6.12.107+deb13-cloud-amd64",
        "flavour: few drivers, no 9p",
    ),
    _kernel("6.12-rt", "trixie", r"6\.12\.\d+\+deb13-rt-amd64", "6.12.107+deb13-rt-amd64", "flavour: PREEMPT_RT locks"),
    _kernel(
        "6.16",
        "trixie-backports",
        r"6\.16\.\d+\+deb13-amd64",
        "6.16.12+deb13-amd64",
        "between recorded kernels: asked each run, never recorded",
    ),
    _kernel("6.17", "trixie-backports", r"6\.17\.\d+\+deb13-amd64", "6.17.13+deb13-amd64", "between recorded kernels"),
    _kernel(
        "6.18",
        "trixie-backports",
        r"6\.18\.\d+\+deb13-amd64",
        "6.18.15+deb13-amd64",
        "kallsyms letters of the new kind",
    ),
    _kernel(
        "6.19",
        "trixie-backports",
        r"6\.19\.\d+\+deb13-amd64",
        "6.19.14+deb13-amd64",
        "between recorded kernels; the first in parts",
    ),
    _kernel(
        "7.0",
        "trixie-backports",
        r"7\.0\.\d+\+deb13-amd64",
        "7.0.13+deb13-amd64",
        "between recorded kernels; no modules in the archive",
    ),
    _kernel(
        "7.1", "trixie-backports", r"7\.1\.\d+\+deb13-amd64", "7.1.13+deb13-amd64", "stable took halves of what 7.2 has"
    ),
    _kernel("7.2", "trixie-backports", r"7\.2\.\d+\+deb13-amd64", "7.2.12+deb13-amd64", "between 6.18 and the newest"),
    _kernel(
        "7.3", "trixie-backports", r"7\.3\.\d+\+deb13-amd64", "7.3.4+deb13-amd64", "the newest: all names, CI's smoke"
    ),
    _kernel(
        "7.3-cloud",
        "trixie-backports",
        r"7\.3\.\d+\+deb13-cloud-amd64",
        "7.3.4+deb13-cloud-amd64",
        "flavour of the newest",
    ),
    _kernel(
        "5.10-arm64",
        "bullseye",
        r"5\.10\.0-\d+-arm64",
        "5.10.0-32-arm64",
        "arm64 without symbols of data and without direct calls",
    ),
    _kernel("6.1-arm64", "bookworm", r"6\.1\.0-\d+-arm64", "6.1.0-50-arm64", "arm64 without direct calls"),
    _kernel(
        "6.12-arm64",
        "trixie",
        r"6\.12\.\d+\+deb13-arm64",
        "6.12.107+deb13-arm64",
        "arm64 with CALL_OPS: 8 words of arguments",
    ),
    _kernel(
        "7.3-arm64",
        "trixie-backports",
        r"7\.3\.\d+\+deb13-arm64",
        "7.3.4+deb13-arm64",
        "arm64 with fprobe: kprobe.multi",
    ),
    _kernel(
        "6.12-riscv64",
        "trixie",
        r"6\.12\.\d+\+deb13-riscv64",
        "6.12.107+deb13-riscv64",
        "an architecture whose rules are not known here",
    ),
)
KERNELS = {kernel.name: kernel for kernel in _TABLE}
NEWEST = "7.3"


def named(name: str, arch: str = "amd64") -> str:
    """The name of a line on an architecture: "6.12" and arm64 are "6.12-arm64"."""
    return name if arch in ("", "amd64") or name.endswith(f"-{arch}") else f"{name}-{arch}"
