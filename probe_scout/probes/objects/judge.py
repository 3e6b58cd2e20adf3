"""One compiled object on one kernel: does it open, relocate, load and attach, and if not, why.

The order is libbpf's (bpf_object_prepare, bpf_object_load_prog, bpf_program__attach); the first refusal is the answer.
A program is judged alone: as if only it were loaded, with sizes that the object leaves at zero set by its loader. The
object is judged as a skeleton loads it, with nothing set.
"""

from __future__ import annotations

import re
from contextlib import suppress

from ...errors import Malformed, UsageError
from ...formats.btf import kinds
from ...formats.btf.records import essential
from ...formats.elf.bpf_object import INSN_BYTES
from ...model.lint import ATTACH, ATTACHED, LOAD, LOADED, OPEN, ObjectAnswer, ProgramAnswer
from ...model.verdict import NO, UNKNOWN, YES, Finding
from ...named_tuple import NamedTuple
from ...rules import bpf_names, helper_sets, map_helpers, object_load, section_names
from . import advice, map_limits, old_libbpf, program_code, program_limits, reach
from . import externs as extern_states
from .memo import Memo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet

    from ...formats.elf.bpf_object import BpfObject, Program
    from ...model.bpf_map import MapDefinition
    from ...model.report import Alternative
    from ...model.verdict import Verdict
    from ..calls import Calls
    from .kernel_types import KernelTypes

LIBBPF_ENDIAN = "ENDIAN"  # libbpf's own error, 4003
_BIG_ENDIAN = frozenset(("s390x", "ppc64", "mips64", "sparc64"))
_OPENS_BOTH_ORDERS = (1, 5)
_CALL = 0x85
_OVERRIDE_RETURN, _GET_FUNC_IP = 58, 173
_SOCKOPTS = object_load.SOCKOPTS
_RETVALS = frozenset((186, 187))  # get_retval, set_retval
_BY_TRAMPOLINE = frozenset(("TRACE_FENTRY", "TRACE_FEXIT", "TRACE_FSESSION"))
_SK_STORAGE, _ATTACH_COOKIE, _NETNS_COOKIE, _SOCKET_COOKIE = frozenset((107, 108)), 174, 122, 46
_BIND, _D_PATH = 64, 147
_STRTOLS, _PID_TGID, _NS_PID_TGID = frozenset((105, 106)), 14, 120
# Each type that came to bpf_get_netns_cookie later has a prototype of its own.
_NETNS_COOKIE_PROTOS = {"CGROUP_SOCKOPT": "sockopt", "SOCK_OPS": "sock_ops", "SK_MSG": "sk_msg"}
# kernel/bpf/cgroup.c, cgroup_common_func_proto: its callers, and the attach types it refuses.
_CGROUP_TYPES = frozenset(
    ("CGROUP_DEVICE", "CGROUP_SYSCTL", "CGROUP_SOCKOPT", "CGROUP_SKB", "CGROUP_SOCK", "CGROUP_SOCK_ADDR")
)
_WITHOUT_RETVAL = frozenset(
    (
        *("CGROUP_INET_INGRESS", "CGROUP_INET_EGRESS", "CGROUP_SOCK_OPS"),
        *("CGROUP_UDP4_RECVMSG", "CGROUP_UDP6_RECVMSG", "CGROUP_UNIX_RECVMSG"),
        *("CGROUP_INET4_GETPEERNAME", "CGROUP_INET6_GETPEERNAME", "CGROUP_UNIX_GETPEERNAME"),
        *("CGROUP_INET4_GETSOCKNAME", "CGROUP_INET6_GETSOCKNAME", "CGROUP_UNIX_GETSOCKNAME"),
    )
)
_BY_LOAD = ("attach_target", "prototype", "lsm_hook", "iterator", "caller", "raw_tp_null", "tracepoint_sleep")
# bpf_iter_link_attach and each target's attach_target: decided when the link is made.
_BY_LINK = frozenset(("iterator.wants_map", "iterator.wants_cgroup", "iterator.cannot_sleep"))
_BTF_NAMES = {
    "LSM_MAC": ("bpf_lsm_", kinds.FUNC),
    "LSM_CGROUP": ("bpf_lsm_", kinds.FUNC),
    "TRACE_ITER": ("bpf_iter_", kinds.FUNC),
}
# Asked for every object, or nearly: enums, contexts, and functions whose presence tells of a kernel's rules.
_TYPE_NAMES = frozenset(
    (
        *("bpf_prog_type", "bpf_attach_type", "bpf_map_type", "bpf_func_id", "bpf_ctx_convert", "pt_regs"),
        *("within_error_injection_list", "bpf_prog_load", "perf_kprobe_init", "perf_trace_init"),
        *("arch_bpf_trampoline_size", "save_args", "btf_func_model", "arg_flags", "register_ftrace_direct"),
    )
)
_PLAIN_NAME = re.compile(r"(?:(?!tp:|syscall:)\w+:)?([A-Za-z_][\w.]*)(?:\+\w+)?", re.ASCII)
_KPROBE_NAME = re.compile(r"[a-zA-Z0-9_.]+")


class _No(Exception):
    def __init__(
        self, stage: str, rule: str, errno: str, says: str, evidence: str = "", advice: Iterable[Finding] = ()
    ) -> None:
        super().__init__(says)
        self.stage, self.errno = stage, errno
        self.findings = (Finding(rule, says, evidence), *advice)


class _Unknown(Exception):
    def __init__(self, stage: str, rule: str, says: str) -> None:
        super().__init__(says)
        self.stage, self.finding = stage, Finding(rule, says, "")


class Row(NamedTuple):
    """A program with its row of libbpf's table; None where that libbpf does not know the section."""

    program: Program
    section: section_names.SectionName | None

    @property
    def autoload(self) -> bool:
        return not self.program.section.startswith("?")


class Judge:
    """Judges objects against one kernel. `verdict` gives check's verdict for an attach type and a written target."""

    def __init__(
        self,
        types: KernelTypes,
        verdict: Callable[[str, str], Verdict],
        libbpf: tuple[int, int] = section_names.NEWEST,
        calls: Calls | None = None,
        points: Callable[[str, str], tuple[Alternative, ...]] | None = None,
        loadable: Callable[..., tuple[str, str]] | None = None,
    ) -> None:
        """`points` gives attach points that are a yes, for an attach type and a target that are not.

        `loadable`: whether programs may load an argument, by its shape (probes.tracepoints.raw_arguments).
        """
        self.types, self.verdict, self.libbpf, self.calls = types, verdict, libbpf, calls
        self.points, self.loadable = points, loadable
        self._assumed: list[Finding] = []
        self._names: dict[int, str] = {}
        self._memo = Memo((_No, _Unknown))
        self._codes: dict[Program, list[program_code.OfExtent]] = {}

    def answer(self, found: BpfObject, only: str = "") -> tuple[ObjectAnswer, tuple[ProgramAnswer, ...]]:
        """The object's answer and those of its programs; `only` names one program."""
        self._memo, self._codes = Memo((_No, _Unknown)), {}
        rows = [Row(program, section_names.of(program.section, self.libbpf)) for program in found.programs]
        refusal = found.refusal or old_libbpf.refusal(found, self.libbpf)
        if refusal is not None and not (found.is_big_endian and self.libbpf < _OPENS_BOTH_ORDERS):
            finding = Finding(refusal.rule, refusal.says, "the object")
            answers = tuple(
                _answer(row, NO, OPEN, refusal.errno, (finding,)) for row in rows if only in ("", row.program.name)
            )
            return ObjectAnswer(NO, OPEN, refusal.errno, (finding,)), answers
        if found.is_big_endian != (self.types.kernel.arch() in _BIG_ENDIAN):
            return self._of_other_order(found, [row for row in rows if only in ("", row.program.name)])
        answers = tuple(self._alone(found, row) for row in rows if only in ("", row.program.name))
        whole = self._whole(found, rows)
        return whole._replace(findings=whole.findings + advice.optional(whole, answers)), answers

    def _of_other_order(self, found: BpfObject, rows: list[Row]) -> tuple[ObjectAnswer, tuple[ProgramAnswer, ...]]:
        """bpf_object_load: no object of another byte order is loaded; before 1.5 none is opened."""
        stage = OPEN if self.libbpf < _OPENS_BOTH_ORDERS else LOAD
        order = "big" if found.is_big_endian else "little"
        finding = Finding("object_load.endian", f"the object is {order}-endian, and the machine is not", "the object")
        answers = tuple(_answer(row, NO, stage, LIBBPF_ENDIAN, (finding,)) for row in rows)
        return ObjectAnswer(NO, stage, LIBBPF_ENDIAN, (finding,)), answers

    def functions(self, found: BpfObject, only: str = "") -> set[str]:
        """Kernel functions that its programs ask for, by plain name: one search can find them all."""
        names = set()
        for program in found.programs:
            section = section_names.of(program.section, self.libbpf) if only in ("", program.name) else None
            asked = asked_of(program.section, section) if section is not None else None
            if asked is not None and (match := _PLAIN_NAME.fullmatch(asked[1])) is not None:
                names.add(match[1])
        return names

    def type_names(self, found: BpfObject) -> set[str]:
        """Names that will be looked up in BTF of vmlinux: one search can find them all."""
        names = self.functions(found) | _TYPE_NAMES
        for type_id in {record.type_id for records in found.core.values() for record in records}:
            if found.records is not None:
                with suppress(Malformed):
                    names.add(essential(found.records.record(type_id).name))
        return names

    def _alone(self, found: BpfObject, row: Row) -> ProgramAnswer:
        notes = _sizes_note(found)
        self._assumed = []
        try:
            others = self._loaded_with(found, row)
            self._prepare(found, others, is_alone=True)
            walked = None
            for other in others:
                if other.program == row.program:
                    walked = self._load(found, other)
                    continue
                with suppress(_Unknown):  # of another program; what is unknown of it leaves this one's answer
                    self._load(found, other)
            self._slots(found, others)
            stage, more = self._attach(found, row, walked)
        except _No as no:
            return _answer(row, NO, no.stage, no.errno or None, no.findings)._replace(
                alternatives=self._instead(row, no)
            )
        except _Unknown as unknown:
            return _answer(row, UNKNOWN, unknown.stage, None, (unknown.finding,))
        return _answer(row, YES, stage, None, (*notes, *more, *dict.fromkeys(self._assumed)), True)

    def _loaded_with(self, found: BpfObject, row: Row) -> list[Row]:
        """The program, and for one of a struct_ops map all that the map refers to: libbpf loads them together.

        tools/lib/bpf/libbpf.c, bpf_object__adjust_struct_ops_autoload.
        """
        if row.section is None or row.section.program != "STRUCT_OPS":
            return [row]
        names = {row.program.name}
        for definition in found.maps:
            if definition.type == object_load.STRUCT_OPS:
                used = set(_members_used(found, definition).values())
                if row.program.name in used:
                    names |= used
        rows = [each for each in found.programs if each.name in names]
        return [Row(each, section_names.of(each.section, self.libbpf)) for each in rows]

    def _slots(self, found: BpfObject, rows: list[Row]) -> None:
        """bpf_object_init_prog_arrays: a program array that names a program which is not loaded."""
        loaded = {(row.program.section_index, row.program.offset) for row in rows}
        for name, section, offset in found.slots:
            if (section, offset) not in loaded:
                says = f"map {name} is initialised with a program that is not loaded with it"
                raise _No(LOAD, "object_load.program_array", "EBADF", says, "the object")

    def _whole(self, found: BpfObject, rows: list[Row]) -> ObjectAnswer:
        wanted = [row for row in rows if row.autoload]
        try:
            self._prepare(found, wanted, is_alone=False)
            for row in wanted:
                self._load(found, row)
            self._slots(found, wanted)
        except _No as no:
            return ObjectAnswer(NO, no.stage, no.errno or None, no.findings)
        except _Unknown as unknown:
            return ObjectAnswer(UNKNOWN, unknown.stage, None, (unknown.finding,))
        return ObjectAnswer(YES, LOADED)

    # Preparation: the whole object fails or passes.

    def _prepare(self, found: BpfObject, rows: list[Row], is_alone: bool) -> None:
        if self.types.vmlinux is None and self._needs_types(found, rows):
            raise _Unknown(
                LOAD,
                "object_load.no_btf",
                "its relocations need the kernel's type information, which is not readable here",
            )
        externs = self._memo.once("externs", lambda: self._externs(found))
        self._struct_ops(found, rows, is_alone)
        wanted: set[reach.Place] = set()
        for row in rows:
            wanted |= program_code.extent(found, row.program)
        try:
            core = self.types.core() if self.types.vmlinux is not None else None
            self._prepared = program_code.prepare(found, core, externs, wanted, self.types.is_partial)
        except program_code.Broken as error:
            raise _No(LOAD, error.rule, error.errno, error.says) from None
        self._memo.once(("maps", is_alone), lambda: self._maps(found, is_alone))
        self._links(found, rows, is_alone)

    def _externs(self, found: BpfObject) -> extern_states.Externs:
        try:
            return extern_states.resolve(found, self.types)
        except extern_states.Unresolved as error:
            if not error.errno:
                raise _Unknown(LOAD, error.rule, error.says) from None
            raise _No(LOAD, error.rule, error.errno, error.says) from None

    def _links(self, found: BpfObject, rows: list[Row], is_alone: bool) -> None:
        """struct_ops_map_alloc: flags of maps in .struct_ops.link."""
        used = {row.program.name for row in rows}
        for definition in found.maps:
            if definition.type == object_load.STRUCT_OPS and definition.origin.lstrip("?") == ".struct_ops.link":
                if is_alone and not used & set(_members_used(found, definition).values()):
                    continue
                if not self._has_links():
                    says = (
                        f"map {definition.name} lies in .struct_ops.link; this kernel knows no such maps (BPF_F_LINK)"
                    )
                    raise _No(LOAD, "object_load.map", "EINVAL", says, "sys/kernel/btf/vmlinux: BPF_F_LINK")

    def _needs_types(self, found: BpfObject, rows: list[Row]) -> bool:
        return (
            bool(found.core)
            or any(extern.kind in ("variable", "function") for extern in found.externs)
            or any(row.section is not None and row.section.by_btf for row in rows)
        )

    def _maps(self, found: BpfObject, is_alone: bool) -> None:
        numbers = self.types.enum("bpf_map_type")
        for definition in found.maps:
            if definition.type == object_load.STRUCT_OPS:
                continue
            self._map_size(definition)
            if definition.origin != "maps":
                continue
            if not numbers:
                raise _Unknown(
                    LOAD, "object_load.map_type", "the kernel's map types cannot be read (enum bpf_map_type)"
                )
            for each in (definition.inner, definition):
                if each is None:
                    continue
                refused = object_load.map_refused(object_load.with_sizes(each) if is_alone else each, numbers)
                if refused is not None:
                    raise _No(
                        LOAD, refused.rule, refused.errno, refused.says, "sys/kernel/btf/vmlinux: enum bpf_map_type"
                    )

    def _map_size(self, definition: MapDefinition) -> None:
        refused, evidence = map_limits.too_large(self.types, definition)
        if refused is not None and not refused.errno and evidence == map_limits.UNSEEN:
            raise _Unknown(LOAD, refused.rule, refused.says)
        if refused is not None:
            raise _No(LOAD, refused.rule, refused.errno, refused.says, evidence)

    def _struct_ops(self, found: BpfObject, rows: list[Row], is_alone: bool) -> None:
        """bpf_map__init_kern_struct_ops, for the maps that are created."""
        used = {row.program.name for row in rows}
        for definition in found.maps:
            if definition.type != object_load.STRUCT_OPS or found.records is None:
                continue
            members = _members_used(found, definition)
            if is_alone and not used & set(members.values()):
                continue
            self._struct_ops_map(
                found, definition.name, definition.value_type, members, definition.variable, definition.section_index
            )

    def _struct_ops_map(
        self, found: BpfObject, name: str, type_id: int, members: dict[int, str], begin: int, section: int
    ) -> None:
        local = found.records
        assert local is not None
        title = essential(local.record(type_id).name)
        value = self.types.find(f"bpf_struct_ops_{title}", kinds.STRUCT)
        held = self.types.find(title, kinds.STRUCT)
        if value is None or held is None:
            says = f"struct bpf_struct_ops_{title} is not in this kernel's type information: it has no such struct_ops"
            raise _No(LOAD, "object_load.struct_ops", "ESRCH", says, "sys/kernel/btf")
        kernel, kernel_id = held
        its = {member.name: member for member in kernel.members(kernel_id)}
        data = found.sections[section].data
        for member in local.members(type_id):
            size = local.size(member.type_id) or 0
            at = begin + member.bit_offset // 8
            is_set = any(data[at : at + size]) or member.bit_offset // 8 in members
            other = its.get(essential(member.name)) if member.name else None
            if other is None:
                if is_set:
                    says = f"map {name}: struct {title} of this kernel has no member {member.name}"
                    raise _No(LOAD, "object_load.struct_ops_member", "EOPNOTSUPP", says, "sys/kernel/btf")
                continue
            if member.bits or other.bits:
                raise _No(
                    LOAD, "object_load.struct_ops_member", "EOPNOTSUPP", f"map {name}: {member.name} is a bit-field"
                )
            one, two = local.resolve(member.type_id), kernel.resolve(other.type_id)
            if local.record(one).kind != kernel.record(two).kind:
                says = f"map {name}: the member {member.name} is of another kind on this kernel"
                raise _No(LOAD, "object_load.struct_ops_member", "EOPNOTSUPP", says, "sys/kernel/btf")
            if local.record(one).kind != kinds.PTR and local.size(one) != kernel.size(two):
                says = f"map {name}: the member {member.name} is of another size on this kernel"
                raise _No(LOAD, "object_load.struct_ops_member", "EOPNOTSUPP", says, "sys/kernel/btf")

    def _has_links(self) -> bool:
        """Commit 68b04864ca42 ("bpf: Create links for BPF struct_ops maps") has the flag in an enum."""
        return self.types.vmlinux is None or bool(self.types.vmlinux.find_enumerators("BPF_F_LINK"))

    # One program.

    def _load(self, found: BpfObject, row: Row) -> reach.Reached | None:
        section = self._memo.once(("before", row.program), lambda: self._before(found, row))
        code = program_code.of_extent(self._prepared, program_code.extent(found, row.program))
        seen = self._codes.setdefault(row.program, [])
        if code not in seen:
            seen.append(code)
        number = seen.index(code)
        walked, assumed = self._memo.once(("code", row.program, number), lambda: self._noted(found, row, section))
        self._assumed += assumed
        return walked

    def _noted(
        self, found: BpfObject, row: Row, section: section_names.SectionName
    ) -> tuple[reach.Reached | None, list[Finding]]:
        """The walk of the instructions, and what was assumed for it."""
        before, self._assumed = self._assumed, []
        try:
            return self._instructions(found, row, section), self._assumed
        finally:
            self._assumed = before

    def _before(self, found: BpfObject, row: Row) -> section_names.SectionName:
        """What is refused before the instructions are looked at."""
        section, program = row.section, row.program
        if section is None:
            release = ".".join(map(str, self.libbpf))
            says = f"libbpf {release} knows no section name `{program.section}`: its loader must set a type"
            raise _No(LOAD, "object_load.section_name", "EINVAL", says, "the object")
        if section.program == "STRUCT_OPS":
            self._struct_ops_program(found, program)
        self._target(row, section)
        self._kernel_knows(row, section)
        _refuse(program_limits.sleepable_type(self.types, section))
        if section.program in ("LSM", "STRUCT_OPS") and found.license not in object_load.GPL:
            says = f"programs of this type must have a GPL compatible license, and the object's is `{found.license}`"
            raise _No(LOAD, "object_load.license", "EINVAL", says, "the object")
        _refuse(program_limits.member_refused(_members_with(found, program.name), 0))
        self._attach_target(row, section, LOAD)
        return section

    def _struct_ops_program(self, found: BpfObject, program: Program) -> None:
        for definition in found.maps:
            if definition.type == object_load.STRUCT_OPS and program.name in _members_used(found, definition).values():
                return
        says = f"no struct_ops map of the object refers to {program.name}"
        raise _No(LOAD, "object_load.struct_ops_unused", "EINVAL", says, "the object")

    def _target(self, row: Row, section: section_names.SectionName) -> None:
        """libbpf_prepare_prog_load: the BTF target by name."""
        if not section.by_btf:
            return
        name = section_names.extra(row.program.section)
        if name is None:
            says = "the section names no target: its loader must set one (bpf_program__set_attach_target)"
            raise _No(LOAD, "object_load.no_target", "EINVAL", says, "the object")
        if section.program == "EXT":
            says = "the program to replace is set by the loader (bpf_program__set_attach_target)"
            raise _No(LOAD, "object_load.freplace", "EINVAL", says, "the object")
        module, function = _split(name)
        if section.attach == "TRACE_RAW_TP":
            head, kind = "btf_trace_", kinds.TYPEDEF
        else:
            head, kind = _BTF_NAMES.get(section.attach, ("", kinds.FUNC))
        if self.types.vmlinux is None:
            raise _Unknown(LOAD, "object_load.no_btf", "the kernel's type information cannot be read")
        if self.types.find(head + function, kind, module) is None:
            if self.types.is_partial:
                raise _Unknown(LOAD, "object_load.not_recorded", f"this partial snapshot does not tell about {name}")
            where = f"modules whose name begins with {module}" if module else "vmlinux or a loaded module"
            says = f"{head}{function} is not in the type information of {where}"
            raise _No(LOAD, "object_load.target", "ESRCH", says, "sys/kernel/btf")

    def _kernel_knows(self, row: Row, section: section_names.SectionName) -> None:
        """bpf_prog_load: type, expected attach type, flags; the kernel says nothing but EINVAL."""
        enum = self.types.enum("bpf_prog_type")
        if not enum:
            raise _Unknown(
                LOAD, "object_load.program_type", "the kernel's program types cannot be read (enum bpf_prog_type)"
            )
        evidence = "sys/kernel/btf/vmlinux: enum bpf_prog_type"
        if f"BPF_PROG_TYPE_{section.program}" not in enum:
            says = f"this kernel knows no program type BPF_PROG_TYPE_{section.program}"
            raise _No(LOAD, "object_load.program_type", "EINVAL", says, evidence)
        ops = object_load.PROGRAM_OPS.get(section.program)
        if ops and self.types.symbol_count("kprobe_prog_ops") and not self.types.symbol_count(f"{ops}_prog_ops"):
            says = f"BPF_PROG_TYPE_{section.program} is not built into this kernel"
            raise _No(LOAD, "object_load.program_type", "EINVAL", says, f"proc/kallsyms: no {ops}_prog_ops")
        if (
            section.attach
            and section.checks_attach
            and self.types.knows("bpf_attach_type", f"BPF_{section.attach}") is False
        ):
            says = f"this kernel knows no attach type BPF_{section.attach}"
            raise _No(LOAD, "object_load.attach_type", "EINVAL", says, "sys/kernel/btf/vmlinux: enum bpf_attach_type")
        if section.frags and not self._has_member("bpf_prog_aux", "xdp_has_frags"):
            says = "this kernel knows no XDP programs with fragments (BPF_F_XDP_HAS_FRAGS)"
            raise _No(LOAD, "object_load.program_flags", "EINVAL", says, "sys/kernel/btf/vmlinux: struct bpf_prog_aux")

    def _has_member(self, struct: str, member: str) -> bool:
        return self.types.vmlinux is not None and self.types.vmlinux.has_member(struct, member)

    def _attach_target(self, row: Row, section: section_names.SectionName, stage: str) -> None:
        """The tool's own verdict, where its first refusal belongs to this stage."""
        asked = asked_of(row.program.section, section)
        if asked is None:
            return
        try:
            verdict = self.verdict(*asked)
        except UsageError as error:
            raise _Unknown(stage, "object_load.not_judged", str(error)) from None
        if verdict.answer == NO and verdict.findings:
            rule = verdict.findings[0].rule
            by_load = rule.partition(".")[0] in _BY_LOAD and rule not in _BY_LINK
            if (stage == LOAD) != by_load:
                return
            if section.how == "tp" and verdict.errno is None:
                return
            first, errno = verdict.findings[0], verdict.errno or ""
            if section.how == "kprobe.multi" and errno == "ESRCH":
                errno = "ENOENT"  # libbpf 1.8 gives exact names to the kernel and renames its error
            raise _No(stage, first.rule, errno, first.says, first.evidence)
        if verdict.answer == UNKNOWN and stage == ATTACH:
            why = "; ".join(unread.why for unread in verdict.unread)
            raise _Unknown(stage, "object_load.target_unknown", f"{asked[0]} on {asked[1]} cannot be judged: {why}")

    def _instructions(self, found: BpfObject, row: Row, section: section_names.SectionName) -> reach.Reached | None:
        """Of what the verifier walks: what is absent here, helpers, kfuncs, forms of instructions."""
        prepared = self._prepared
        whole = program_code.extent(found, row.program)
        self._forms(prepared, whole)
        names = [essential(prepared.kfuncs[place]) for place in sorted(prepared.kfuncs.keys() & whole)]
        _refuse(program_limits.device_bound(self.types, names))
        _refuse(program_limits.sleepable_maps(self.types, found, section, whole))
        _refuse(program_limits.locked_maps(found, section, whole))
        for place in sorted(prepared.code.global_functions & whole):
            function = found.func_infos.get(found.sections[place.section].name, {}).get(place.number * INSN_BYTES)
            if function:
                _refuse(program_limits.global_function(self.types, found, section.program, function))
        entry = reach.Place(row.program.section_index, row.program.offset // INSN_BYTES)
        try:
            walked = reach.reached(prepared.code, entry)
        except reach.TooLarge:
            return None
        for place in sorted(walked.places):
            poison = prepared.poison.get(place)
            if poison is not None and poison.kind == "unrecorded":
                raise _Unknown(LOAD, "object_load.not_recorded", f"{poison.says}, as far as these files tell")
            if poison is not None:
                rule = f"object_load.{_POISONS[poison.kind]}"
                raise _No(LOAD, rule, "EINVAL", poison.says, "sys/kernel/btf/vmlinux", self._guards(found, poison))
        _refuse(program_limits.context(self.types, section, walked.context_bytes))
        target = section_names.extra(row.program.section) or ""
        _refuse(program_limits.arguments(self.types, section, target, walked.context_bytes))
        if self.loadable is not None:
            words = walked.context_words
            _refuse(program_limits.unreadable(self.types, section, target, words, self.loadable))
        self._helpers(found, row, section, prepared, walked)
        self._map_helpers(found, section, prepared, walked)
        if (
            prepared.kfuncs.keys() & walked.places
            and self.types.vmlinux is not None
            and not self.types.vmlinux.has_name("bpf_kfunc_desc")
        ):
            says = "this kernel takes no calls of kernel functions (kfuncs)"
            raise _No(LOAD, "object_load.kfunc_call", "EINVAL", says, "sys/kernel/btf/vmlinux: struct bpf_kfunc_desc")
        self._kfuncs(section, prepared, walked)
        self._arguments(row, section, walked)
        _refuse(program_limits.result(self.types, section, target, walked.returns))
        _refuse(program_limits.stack(self.types, section, prepared, walked))
        return walked

    def _kfuncs(
        self, section: section_names.SectionName, prepared: program_code.Prepared, walked: reach.Reached
    ) -> None:
        """check_kfunc_call: a function that is in no set registered for the type is refused with EACCES."""
        ids = self.types.kernel.ids()
        for place in sorted(prepared.kfuncs.keys() & walked.places):
            name = essential(prepared.kfuncs[place])
            if not ids.visible:
                raise _Unknown(
                    LOAD, "object_load.kfunc_unknown", f"kallsyms does not show which program types may call {name}"
                )
            if not ids.is_kfunc(name):
                says = f"{name} is a function of this kernel and no kfunc"
                raise _No(LOAD, "object_load.kfunc_not_allowed", "EACCES", says, "proc/kallsyms: __BTF_ID__ sets")
            module = self.types.module_of(name, kinds.FUNC)
            told = (
                self.calls.kfunc(name, section.program, section.attach, module or None)
                if self.calls is not None
                else None
            )
            if told is not None and told.answer == YES:
                if self.calls is not None and self.calls.is_recorded(told):
                    self._assumed.append(Finding("call.kfunc_recorded", f"{told.says}.", told.evidence))
                sleeps = self.calls is not None and self.calls.may_sleep(name, section.program, module or None)
                if not section.sleepable and sleeps:
                    says = f"{name} may sleep: only a sleepable program or a callback that may sleep can call it"
                    raise _Unknown(LOAD, "object_load.kfunc_unknown", says)
                continue
            if told is not None and told.answer == NO:
                raise _No(LOAD, "object_load.kfunc_not_allowed", "EACCES", told.says, told.evidence)
            says = f"{name} is a kfunc here; which program types may call it is code that no file shows"
            if module and told is not None:
                says = told.says
            raise _Unknown(LOAD, "object_load.kfunc_unknown", says)

    def _helpers(
        self,
        found: BpfObject,
        row: Row,
        section: section_names.SectionName,
        prepared: program_code.Prepared,
        walked: reach.Reached,
    ) -> None:
        """check_helper_call, of the calls that are walked."""
        names = self._helper_names()
        if not names:
            return
        differs = ""
        for place in sorted(walked.places):
            insn = prepared.code.insns[place.section][place.number]
            if insn.code != _CALL or insn.src or place in prepared.kfuncs:
                continue
            evidence = "sys/kernel/btf/vmlinux: enum bpf_func_id"
            if insn.imm not in names or names[insn.imm] == "__BPF_FUNC_MAX_ID":
                asked, says = bpf_names.helper(insn.imm), "is not known to this kernel"
                says = f"{asked} {says}" if asked.endswith(str(insn.imm)) else f"helper {insn.imm}, {asked}, {says}"
                more = self._other_helper(row, section, asked)
                raise _No(LOAD, "object_load.helper", "EINVAL", says, evidence, more)
            name = f"bpf_{names[insn.imm]}"
            if insn.imm == _GET_FUNC_IP and section.program == "RAW_TRACEPOINT":
                raise _No(LOAD, "object_load.helper_type", "ENOTSUPP", f"{name} is not for raw tracepoints", "")
            if section.program == "STRUCT_OPS":
                _refuse(program_limits.member_refused(_members_with(found, row.program.name), insn.imm))
            state = self._allowed(row, section, insn.imm)
            if state == helper_sets.REFUSED:
                raise _No(
                    LOAD,
                    "object_load.helper_type",
                    "EINVAL",
                    f"programs of type {section.program} cannot call {name}",
                    "",
                    self._other_helper(row, section, name),
                )
            if state == helper_sets.DIFFERS:
                differs = differs or name
            if insn.imm in helper_sets.SLEEPS and not section.sleepable:
                raise _No(
                    LOAD,
                    "object_load.helper_sleeps",
                    "EINVAL",
                    f"{name} may sleep, and the program is not sleepable",
                    "",
                )
            if found.license not in object_load.GPL and helper_sets.is_gpl_only(insn.imm):
                says = f"{name} is for programs with a GPL compatible license, and the object's is `{found.license}`"
                raise _No(LOAD, "object_load.helper_gpl", "EINVAL", says, "the object")
        if differs:
            says = f"whether programs of type {section.program} may call {differs} differs by kernel, and no file tells"
            raise _Unknown(LOAD, "object_load.helper_type_unknown", says)

    def _map_helpers(
        self,
        found: BpfObject,
        section: section_names.SectionName,
        prepared: program_code.Prepared,
        walked: reach.Reached,
    ) -> None:
        """check_map_func_compatibility, of the maps that are known where a helper is called."""
        differs = ""
        for place, number in sorted(walked.map_calls):
            helper, used = prepared.code.insns[place.section][place.number].imm, found.maps[number]
            state = map_helpers.state(helper, used.type, section.program, section.attach)
            name = f"bpf_{self._helper_names().get(helper, helper)}"
            if state == helper_sets.REFUSED:
                says = f"programs of type {section.program} cannot give map {used.name} to {name}"
                # Arguments are looked at before: a key of no bytes, or what is no socket, is EACCES already.
                is_told = helper not in map_helpers.WITH_KEY or (
                    used.key_bytes and used.type not in map_helpers.SOCKET_MAPS
                )
                raise _No(LOAD, "object_load.map_helper", "EINVAL" if is_told else "", says, "the object")
            if state == helper_sets.DIFFERS:
                differs = f"whether programs of type {section.program} may change socket map {used.name} by {name}"
        if differs:
            raise _Unknown(LOAD, "object_load.helper_type_unknown", f"{differs} differs by kernel, and no file tells")

    def _other_helper(self, row: Row, section: section_names.SectionName, name: str) -> list[Finding]:
        numbers = {f"bpf_{known}": number for number, known in self._helper_names().items()}
        may_call = {
            other: self._allowed(row, section, numbers[other]) != helper_sets.REFUSED
            for other in advice.HELPERS.get(name, ((), ""))[0]
            if other in numbers
        }
        return list(advice.helper(self.types, name, may_call))

    def _guards(self, found: BpfObject, poison: program_code.Poison) -> list[Finding]:
        if poison.kind == "kfunc":
            says = "guard the call: if (bpf_ksym_exists(…)), with the extern __weak"
            return [Finding("object_advice.guard", says, "the object")]
        if poison.record is None or found.records is None or self.types.vmlinux is None:
            return []
        return list(advice.field(found.records, poison.record, self.types.core()))

    def _instead(self, row: Row, no: _No) -> tuple[Alternative, ...]:
        """Other attach points whose own verdict is yes, where the target is what is refused."""
        rule = no.findings[0].rule
        is_target = rule == "object_load.target" or not rule.startswith("object_")
        if self.points is None or row.section is None or not is_target:
            return ()
        asked = asked_of(row.program.section, row.section)
        try:
            return self.points(*asked) if asked is not None else ()
        except UsageError:  # a target that is no name
            return ()

    def _helper_names(self) -> dict[int, str]:
        """Number of a helper to its name without bpf_; {} where enum bpf_func_id cannot be read."""
        if not self._names:
            found = {value: name.removeprefix("BPF_FUNC_") for name, value in self.types.enum("bpf_func_id").items()}
            found.pop(0, None)
            self._names = found
        return self._names

    def _allowed(self, row: Row, section: section_names.SectionName, helper: int) -> str:
        """Whether the type may call the helper, where the recorded sets or a symbol of this kernel tell."""
        if section.attach == "TRACE_ITER" and helper in _SOCKOPTS:
            # Commit 3cee6fb8e69e ("bpf: tcp: Support bpf_(get|set)sockopt in bpf tcp iter") added the function.
            target = (section_names.extra(row.program.section) or "").split(":")[-1]
            is_there = self.types.symbol_count(f"bpf_iter_{target}_get_func_proto")
            return helper_sets.UNTOLD if is_there is None else helper_sets.ALLOWED if is_there else helper_sets.REFUSED
        target = (section_names.extra(row.program.section) or "").rpartition(":")[2]
        if helper in _SK_STORAGE and section.attach in _BY_TRAMPOLINE and target.startswith("bpf_sk_storage"):
            # net/core/bpf_sk_storage.c, bpf_sk_storage_tracing_allowed: no program may call what it traces.
            return helper_sets.REFUSED
        if helper == _OVERRIDE_RETURN and section.program == "KPROBE":
            built = self.types.kernel.config("CONFIG_BPF_KPROBE_OVERRIDE")
            return helper_sets.UNTOLD if built is None else helper_sets.ALLOWED if built else helper_sets.REFUSED
        told = self._by_attach_type(section, helper)
        if told:
            return told
        if self.calls is not None and self.calls.from_image() is not None:
            state = self.calls.helper(section.program, helper, section.attach, section.sleepable)
            if state in (helper_sets.ALLOWED, helper_sets.REFUSED):
                return state
        if section.sleepable and helper in helper_sets.SLEEPS:
            return helper_sets.UNTOLD
        return helper_sets.of_type(section.program, helper)

    def _by_attach_type(self, section: section_names.SectionName, helper: int) -> str:
        """Helpers that a type's attach types or a later symbol decide about; "" for all others."""
        program, attach = section.program, section.attach
        if helper in _RETVALS and program in _CGROUP_TYPES:
            is_refused = attach in _WITHOUT_RETVAL
            return helper_sets.REFUSED if is_refused else helper_sets.ALLOWED
        if helper in _SOCKOPTS and program == "CGROUP_SOCKOPT":
            # Commit 2c531639deb5 ("bpf: Add support for bpf_{get,set}sockopt ... BPF_CGROUP_SETSOCKOPT").
            return self._by_symbol("bpf_sk_setsockopt_proto") if attach == "CGROUP_SETSOCKOPT" else helper_sets.REFUSED
        if helper == _BIND and program == "CGROUP_SOCK_ADDR":
            is_allowed = attach in ("CGROUP_INET4_CONNECT", "CGROUP_INET6_CONNECT")
            return helper_sets.ALLOWED if is_allowed else helper_sets.REFUSED
        if program == "SYSCALL" and (helper in _SK_STORAGE or helper == _D_PATH):
            return (
                helper_sets.REFUSED
            )  # bpf_sk_storage_tracing_allowed, bpf_d_path_allowed: such a program has no place
        if helper in _SOCKOPTS and attach in ("CGROUP_UNIX_GETPEERNAME", "CGROUP_UNIX_GETSOCKNAME"):
            return ""  # the kernel's image tells
        if helper in _SOCKOPTS and program == "CGROUP_SOCK_ADDR" and attach.endswith("_CONNECT"):
            return helper_sets.ALLOWED
        if helper in _SOCKOPTS and program == "CGROUP_SOCK_ADDR":
            # Commits 4f5e483b8d99 (bind) and 62476cc1bf24 (the others), of the release that brought bpf_check_mtu.
            if self.types.knows("bpf_func_id", "BPF_FUNC_check_mtu") is False:
                return helper_sets.REFUSED
            return helper_sets.ALLOWED
        if helper in _SK_STORAGE and program == "TRACING" and attach == "MODIFY_RETURN":
            return helper_sets.REFUSED
        if helper in _SK_STORAGE and program == "TRACING":
            # Commit 8e4597c627fb ("bpf: Allow using bpf_sk_storage in FENTRY/FEXIT/RAW_TP").
            return self._by_symbol("bpf_sk_storage_get_tracing_proto")
        if helper == _ATTACH_COOKIE and (program, attach) in (("TRACING", "TRACE_RAW_TP"), ("RAW_TRACEPOINT", "")):
            # Commit 68ca5d4eebb8 ("bpf: support BPF cookie in raw tracepoint (raw_tp, tp_btf) programs").
            has = self._has_member("bpf_raw_tp_link", "cookie")
            return helper_sets.ALLOWED if has else helper_sets.REFUSED
        if helper == _NETNS_COOKIE and program in _NETNS_COOKIE_PROTOS:
            return self._by_symbol(f"bpf_get_netns_cookie_{_NETNS_COOKIE_PROTOS[program]}_proto")
        return self._by_contemporary(program, helper)

    def _by_contemporary(self, program: str, helper: int) -> str:
        """Helpers that a type came to without a trace, where the kernel has what came with it or later."""
        knows = self.types.knows
        if helper in _STRTOLS and program != "CGROUP_SYSCTL":
            # Commit 8a67f2de9b1d ("bpf: expose bpf_strtol and bpf_strtoul to all program types"), between these two.
            if knows("bpf_func_id", "BPF_FUNC_ktime_get_tai_ns"):
                return helper_sets.ALLOWED
            if knows("bpf_func_id", "BPF_FUNC_tcp_raw_gen_syncookie_ipv4") is False:
                return helper_sets.REFUSED
        if helper == _SOCKET_COOKIE and program == "SK_REUSEPORT":
            # Commit e061047684af ("bpf: Support BPF_FUNC_get_socket_cookie() for BPF_PROG_TYPE_SK_REUSEPORT"), of the
            # series that brought the attach type.
            has = knows("bpf_attach_type", "BPF_SK_REUSEPORT_SELECT_OR_MIGRATE")
            return "" if has is None else helper_sets.ALLOWED if has else helper_sets.REFUSED
        if helper == _PID_TGID and program == "CGROUP_SYSCTL" and self.types.symbol_count("cgroup_current_func_proto"):
            # Commit bed89185af0d ("bpf: Use cgroup_{common,current}_func_proto in more hooks").
            return helper_sets.ALLOWED
        if helper in (_PID_TGID, _NS_PID_TGID) and knows("bpf_attach_type", "BPF_TRACE_KPROBE_SESSION"):
            # Commit eb166e522c77 ("bpf: Allow helper bpf_get_[ns_]current_pid_tgid() for all prog types"), a bit older.
            return helper_sets.ALLOWED
        return ""

    def _by_symbol(self, name: str) -> str:
        count = self.types.symbol_count(name)
        return helper_sets.UNTOLD if count is None else helper_sets.ALLOWED if count else helper_sets.REFUSED

    def _forms(self, prepared: program_code.Prepared, whole: AbstractSet[reach.Place]) -> None:
        """What the verifier checks before it walks, of every instruction (resolve_pseudo_ldimm64, check_btf_func)."""
        insns = [prepared.code.insns[place.section][place.number] for place in whole]
        has_atomic = any(insn.code & 0xE7 == 0xC3 and insn.imm for insn in insns)
        # Commit 91c960b00566 ("bpf: Rename BPF_XADD and prepare to encode other atomics in .imm") renamed check_xadd.
        if has_atomic and self.types.kernel.has_function("check_xadd"):
            says = "this kernel knows plain atomic additions alone; the program has other atomic operations"
            raise _No(LOAD, "object_load.atomic", "EINVAL", says, "proc/kallsyms: check_xadd")
        if (
            prepared.code.addresses.keys() & whole
            and self.types.knows("bpf_func_id", "BPF_FUNC_for_each_map_elem") is False
        ):
            says = "this kernel takes no addresses of functions as callbacks"
            raise _No(LOAD, "object_load.callback", "EINVAL", says, "sys/kernel/btf/vmlinux: enum bpf_func_id")

    def _arguments(self, row: Row, section: section_names.SectionName, walked: reach.Reached) -> None:
        """tp_btf: loads beyond the event's arguments (kernel/bpf/btf.c, btf_ctx_access)."""
        if section.attach != "TRACE_RAW_TP":
            return
        count = self._event_arguments(section_names.extra(row.program.section) or "")
        if count is not None and walked.context_bytes > 8 * count:
            says = f"the program reads argument {(walked.context_bytes + 7) // 8}, and the event has {count} here"
            raise _No(
                LOAD,
                "object_load.argument",
                "EACCES",
                says,
                "sys/kernel/btf: btf_trace_" + row.program.section.rpartition("/")[2],
            )

    def _event_arguments(self, name: str) -> int | None:
        """How many arguments a raw tracepoint hands to a program, without the hidden first one of its prototype."""
        held = self.types.find(f"btf_trace_{name}", kinds.TYPEDEF)
        if held is None:
            return None
        records, type_id = held
        pointer = records.record(records.record(type_id).number)
        proto = records.record(pointer.number)
        if pointer.kind != kinds.PTR or proto.kind != kinds.FUNC_PROTO:
            return None
        return max(proto.vlen - 1, 0)

    # Attach.

    def _attach(self, found: BpfObject, row: Row, walked: reach.Reached | None) -> tuple[str, tuple[Finding, ...]]:
        section = row.section
        assert section is not None
        extra = section_names.extra(row.program.section)
        if section.attach.startswith("TCX") and self.types.knows("bpf_attach_type", f"BPF_{section.attach}") is False:
            says = f"this kernel knows no attach type BPF_{section.attach}"
            raise _No(ATTACH, "object_attach.type", "EINVAL", says, "sys/kernel/btf/vmlinux: enum bpf_attach_type")
        if not section.how or extra is None:
            return LOADED, ()
        if section.how in ("uprobe", "uprobe.multi", "usdt"):
            return self._attach_user(found, section, extra or "")
        if section.how == "kprobe.multi":
            return self._attach_multi(row, section, extra or "")
        if section.how == "kprobe":
            match = _KPROBE_NAME.match(extra or "")
            if match is None:
                raise _No(ATTACH, "object_attach.section", "EINVAL", "the section names no function", "the object")
        if section.how == "tp" and "/" not in (extra or ""):
            raise _No(
                ATTACH, "object_attach.section", "EINVAL", "the section names no event as CATEGORY/EVENT", "the object"
            )
        self._attach_target(row, section, ATTACH)
        if section.how == "tp" and walked is not None:
            self._record(extra or "", walked)
        if section.how == "raw_tp" and walked is not None:
            count = self._event_arguments(extra or "")
            if count is not None and walked.context_bytes > 8 * count:
                says = f"the program reads argument {(walked.context_bytes + 7) // 8}, and the event has {count} here"
                raise _No(ATTACH, "object_attach.argument", "EINVAL", says, "sys/kernel/btf")
        return ATTACHED, ()

    def _record(self, event: str, walked: reach.Reached) -> None:
        """perf_event_set_bpf_prog: loads may not pass the end of the event's last field."""
        end = self.types.record_bytes(*event.split("/", 1))
        if end is not None and walked.context_bytes > end:
            says = f"the program reads {walked.context_bytes} bytes of the record, whose last field ends at byte {end}"
            raise _No(ATTACH, "object_attach.record", "EACCES", says, f"events/{event}/format")

    def _attach_user(
        self, found: BpfObject, section: section_names.SectionName, extra: str
    ) -> tuple[str, tuple[Finding, ...]]:
        if section.how == "uprobe" and ":" not in extra:
            raise _No(
                ATTACH,
                "object_attach.section",
                "EINVAL",
                "the section names no function as PATH:FUNCTION",
                "the object",
            )
        if section.how == "usdt" and not {"__bpf_usdt_specs", "__bpf_usdt_ip_to_spec_id"} <= {
            m.name for m in found.maps
        }:
            says = "the object lacks the maps of libbpf's bpf/usdt.bpf.h"
            raise _No(ATTACH, "object_attach.usdt_maps", "ESRCH", says, "the object")
        if section.how == "uprobe.multi" and self.types.knows("bpf_attach_type", f"BPF_{section.attach}") is False:
            says = f"this kernel knows no attach type BPF_{section.attach}"
            raise _No(ATTACH, "object_attach.type", "EINVAL", says, "sys/kernel/btf/vmlinux: enum bpf_attach_type")
        says = f"whether {extra} takes the probe depends on that file: `probe-scout check` on its machine tells"
        return LOADED, (Finding("object_attach.user_file", says, ""),)

    def _attach_pattern(self, pattern: str, attach: str) -> tuple[str, tuple[Finding, ...]]:
        """libbpf_available_kprobes_parse: the names that ftrace lists, of those that kallsyms has."""
        count = self.types.traced_matches(pattern)
        if count is None:
            raise _Unknown(ATTACH, "object_attach.pattern", f"available_filter_functions cannot be read for {pattern}")
        if not count:
            says = f"no function that ftrace can patch matches {pattern}"
            raise _No(ATTACH, "object_attach.pattern", "ENOENT", says, "available_filter_functions")
        known = self.types.knows("bpf_attach_type", f"BPF_{attach}")
        if known is False:
            raise _No(ATTACH, "object_attach.type", "EINVAL", f"this kernel knows no attach type BPF_{attach}", "")
        says = f"{pattern} matches {count} functions that ftrace can patch"
        return ATTACHED, (Finding("object_attach.matches", says, "available_filter_functions"),)

    def _attach_multi(
        self, row: Row, section: section_names.SectionName, extra: str
    ) -> tuple[str, tuple[Finding, ...]]:
        if self.types.knows("bpf_attach_type", f"BPF_{section.attach}") is False and not _is_pattern(extra):
            says = f"this kernel knows no attach type BPF_{section.attach}"
            raise _No(ATTACH, "object_attach.type", "EINVAL", says, "sys/kernel/btf/vmlinux: enum bpf_attach_type")
        if _is_pattern(extra):
            return self._attach_pattern(extra, section.attach)
        if not _KPROBE_NAME.match(extra):
            raise _No(ATTACH, "object_attach.section", "EINVAL", "the section names no function", "the object")
        self._attach_target(row, section, ATTACH)
        return ATTACHED, ()


_POISONS = {"core": "core_poison", "resize": "core_resize", "kfunc": "kfunc_absent"}


def _refuse(refusal: program_limits.Refusal | None) -> None:
    if refusal is not None:
        raise _No(LOAD, refusal.rule, refusal.errno, refusal.says, refusal.evidence)


def _is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def _split(name: str) -> tuple[str | None, str]:
    module, colon, function = name.partition(":")
    return (module, function) if colon else (None, name)


def asked_of(section_name: str, section: section_names.SectionName) -> tuple[str, str] | None:
    """(attach type, target) as check takes them; None where check has no such question."""
    extra = section_names.extra(section_name)
    if not extra:
        return None
    kind = section.name.rstrip("+")
    if section.how in ("trace", "hook", "iterator"):
        if section.program == "EXT":
            return None
        module, name = _split(extra)
        if kind.startswith("tp_btf"):
            return kind, f"tp:{name}"
        name = {"hook": "bpf_lsm_", "iterator": "bpf_iter_"}.get(section.how, "") + name
        return kind, f"{module}:{name}" if module and module != "vmlinux" else name
    if section.how == "kprobe":
        match = re.match(r"([a-zA-Z0-9_.]+)(\+\w+)?", extra)
        return (kind, match[0]) if match else None
    if section.how == "kprobe.multi":
        return kind, extra
    if section.how == "ksyscall":
        return kind, f"syscall:{extra}"
    if section.how == "tp":
        category, _, name = extra.partition("/")
        return (kind.replace("tracepoint", "tp"), f"tp:{category}:{name}") if name else None
    if section.how == "raw_tp":
        # A writable program is refused for what a plain one is, and where the event hands out nothing writable.
        return kind.replace("raw_tracepoint", "raw_tp").removesuffix(".w"), f"tp:{extra}"
    return None


def _members_used(found: BpfObject, definition: MapDefinition) -> dict[int, str]:
    """Offset in bytes within a struct_ops map to the program that is put there."""
    assert found.records is not None
    size = found.records.size(definition.value_type) or 0
    programs = {(program.section_index, program.offset): program.name for program in found.programs}
    used = {}
    for offset, reference in found.references.get(definition.section_index, {}).items():
        if definition.variable <= offset < definition.variable + size:
            name = programs.get((reference.number, reference.offset))
            if name is not None:
                used[offset - definition.variable] = name
    return used


def _members_with(found: BpfObject, program: str) -> list[tuple[str, str]]:
    """Struct and member of every struct_ops map that holds the program, without flavours."""
    records = found.records
    places = []
    for definition in found.maps:
        if definition.type != object_load.STRUCT_OPS or records is None:
            continue
        used = _members_used(found, definition)
        struct = essential(records.record(definition.value_type).name)
        for member in records.members(definition.value_type):
            if used.get(member.bit_offset // 8) == program:
                places.append((struct, essential(member.name)))
    return places


def _sizes_note(found: BpfObject) -> tuple[Finding, ...]:
    names = [m.name for m in found.maps if m.origin == "maps" and object_load.missing_sizes(m)]
    if not names:
        return ()
    says = f"the object leaves sizes to its loader, taken as set: {', '.join(sorted(names))}"
    return (Finding("object_load.sizes_set", says, "the object"),)


def _answer(
    row: Row, answer: str, stage: str, errno: str | None, findings: tuple[Finding, ...], is_left: bool = False
) -> ProgramAnswer:
    kind = row.section.program.lower() if row.section is not None else "unspec"
    return ProgramAnswer(
        row.program.name, row.program.section, kind, row.autoload, answer, stage, errno, findings, is_left
    )
