"""LSM programs: kernel/bpf/bpf_lsm.c bpf_lsm_verify_prog, bpf_lsm_is_sleepable_hook.

The target is the function bpf_lsm_<hook>, not security_<hook>. The program must be GPL.
"""

from __future__ import annotations

from ..model.facts import BTF, BTF_IDS
from ..model.traits import NONE, Traits
from .gate import Gate, KernelFeatures

GATE = Gate("lsm_hook", source="kernel/bpf/bpf_lsm.c", entry="bpf_lsm_verify_prog")


@GATE.rule("no_bpf_lsm", errno="EINVAL", decides="Kconfig BPF_LSM", needs=(BTF,), unless="bpf_lsm")
def no_bpf_lsm(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without CONFIG_BPF_LSM."""
    return True


@GATE.rule("not_sleepable", errno="EINVAL", decides="bpf_lsm_is_sleepable_hook: sleepable_lsm_hooks", needs=(BTF_IDS,))
def not_sleepable(t: Traits, _k: KernelFeatures) -> bool:
    """This hook is not in the kernel's list of sleepable hooks."""
    return t.btf != NONE and not t.lsm_sleepable


@GATE.rule(
    "disabled", errno="EINVAL", decides="bpf_lsm_disabled_hooks", needs=(BTF_IDS,), known="6.12; absent in 5.10 and 6.1"
)
def disabled(t: Traits, _k: KernelFeatures) -> bool:
    """The kernel closes this hook to BPF."""
    return t.lsm_disabled


@GATE.rule("not_a_hook", errno="EINVAL", decides="bpf_lsm_hooks", needs=(BTF_IDS,))
def not_a_hook(t: Traits, _k: KernelFeatures) -> bool:
    """The function is not one of the kernel's BPF LSM hooks (bpf_lsm_<hook>)."""
    # Behind the disabled hooks: bpf_lsm_verify_prog looks them up first. Both say EINVAL.
    return t.btf != NONE and not t.lsm_hook


@GATE.rule(
    "unknown_type",
    errno="EINVAL",
    decides="bpf_prog_load_check_attach: expected_attach_type",
    needs=(BTF,),
    unless="type_lsm_cgroup",
    known="since 6.0",
)
def unknown_type(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel does not know the attach type BPF_LSM_CGROUP."""
    return True


@GATE.rule("no_cgroup_bpf", errno="EOPNOTSUPP", decides="Kconfig CGROUP_BPF", needs=(BTF,), unless="cgroup_bpf")
def no_cgroup_bpf(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel was built without programs on cgroups (CONFIG_CGROUP_BPF).

    include/linux/bpf.h bpf_trampoline_link_cgroup_shim is then a stub that says EOPNOTSUPP.
    """
    return True


BUILT = GATE.part("no_bpf_lsm")
CGROUP_TYPE = GATE.part("unknown_type")
CGROUP = GATE.part("no_cgroup_bpf")
SLEEPABLE = GATE.part("not_sleepable")
HOOK = GATE.part("disabled", "not_a_hook")
