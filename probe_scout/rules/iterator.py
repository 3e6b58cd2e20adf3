"""Iterators: kernel/bpf/bpf_iter.c bpf_iter_prog_supported, bpf_iter_link_attach."""

from __future__ import annotations

from ..model.facts import BTF
from ..model.traits import NONE, Traits
from .gate import Gate, KernelFeatures

GATE = Gate("iterator", source="kernel/bpf/bpf_iter.c", entry="bpf_iter_prog_supported")


@GATE.rule("not_a_target", errno="EINVAL", decides="bpf_iter_prog_supported: targets", needs=(BTF,))
def not_a_target(t: Traits, _k: KernelFeatures) -> bool:
    """The function is not an iterator's (bpf_iter_<target> with a struct bpf_iter_meta in front).

    The registered targets are not exported; each has such a function (DEFINE_BPF_ITER_FUNC) and a context
    struct bpf_iter__<target>, and both are asked for.
    """
    return t.btf != NONE and not t.iterator


@GATE.rule(
    "sleepable_unknown",
    errno="EINVAL",
    decides="check_attach_btf_id: can_be_sleepable",
    needs=(BTF,),
    unless="sleepable_iterators",
    known="6.1 and later",
)
def sleepable_unknown(_t: Traits, _k: KernelFeatures) -> bool:
    """This kernel takes no sleepable iterator programs."""
    return True


@GATE.rule(
    "cannot_sleep",
    errno="EINVAL",
    decides="bpf_iter_target_support_resched",
    needs=(BTF,),
    feature="iterators_must_resched",
    known="since 6.1 (d247049f4fd0); 5.10 takes sleepable programs on every iterator. The change left no symbol or "
    "type, so a contemporary is probed",
)
def cannot_sleep(t: Traits, _k: KernelFeatures) -> bool:
    """This iterator does not allow sleepable programs (BPF_ITER_RESCHED is not among its features).

    No probe: the feature is known from the kernels' sources (task, task_file, task_vma, cgroup, ksym, and others).
    """
    return bool(t.iterator) and not t.iterator_resched


@GATE.rule("wants_map", errno="EBADF", decides="attach_target of bpf_map_elem, bpf_sk_storage_map, sockmap")
def wants_map(t: Traits, _k: KernelFeatures) -> bool:
    """This iterator walks one map: the link must name it (link_info.map.map_fd), and without one it is refused."""
    return t.iterator == "map"


@GATE.rule("wants_cgroup", errno="EINVAL", decides="kernel/bpf/cgroup_iter.c bpf_iter_attach_cgroup")
def wants_cgroup(t: Traits, _k: KernelFeatures) -> bool:
    """This iterator walks cgroups: the link must name a cgroup and an order, and without them it is refused."""
    return t.iterator == "cgroup"


# not_a_target is refused at load (check_attach_btf_id). bpf_iter_link_attach then asks bpf_iter_target_support_resched
# (cannot_sleep), and last the target's own attach_target (wants_map, wants_cgroup).
PLAIN = GATE.part("not_a_target", "wants_map", "wants_cgroup")
SLEEPABLE = GATE
