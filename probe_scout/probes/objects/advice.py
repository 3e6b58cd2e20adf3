"""What to change where a program is refused: another attach point, the field's new place, a guard, another helper.

Nothing here changes an answer. What is advised was looked up in the same kernel: an attach point whose own verdict is
yes, a field that its type information has, a helper that it knows.
"""

from __future__ import annotations

from ...formats.btf import kinds, relocation
from ...formats.btf.records import COMPOSITES, essential
from ...model.lint import LOAD, ObjectAnswer, ProgramAnswer
from ...model.verdict import NO, YES, Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ...formats.btf.records import Records
    from .kernel_types import KernelTypes

_DEPTH_MAX = 3  # structs inside the struct
_PLACES_MAX = 3
# Helpers that do nearly the same, nearest first: (asked, others, what is lost).
HELPERS: dict[str, tuple[tuple[str, ...], str]] = {
    "bpf_get_current_task_btf": (("bpf_get_current_task",), "fields are then read by bpf_probe_read_kernel"),
    "bpf_probe_read_kernel": (("bpf_probe_read",), "which reads either memory"),
    "bpf_probe_read_user": (("bpf_probe_read",), "which reads either memory"),
    "bpf_probe_read_kernel_str": (("bpf_probe_read_str",), "which reads either memory"),
    "bpf_probe_read_user_str": (("bpf_probe_read_str",), "which reads either memory"),
    "bpf_copy_from_user": (("bpf_probe_read_user", "bpf_probe_read"), "which fails where the page is not in memory"),
    "bpf_copy_from_user_task": (("bpf_probe_read_user",), "which reads the current task alone"),
    "bpf_ktime_get_boot_ns": (("bpf_ktime_get_ns",), "which stands still in suspend"),
    "bpf_ktime_get_tai_ns": (("bpf_ktime_get_boot_ns", "bpf_ktime_get_ns"), "to which user space adds the offset"),
    "bpf_ktime_get_coarse_ns": (("bpf_ktime_get_ns",), "which is exact and costs more"),
    "bpf_ringbuf_output": (("bpf_perf_event_output",), "with a perf event array"),
    "bpf_ringbuf_reserve": (("bpf_perf_event_output",), "with a perf event array and a record on the stack"),
    "bpf_ringbuf_submit": (("bpf_perf_event_output",), "with a perf event array"),
    "bpf_ringbuf_discard": (("bpf_perf_event_output",), "with a perf event array"),
    "bpf_loop": (("bpf_for_each_map_elem",), "or a loop with a bound that the verifier can see"),
    "bpf_trace_vprintk": (("bpf_trace_printk",), "with at most three arguments"),
    "bpf_get_func_arg": (("bpf_probe_read_kernel",), "with the arguments out of the context"),
    "bpf_xdp_load_bytes": (("bpf_xdp_adjust_head",), "or direct access between data and data_end"),
    "bpf_xdp_store_bytes": (("bpf_xdp_adjust_head",), "or direct access between data and data_end"),
    "bpf_redirect_neigh": (("bpf_redirect",), "with addresses that the program looks up"),
    "bpf_redirect_peer": (("bpf_redirect",), "which passes the host's queue once more"),
    "bpf_get_netns_cookie": (("bpf_get_socket_cookie",), "where a socket will do"),
    "bpf_current_task_under_cgroup": (("bpf_get_current_cgroup_id", "bpf_get_current_ancestor_cgroup_id"), "compared"),
    "bpf_task_pt_regs": (("bpf_get_current_task",), "with the registers read off the stack's end"),
    "bpf_skb_cgroup_classid": (("bpf_get_cgroup_classid",), "which tells the current task's"),
}


def helper(types: KernelTypes, name: str, may_call: Mapping[str, bool | None]) -> Iterator[Finding]:
    """Another helper that this kernel has, and that is not refused to programs of the type (`may_call`)."""
    others, lost = HELPERS.get(name, ((), ""))
    for other in others:
        if types.knows("bpf_func_id", f"BPF_FUNC_{other.removeprefix('bpf_')}") and may_call.get(other) is not False:
            says = f"this kernel has {other}, {lost}"
            yield Finding("object_advice.helper", says, "sys/kernel/btf/vmlinux: enum bpf_func_id")
            return


def field(local: Records, record: relocation.CoreRecord, core: relocation.Kernel) -> Iterator[Finding]:
    """The guard for what is absent, and where the field is instead: deeper in the same struct, or under a like name."""
    head = local.record(record.type_id)
    title = essential(head.name)
    word = {kinds.STRUCT: "struct ", kinds.UNION: "union "}.get(head.kind, "enum ")
    try:
        steps = relocation.local_access(local, record).steps
    except relocation.RelocationFailed:
        return
    kind = relocation.KIND_NAMES[record.kind]
    if kind.startswith("enumval"):
        says = f"guard it: if (bpf_core_enum_value_exists({word}{head.name}, {steps[0].name}))"
        yield Finding("object_advice.guard", says, "the object")
        return
    if record.kind not in relocation.FIELD_KINDS or len(steps) < 2:
        return
    path = "".join(f".{s.name}" if s.name is not None else f"[{s.number}]" for s in steps[1:]).lstrip(".")
    says = f"guard it: if (bpf_core_field_exists((({word}{head.name} *)0)->{path}))"
    yield Finding("object_advice.guard", says, "the object")
    candidates = core.candidates(title, head.kind)
    if not candidates:
        return
    target, type_id = candidates[0]
    holder, name, before = _last_there(target, type_id, [s.name for s in steps[1:] if s.name is not None])
    if not name:
        return
    found = [*dict.fromkeys((*_alike(target, holder, name), *_deeper(target, holder, name)))][:_PLACES_MAX]
    for place in found:
        dotted = f"{before}.{place}" if before else place
        last = place.rpartition(".")[2]
        flavour = f"{word}{title}___here {{ … {last}; }} __attribute__((preserve_access_index))"
        says = f"here {word}{title} has {dotted}: read it where it exists, by a flavour: {flavour}"
        yield Finding("object_advice.path", says, "sys/kernel/btf")


def _last_there(target: Records, type_id: int, names: list[str]) -> tuple[int, str, str]:
    """(struct, first name that it lacks, path to it): how far the access gets on this kernel."""
    path: list[str] = []
    for name in names:
        type_id = target.resolve(type_id)
        if target.record(type_id).kind == kinds.ARRAY:
            type_id = target.resolve(target.array(type_id)[0])
        inner = dict(_members(target, type_id)).get(name)
        if inner is None:
            return type_id, name, ".".join(path)
        path.append(name)
        type_id = inner
    return type_id, "", ""


def _members(target: Records, type_id: int, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Name and type of each member, through anonymous structs and unions."""
    type_id = target.resolve(type_id)
    if target.record(type_id).kind not in COMPOSITES or depth > _DEPTH_MAX:
        return
    for member in target.members(type_id):
        if member.name:
            yield member.name, member.type_id
        else:
            yield from _members(target, member.type_id, depth + 1)


def _deeper(target: Records, type_id: int, name: str, depth: int = 0) -> Iterator[str]:
    """Paths to a member of this name in structs that the struct holds."""
    for outer, inner in _members(target, type_id):
        if depth and outer == name:
            yield name
        elif depth < _DEPTH_MAX and target.record(target.resolve(inner)).kind in COMPOSITES:
            yield from (f"{outer}.{path}" for path in _deeper(target, inner, name, depth + 1))


def _alike(target: Records, type_id: int, name: str) -> Iterator[str]:
    """Members whose names differ by underscores, a word in front or one behind: state and __state."""
    bare = name.strip("_")
    others = [other for other, _ in _members(target, type_id)]
    same = [other for other in others if other.strip("_") == bare]
    ends = (f"_{bare}",) if len(bare) > 3 else ()
    yield from same or [other for other in others if other.endswith(ends) or (ends and other.startswith(f"{bare}_"))]


def optional(whole: ObjectAnswer, programs: tuple[ProgramAnswer, ...]) -> tuple[Finding, ...]:
    """Which programs to leave out, where the others load and the object does not because of them."""
    if whole.answer != NO or whole.stage != LOAD:
        return ()
    wanted = [program for program in programs if program.autoload]
    refused = [program.name for program in wanted if program.answer == NO and program.stage == LOAD]
    loads = [program for program in wanted if program.answer == YES or (program.answer == NO and program.stage != LOAD)]
    if not refused or not loads:
        return ()
    names = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if len(refused) > 8 else "")
    how = 'SEC("?…") or bpf_program__set_autoload(program, false)'
    says = f"the other {len(loads)} programs load: mark {names} optional, {how}"
    return (Finding("object_advice.optional", says, "the object"),)
