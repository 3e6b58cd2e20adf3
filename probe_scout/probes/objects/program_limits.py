"""What the verifier refuses of a program by its type alone, before any question of values: how far the context goes,
how many arguments a function hands out, which maps a sleepable program may use, how deep its calls may stack.

Each answer comes from this kernel's own types and symbols. What the kernel's code decides unseen gives no answer here.
"""

from __future__ import annotations

from ...formats.btf import kinds
from ...formats.btf.records import COMPOSITES, ENUMS
from ...formats.btf.tracepoint import parameters
from ...formats.elf.bpf_object import INSN_BYTES
from ...model.trace import UNREADABLE
from ...named_tuple import NamedTuple
from ...rules import call, object_load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from ...formats.elf.bpf_object import BpfObject
    from ...rules.section_names import SectionName
    from .kernel_types import KernelTypes
    from .program_code import Prepared
    from .reach import Place, Reached

_TYPES_EVIDENCE = "sys/kernel/btf/vmlinux: enum bpf_func_id"
_WORD_BYTES = 8
_EGRESS_IFINDEX = 20  # offset in bytes of egress_ifindex, the last member of struct xdp_md
# Their is_valid_access compares with the size of the struct that struct bpf_ctx_convert names for the type.
_BY_CONTEXT = frozenset(
    (
        *("SOCKET_FILTER", "SCHED_CLS", "SCHED_ACT", "XDP", "CGROUP_SKB", "LWT_IN", "LWT_OUT", "LWT_XMIT"),
        *("LWT_SEG6LOCAL", "SK_SKB", "FLOW_DISSECTOR", "CGROUP_SOCK", "CGROUP_SOCK_ADDR", "SOCK_OPS", "SK_MSG"),
        *("CGROUP_DEVICE", "CGROUP_SYSCTL", "CGROUP_SOCKOPT", "SK_REUSEPORT", "SK_LOOKUP", "PERF_EVENT"),
    )
)
_WITH_RESULT = frozenset(("TRACE_FEXIT", "TRACE_FSESSION", "MODIFY_RETURN", "LSM_MAC", "LSM_CGROUP"))
_OF_FUNCTIONS = _WITH_RESULT | {"TRACE_FENTRY"}
# Commit e00931c02568 ("bpf: Enable private stack for eligible subprogs"): types whose frames may lie apart.
_APART = frozenset(("KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "TRACING", "LSM", "STRUCT_OPS"))
_STACK_BYTES_MAX, _FRAMES_MAX, _STACK_STEP = 512, 8, 16
# Spills around calls of helpers that keep registers are not counted (mark_fastcall_patterns).
_KEEPS_REGISTERS = frozenset((8, 35, 158))


class Refusal(NamedTuple):
    """Why the verifier refuses. `errno` by name."""

    rule: str
    errno: str
    says: str
    evidence: str


def context(types: KernelTypes, section: SectionName, read_bytes: int) -> Refusal | None:
    """Loads from the context that pass its end (net/core/filter.c, the types' is_valid_access).

    `read_bytes`: where the last load ends.
    """
    size, name = _context_bytes(types, section.program)
    if size and read_bytes > size:
        says = f"the program reads {read_bytes} bytes of its context, and struct {name} has {size} here"
        return Refusal("object_load.context", "EACCES", says, f"sys/kernel/btf/vmlinux: struct {name}")
    if section.program == "XDP" and section.attach != "XDP_DEVMAP" and read_bytes > _EGRESS_IFINDEX:
        says = "the program reads egress_ifindex, which only programs of device maps may (section xdp/devmap)"
        return Refusal("object_load.context", "EACCES", says, "the object")
    return None


def _context_bytes(types: KernelTypes, program: str) -> tuple[int, str]:
    """Size and name of the struct that programs of a type get; 0 where no rule speaks of it."""
    if program == "KPROBE":  # kprobe_prog_is_valid_access: struct pt_regs, whatever programs see of it
        size = types.vmlinux.struct_size("pt_regs") if types.vmlinux is not None else None
        return size or 0, "pt_regs"
    if program not in _BY_CONTEXT:
        return 0, ""
    names, size = context_struct(types, program)
    return size, min(names, default="")


def context_struct(types: KernelTypes, program: str) -> tuple[frozenset[str], int]:
    """The names that the context of a program type has, and its size in bytes (struct bpf_ctx_convert).

    None and 0 where it cannot be read. A typedef (bpf_user_pt_regs_t) has two names.
    """
    held = types.find("bpf_ctx_convert", kinds.STRUCT, "vmlinux")
    if held is None:
        return frozenset(), 0
    records, type_id = held
    for member in records.members(type_id):
        if member.name == f"BPF_PROG_TYPE_{program}_prog":
            names = records.record(member.type_id).name, records.record(records.resolve(member.type_id)).name
            return frozenset(names) - {""}, records.size(member.type_id) or 0
    return frozenset(), 0


def device_bound(types: KernelTypes, names: Iterable[str]) -> Refusal | None:
    """Kfuncs of the code, walked or not, that want a program bound to a device (bpf_dev_bound_kfunc_check)."""
    for name in names:
        if types.kernel.ids().holds(call.DEVICE_BOUND_SET, name) and not types.module_of(name, kinds.FUNC):
            says = f"{name} is for XDP programs that are bound to a device: its loader must set"
            says += " BPF_F_XDP_DEV_BOUND_ONLY and the device (bpf_program__set_flags, bpf_program__set_ifindex)"
            evidence = f"proc/kallsyms: __BTF_ID__ set {call.DEVICE_BOUND_SET}"
            return Refusal("object_load.kfunc_device_bound", "EINVAL", says, evidence)
    return None


def arguments(types: KernelTypes, section: SectionName, target: str, read_bytes: int) -> Refusal | None:
    """fentry, fexit, fmod_ret, lsm: loads beyond the function's arguments (kernel/bpf/btf.c, btf_ctx_access).

    `target`: the function, perhaps with its module; `read_bytes`: where the last load from the context ends.
    """
    if section.attach not in _OF_FUNCTIONS or section.program == "EXT" or not read_bytes:
        return None
    module, colon, name = target.rpartition(":")
    head = "bpf_lsm_" if section.attach.startswith("LSM") else ""
    held = types.find(head + name, kinds.FUNC, module if colon else None)
    if held is None:
        return None
    records, type_id = held
    proto = records.record(type_id).number
    parameters = [records.record(records.resolve(kind)).kind for _, kind in records.parameters(proto)]
    # A struct by value takes several words of the context, and did not on older kernels.
    if any(kind in COMPOSITES for kind in parameters):
        return None
    number = (read_bytes + 7) // 8
    evidence = f"sys/kernel/btf: {head}{name}"
    if number <= len(parameters):
        return None
    if number == len(parameters) + 1 and section.attach in _WITH_RESULT:
        if section.attach == "TRACE_FEXIT" and not records.resolve(records.record(proto).number):
            says = f"the program reads the value that {head}{name} returns, and it returns none here"
            return Refusal("object_load.argument", "EACCES", says, evidence)
        return None
    says = f"the program reads argument {number}, and {head}{name} has {len(parameters)} here"
    return Refusal("object_load.argument", "EACCES", says, evidence)


def unreadable(
    types: KernelTypes, section: SectionName, target: str, words: set[int], loadable: Callable[..., tuple[str, str]]
) -> Refusal | None:
    """tp_btf, fentry, fexit, fmod_ret, lsm: arguments of a type that this kernel hands to no program (btf_ctx_access).

    `words`: the 8-byte words of the context that are loaded; `loadable` tells of a parameter's shape.
    """
    is_event = section.attach == "TRACE_RAW_TP"
    if not words or section.program == "EXT" or not (is_event or section.attach in _OF_FUNCTIONS):
        return None
    module, colon, name = target.rpartition(":")
    title = f"btf_trace_{name}" if is_event else f"bpf_lsm_{name}" if section.attach.startswith("LSM") else name
    held = types.find(title, kinds.TYPEDEF if is_event else kinds.FUNC, module if colon else None)
    if held is None:
        return None
    records, type_id = held
    proto = records.record(type_id).number
    if is_event:
        proto = records.record(proto).number
    if records.record(proto).kind != kinds.FUNC_PROTO:
        return None
    arguments = parameters(records.btf, proto, 1 if is_event else 0)
    if any(argument.size > _WORD_BYTES for argument in arguments):  # such take several words, or none
        return None
    for word in sorted(words):
        if word < len(arguments):
            access, says = loadable(arguments[word].shape, arguments[word])
            if access == UNREADABLE:
                says = f"the program reads argument {word + 1}, `{arguments[word].type} {arguments[word].name}`: {says}"
                return Refusal("object_load.argument", "EACCES", says, f"sys/kernel/btf: {title}")
    return None


def sleepable_type(types: KernelTypes, section: SectionName) -> Refusal | None:
    """Sleepable user probes: commit 8c7dcb84e3b7 ("bpf: implement sleepable uprobes by chaining gps")."""
    if not section.sleepable or section.program != "KPROBE" or not types.symbol_count("kprobe_prog_ops"):
        return None
    if types.symbol_count("bpf_prog_array_free_sleepable"):
        return None
    says = "this kernel has no sleepable programs on user functions"
    return Refusal("object_load.program_flags", "EINVAL", says, "proc/kallsyms: no bpf_prog_array_free_sleepable")


def sleepable_maps(
    types: KernelTypes, found: BpfObject, section: SectionName, whole: AbstractSet[Place]
) -> Refusal | None:
    """check_map_prog_compatibility, of every map that the program's instructions name, walked or not."""
    if not section.sleepable:
        return None
    # Commit 638e4b825d52 ("bpf: Allows per-cpu maps and map-in-map in sleepable programs"), of check_mtu's release.
    is_first = types.knows("bpf_func_id", "BPF_FUNC_check_mtu") is False
    for place in sorted(whole):
        reference = found.references.get(place.section, {}).get(place.number * INSN_BYTES)
        if reference is not None and reference.kind == "map":
            used = found.maps[reference.number]
            why = object_load.sleepable_refused(used, is_first)
            if why:
                says = f"a sleepable program cannot use map {used.name}: {why}"
                return Refusal("object_load.sleepable_map", "EINVAL", says, _TYPES_EVIDENCE)
    return None


_WITHOUT_LOCKS = frozenset(
    ("KPROBE", "TRACEPOINT", "PERF_EVENT", "RAW_TRACEPOINT", "RAW_TRACEPOINT_WRITABLE", "SOCKET_FILTER")
)
_WITH_LOCKS = frozenset((object_load.HASH, object_load.ARRAY))


def locked_maps(found: BpfObject, section: SectionName, whole: AbstractSet[Place]) -> Refusal | None:
    """check_map_prog_compatibility: types that use no map whose values hold a struct bpf_spin_lock."""
    records = found.records
    if section.program not in _WITHOUT_LOCKS or records is None:
        return None
    for place in sorted(whole):
        reference = found.references.get(place.section, {}).get(place.number * INSN_BYTES)
        if reference is None or reference.kind != "map":
            continue
        used = found.maps[reference.number]
        value = records.resolve(used.value_type) if used.type in _WITH_LOCKS and used.origin == "maps" else 0
        if value and records.record(value).kind == kinds.STRUCT:
            held = {records.record(records.resolve(member.type_id)).name for member in records.members(value)}
            if "bpf_spin_lock" in held:
                says = f"programs of type {section.program} cannot use map {used.name}: its values hold a bpf_spin_lock"
                return Refusal("object_load.locked_map", "EINVAL", says, "the object")
    return None


def global_function(types: KernelTypes, found: BpfObject, program: str, type_id: int) -> Refusal | None:
    """btf_prepare_func_args before commit e5069b9c23b3 ("bpf: Support pointers in global func args").

    Its release brought the helper check_mtu. Numbers pass, and a pointer to the struct that is the type's context.
    """
    records = found.records
    if records is None or types.knows("bpf_func_id", "BPF_FUNC_check_mtu") is not False:
        return None
    record = records.record(type_id)
    if record.kind != kinds.FUNC:
        return None
    rule = "object_load.global_argument"
    result = records.record(records.resolve(records.record(record.number).number))
    if result.kind != kinds.INT and result.kind not in ENUMS:
        says = f"this kernel takes no global functions that return anything but a number: {record.name}"
        return Refusal(rule, "EINVAL", says, _TYPES_EVIDENCE)
    for number, (_, parameter) in enumerate(records.parameters(record.number)):
        held = records.record(records.resolve(parameter))
        if held.kind != kinds.PTR:
            continue
        pointed = records.record(records.resolve(held.number))
        names = {records.record(held.number).name, pointed.name}
        if pointed.kind != kinds.STRUCT or not names & context_struct(types, program)[0]:
            where = f"{record.name}, argument {number}"
            says = f"this kernel takes no pointers as arguments of global functions: {where}"
            return Refusal(rule, "EINVAL", says, _TYPES_EVIDENCE)
    return None


_ERRNO_MAX = 4095  # MAX_ERRNO
_ONE_ONLY = frozenset(("_RECVMSG", "_GETPEERNAME", "_GETSOCKNAME"))
_ZERO_OR_ONE = frozenset(
    ("CGROUP_SOCK_ADDR", "CGROUP_SKB", "CGROUP_SOCK", "SOCK_OPS", "CGROUP_DEVICE", "CGROUP_SYSCTL", "CGROUP_SOCKOPT")
)


def result(types: KernelTypes, section: SectionName, target: str, returns: frozenset[int | None]) -> Refusal | None:
    """Constants with which a program ends and that its type may not return (check_return_code).

    `returns`: as 64-bit numbers; what is not a constant (None) is left to the verifier.
    """
    known = sorted(value for value in returns if value is not None)
    bounds = _result_range(types, section, target) if known else None
    if bounds is None:
        return None
    least, most = bounds
    is_short = section.program == "LSM" and section.attach != "LSM_CGROUP"  # return_32bit
    numbers = [_signed(value, 32 if is_short else 64) for value in known]
    wrong = [number for number in numbers if not least <= number <= most]
    # Before commit 8fa4ecd49b81 ("bpf: enforce precise retval range on program exit") an exit was taken for another one
    # seen before, whatever it returns; its series brought the struct.
    if len(wrong) < len(returns) and types.find("bpf_retval_range", kinds.STRUCT) is None:
        return None
    if not wrong:
        return None
    allowed = str(least) if least == most else f"{least} to {most}"
    says = f"the program returns {wrong[0]}, and programs of this attach type may return {allowed}"
    return Refusal("object_load.result", "EINVAL", says, "the object")


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _result_range(types: KernelTypes, section: SectionName, target: str) -> tuple[int, int] | None:
    """What a program may return; None where anything goes, or no rule speaks of it."""
    program, attach = section.program, section.attach
    if program == "CGROUP_SOCK_ADDR" and any(attach.endswith(tail) for tail in _ONE_ONLY):
        return 1, 1
    if program == "CGROUP_SOCK_ADDR" and attach.endswith("_BIND"):
        # Commit 772412176fb9 ("bpf: Allow rewriting to ports under ..."), of the release that brought bpf_check_mtu.
        is_first = types.knows("bpf_func_id", "BPF_FUNC_check_mtu") is False
        return 0, 1 if is_first else 3
    if program == "CGROUP_SKB" and attach == "CGROUP_INET_EGRESS":
        return 0, 3
    if program in _ZERO_OR_ONE or program in ("SK_LOOKUP", "NETFILTER"):
        return 0, 1
    if program == "TRACING" and types.knows("bpf_attach_type", "BPF_TRACE_ITER"):
        # Commit e92888c72fbd ("bpf: Enforce returning 0 for fentry/fexit progs"), of the release of iterators.
        return {"TRACE_FENTRY": (0, 0), "TRACE_FEXIT": (0, 0), "TRACE_FSESSION": (0, 0), "TRACE_ITER": (0, 1)}.get(
            attach
        )
    if program == "KPROBE" and attach.endswith("_SESSION") and types.knows("bpf_attach_type", f"BPF_{attach}"):
        return 0, 1
    return _lsm_range(types, attach, target) if program == "LSM" else None


def _lsm_range(types: KernelTypes, attach: str, target: str) -> tuple[int, int] | None:
    name = f"bpf_lsm_{target.rpartition(':')[2]}"
    held = types.find(name, kinds.FUNC)
    if held is None:
        return None
    records, type_id = held
    is_void = not records.resolve(records.record(records.record(type_id).number).number)
    if attach == "LSM_CGROUP":
        return (1, 1) if is_void else (0, 1)
    # Commit 5d99e198be27 ("bpf, lsm: Add check for BPF LSM return value").
    if is_void or not types.symbol_count("bpf_lsm_get_retval_range"):
        return None
    ids = types.kernel.ids()
    if ids.holds("bool_lsm_hooks", name):
        return 0, 1
    return -_ERRNO_MAX, 0 if ids.visible else 1


def stack(types: KernelTypes, section: SectionName, prepared: Prepared, walked: Reached) -> Refusal | None:
    """check_max_stack_depth: what a chain of calls needs together, at least, of the stack.

    A frame's need is what walked instructions load and store by the frame pointer; buffers that only helpers fill,
    and rounding to 32 bytes on older kernels, would add to it.
    """
    calls: dict[Place, list[Place]] = {}
    for caller, callee in walked.calls:
        calls.setdefault(caller, []).append(callee)
    if not calls:
        return None
    insns = prepared.code.insns
    for place in walked.places:
        insn = insns[place.section][place.number]
        if insn.code == 0x85 and (insn.src == 2 or (not insn.src and insn.imm in _KEEPS_REGISTERS)):
            return None
    todo: list[tuple[Place, int, int, tuple[Place, ...]]] = [(walked.entry, 0, 0, ())]
    steps = 0
    while todo and steps < 10_000:
        steps += 1
        function, above, frame, chain = todo.pop()
        own = max(walked.stack_bytes.get(function, 0), 1)
        depth = above + (own + _STACK_STEP - 1) // _STACK_STEP * _STACK_STEP
        if depth > _STACK_BYTES_MAX and not _has_private_stacks(types, section):
            says = f"{len(chain) + 1} functions that call each other need {depth} bytes of stack, and there are 512"
            return Refusal("object_load.stack", "EACCES", says, "the object")
        if function in chain:
            continue
        for callee in calls.get(function, ()):
            # Kernels before 7 count on over a global function; newer ones begin anew there.
            deeper = 0 if callee in prepared.code.global_functions else frame + 1
            if deeper >= _FRAMES_MAX:
                return Refusal("object_load.stack", "E2BIG", "more than 8 functions call each other", "the object")
            todo.append((callee, depth, deeper, (*chain, function)))
    return None


def _has_private_stacks(types: KernelTypes, section: SectionName) -> bool:
    if section.program not in _APART or not types.enum("priv_stack_mode"):
        return False
    return not types.is_weak("bpf_jit_supports_private_stack")  # where the JIT has no such stacks


def member_refused(names: Iterable[tuple[str, str]], helper: int) -> Refusal | None:
    """Members of struct_ops that the kernel never takes, or that may not call a helper.

    `names`: struct and member. net/ipv4/bpf_tcp_ca.c: bpf_tcp_ca_check_member, bpf_tcp_ca_get_func_proto.
    """
    for struct, member in names:
        if (struct, member) == ("tcp_congestion_ops", "get_info") and not helper:
            says = "the kernel takes no program for tcp_congestion_ops.get_info"
            return Refusal("object_load.struct_ops_member", "ENOTSUPP", says, "the object")
        if (struct, member) == ("tcp_congestion_ops", "release") and helper in object_load.SOCKOPTS:
            says = "tcp_congestion_ops.release cannot call bpf_setsockopt or bpf_getsockopt"
            return Refusal("object_load.helper_type", "EINVAL", says, "the object")
    return None
