"""A tracepoint's raw arguments and the struct of its record, from a kernel's BTF.

The types are those of the typedef btf_trace_<event>; it has no parameter names, so these come from the
function __traceiter_<event>. Which class an event belongs to is written nowhere before the file btf_ids of
7.3; the struct is found by its name or by its members, and by the arguments of __bpf_trace_<class>.
"""

from __future__ import annotations

from ...errors import Malformed
from ...formats.btf import tracepoint as btf_trace
from ...model import facts
from ...model.trace import DATA_LOC, READABLE, REL_LOC, UNREADABLE, RawArgument, RecordType
from . import syscall_copy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...formats.btf.reader import Btf
    from ...formats.btf.tracepoint import Members, Parameter
    from ...kernel.kernel import Kernel
    from ...model.trace import BtfIds, SyscallCopy, TraceFormat

_VMLINUX = "vmlinux"
_NULL_TABLE = "raw_tp_null_args"
_UNKNOWN = "unknown"
# Attach types that came with, or near, a change of btf_ctx_access that left no name of its own.
_INT_POINTERS = "BPF_TRACE_KPROBE_MULTI"  # 5.18: is_int_ptr
_VOID_POINTERS = "bpf_probe_read_user_dynptr"  # 6.16: is_void_or_int_ptr
_ANY_POINTER = "BPF_TRACE_FENTRY_MULTI"  # 7.2: every pointer to no struct is a number by then
_NOT_YET = "BPF_TRACE_FSESSION"  # 7.0: no such kernel yet


class TraceTypes:
    """What one kernel's BTF says about tracepoints. Keeps what it found; make one for each kernel.

    `arguments` and `record` look for one event's names. After `load_all` they look names up in tables, which
    pays from some ten events on.
    """

    def __init__(self, k: Kernel) -> None:
        self._k = k
        self._typedefs: dict[str, tuple[str, int]] | None = None
        self._classes: dict[str, dict[str, Members]] = {}
        self._by_fields: dict[str, dict[tuple[tuple[str, int], ...], list[str]]] = {}
        self._null_bytes: int | bool | None = False  # False: not looked for yet

    def load_all(self) -> None:
        """Read every btf_trace_ typedef of vmlinux and of every module at once."""
        if self._typedefs is None:
            self._typedefs = {}
            for owner, btf in self._btfs():
                btf.functions()  # parameter names come from functions: look them up in the table too
                for name, type_id in btf.typedefs_named(btf_trace.TYPEDEF_HEAD).items():
                    event = name.removeprefix(btf_trace.TYPEDEF_HEAD)
                    self._typedefs.setdefault(event, (owner, btf_trace.pointed_prototype(btf, type_id)))

    def prototype(self, tracepoint: str) -> tuple[str, Btf, int] | None:
        """Where the arguments are: "vmlinux" or the module, its BTF, the id of the FUNC_PROTO; None if nowhere."""
        if self._typedefs is not None:
            found = self._typedefs.get(tracepoint)
            btf = self._btf(found[0]) if found is not None else None
            return (found[0], btf, found[1]) if found is not None and btf is not None else None
        for owner, btf in self._btfs():
            proto = btf_trace.prototype_id(btf, tracepoint)
            if proto is not None:
                return owner, btf, proto
        return None

    def arguments(self, tracepoint: str) -> tuple[RawArgument, ...]:
        """ctx[n] of raw_tp and tp_btf, without the leading `void *__data`; () for a tracepoint that BTF has not."""
        found = self.prototype(tracepoint)
        if found is None:
            return ()
        owner, btf, proto = found
        params = btf_trace.parameters(btf, proto)
        names = btf_trace.names_of(btf, f"__traceiter_{tracepoint}") or btf_trace.names_of(
            btf, f"__bpf_trace_{tracepoint}"
        )
        if len(names) != len(params):
            names = tuple(param.name for param in params)
        arguments = []
        slot = 0
        for place, (param, name) in enumerate(zip(params, names, strict=True)):
            nullable, why, shape = self._nullable(tracepoint, owner, place, name, param)
            arguments.append(
                RawArgument(
                    name,
                    param.type,
                    place,
                    slot,
                    param.size,
                    shape,
                    param.struct,
                    param.type_id,
                    owner,
                    nullable,
                    why,
                    _helper(shape, param),
                    *self.loadable(shape, param),
                )
            )
            slot += max(1, (param.size + 7) // 8)
        return tuple(arguments)

    def record(
        self, category: str, event: str, fmt: TraceFormat | None, ids: BtfIds | None = None
    ) -> RecordType | None:
        """The struct of the event's record; None if BTF has none that fits.

        Without a format the struct of the event's own name is taken as it is.
        """
        if category == "syscalls":
            return self._syscall_record(event)
        home = self.prototype(event)
        if home is None:
            return None
        owner, btf, proto = home
        if ids is not None and ids.record_id:
            return _told(owner, btf, ids.record_id, fmt)
        if fmt is None:
            one = btf_trace.record_struct(btf, btf_trace.RECORD + event)
            return None if one is None else RecordType(btf_trace.RECORD + event, "name", owner, one.type_id)
        wanted = _wanted(fmt)
        own = self._class(owner, btf, event)
        if own is not None and own.fields == wanted:
            return RecordType(btf_trace.RECORD + event, "name", owner, own.type_id)
        fits = self._fitting(owner, btf, wanted)
        same = [title for title in fits if self._takes(btf, title, proto)]
        chosen = same or ([] if any(self._has_class(btf, title) for title in fits) else fits)
        if not chosen:
            return None
        table = self._classes[owner]
        name, *others = [btf_trace.RECORD + title for title in sorted(chosen, key=lambda t: _distance(t, event))]
        return RecordType(name, "layout", owner, table[name.removeprefix(btf_trace.RECORD)].type_id, tuple(others))

    # Below: the parts.

    def _btfs(self) -> Iterator[tuple[str, Btf]]:
        for module in (None, *self._k.btf_modules()):
            btf = self._k.btf(module)
            if btf is not None:
                yield module or _VMLINUX, btf

    def _btf(self, owner: str) -> Btf | None:
        return self._k.btf(None if owner == _VMLINUX else owner)

    def _class(self, owner: str, btf: Btf, title: str) -> Members | None:
        if owner in self._classes:
            return self._classes[owner].get(title)
        return btf_trace.record_struct(btf, btf_trace.RECORD + title)

    def _fitting(self, owner: str, btf: Btf, wanted: tuple[tuple[str, int], ...]) -> list[str]:
        if owner not in self._by_fields:
            self._classes[owner] = table = btf_trace.record_structs(btf)
            index: dict[tuple[tuple[str, int], ...], list[str]] = {}
            for title, one in table.items():
                index.setdefault(one.fields, []).append(title)
            self._by_fields[owner] = index
        return self._by_fields[owner].get(wanted, [])

    @staticmethod
    def _has_class(btf: Btf, title: str) -> bool:
        return bool(btf.find_functions(f"__bpf_trace_{title}"))

    @staticmethod
    def _takes(btf: Btf, title: str, proto: int) -> bool:
        """The class function takes the types that the event's typedef has: the same ids, or what these stand for.

        An event's prototype may name a type (time64_t) that its class names otherwise (long long).
        """
        wanted = [type_id for _, type_id in btf_trace.parameter_ids(btf, proto)]
        found = [
            [type_id for _, type_id in btf_trace.parameter_ids(btf, func.proto_id)]
            for func in btf.find_functions(f"__bpf_trace_{title}")
        ]
        if wanted in found:
            return True
        plain = [btf.skip_modifiers(one) for one in wanted]
        return any([btf.skip_modifiers(one) for one in ids] == plain for ids in found)

    def _syscall_record(self, event: str) -> RecordType | None:
        btf = self._k.btf()
        name = btf_trace.RECORD + ("sys_exit" if event.startswith("sys_exit_") else "sys_enter")
        one = None if btf is None else btf_trace.record_struct(btf, name)
        if one is None:
            return None
        return RecordType(
            name, "syscall", _VMLINUX, one.type_id, (), _unlike_copy(syscall_copy.layout(self._k, event), one)
        )

    def _nullable(self, tracepoint: str, owner: str, place: int, name: str, param: Parameter) -> tuple[str, str, str]:
        """nullable, why, and the shape as the verifier takes it."""
        if param.shape != "struct_pointer":
            return "no", "not a pointer that a program may follow", param.shape
        if name.endswith("__nullable"):
            return "yes", "the kernel's own mark: the parameter's name ends with __nullable", param.shape
        has_table = self._has_null_table()
        if has_table is None:
            return "unknown", "nothing that was read shows whether this kernel has raw_tp_null_args", param.shape
        if not has_table:
            why = "this kernel's verifier demands no check; a load through NULL gives 0"
            return "no", why, param.shape
        from ...rules.raw_tp_null import MAY_BE_ERROR, MAY_BE_NULL, bits

        found = bits(tracepoint, place, self._null_table_bytes(), owner != _VMLINUX)
        if found is None:
            why = "the verifier's own table raw_tp_null_args decides, and this kernel's entries are not known"
            return "unknown", why, param.shape
        if found & MAY_BE_ERROR:
            return "no", "the verifier takes it for a plain number: it may be an error pointer", "pointer"
        if found & MAY_BE_NULL:
            if owner != _VMLINUX:
                why = "the verifier's table raw_tp_null_args marks it, or has no entry, as with most of modules"
                return "yes", why, param.shape
            return "yes", "the verifier's table raw_tp_null_args marks it", param.shape
        return "no", "the verifier trusts it: raw_tp_null_args does not mark it", param.shape

    def loadable(self, shape: str, param: Parameter) -> tuple[str, str]:
        """access and says of a tp_btf program's load (kernel/bpf/btf.c, btf_ctx_access)."""
        if shape == "other":
            return UNREADABLE, "neither a number nor a pointer; EACCES at load"
        if shape == "struct":
            is_taken = self._k.feature("union_arguments" if param.target == "union" else "struct_arguments")
            if is_taken is None:
                return _UNKNOWN, "nothing that was read shows whether this verifier takes a struct by value"
            says = "this verifier takes nothing of this kind by value; EACCES"
            return (READABLE, "") if is_taken else (UNREADABLE, says)
        if shape != "pointer" or param.target in (None, "void", "byte"):
            return READABLE, ""
        if self._enumerator(_ANY_POINTER):
            return READABLE, ""
        if param.target == "int":
            is_taken = self._enumerator(_INT_POINTERS)
            if is_taken is None:
                return _UNKNOWN, "BTF does not show whether this verifier takes pointers to integers"
            says = "this verifier takes pointers to structs, to char and to void only; EACCES at load"
            return (READABLE, "") if is_taken else (UNREADABLE, says)
        if param.target == "qualified void":
            is_taken = self._enumerator(_VOID_POINTERS)
            if is_taken is not None:
                says = "const void is another type than void to this verifier; EACCES at load"
                return (READABLE, "") if is_taken else (UNREADABLE, says)
        elif self._enumerator(_NOT_YET) is False:
            return UNREADABLE, "this verifier takes pointers to structs, integers and void only; EACCES at load"
        return _UNKNOWN, "nothing that was read shows whether this verifier takes a pointer of this type"

    def _enumerator(self, name: str) -> bool | None:
        btf = self._k.btf()
        return None if btf is None else btf.has_name(name)

    def _has_null_table(self) -> bool | None:
        btf = self._k.btf()
        if btf is None:
            return None
        return btf.has_name("bpf_raw_tp_null_args") or bool(self._k.has_symbol(_NULL_TABLE))

    def _null_table_bytes(self) -> int | None:
        """The extent of raw_tp_null_args: up to the next symbol; None where kallsyms hides it."""
        if isinstance(self._null_bytes, bool):
            self._null_bytes = None
            raw = self._k.kallsyms()
            if raw is not None and self._k.unread(facts.KALLSYMS) is None:
                from ...formats.text import kallsyms

                self._null_bytes = kallsyms.extent_bytes(raw, _NULL_TABLE)
        return self._null_bytes


def _unlike_copy(copy: SyscallCopy | None, one: Members) -> tuple[str, ...]:
    """What the struct of every system call's record and the copy that programs get disagree about."""
    number, value = (*(at for _, at in one.fields), None, None)[:2]
    if copy is not None and (number, value) != (copy.number_offset, copy.values_offset):
        here = f"{copy.number_offset} and {copy.values_offset}"
        return (f"its members are at {number} and {value}, and the program's private record has them at {here}",)
    if copy is not None and copy.number_size == 8:
        return ("it is the record of another event; here the program's private record happens to have the same layout",)
    return ("its first member is 8 bytes long; the program's private record fills 4 of them with the call's number",)


def _wanted(fmt: TraceFormat) -> tuple[tuple[str, int], ...]:
    """The members that the record's struct has, by the format."""
    heads = {DATA_LOC: "__data_loc_", REL_LOC: "__rel_loc_"}
    return tuple((heads.get(f.kind, "") + f.name, f.offset_bytes) for f in fmt.fields if not f.is_common)


def _told(owner: str, btf: Btf, type_id: int, fmt: TraceFormat | None) -> RecordType | None:
    """The struct that btf_ids names, with what its members and the format disagree about."""
    try:
        where, at = btf.locate(type_id)
        one = btf_trace.members(btf, type_id)
    except Malformed:
        return None
    if one is None:
        return None
    name = where.string(where.words[at - 1], at)
    differs: tuple[str, ...] = ()
    if fmt is not None:
        wanted, has = dict(_wanted(fmt)), dict(one.fields)
        differs = tuple(
            f"{field}: at {wanted[field]} by the format and at {has[field]} by BTF"
            if field in has
            else f"{field}: not in the struct"
            for field in wanted
            if has.get(field) != wanted[field]
        )
    return RecordType(name, "btf_ids", owner, type_id, (), differs)


def _distance(title: str, event: str) -> tuple[int, str]:
    """Names with a longer beginning in common are nearer."""
    common = 0
    for a, b in zip(title, event, strict=False):
        if a != b:
            break
        common += 1
    return -common, title


def _helper(shape: str, param: Parameter) -> str | None:
    """What reads the pointee where a plain load is not allowed or not enough."""
    if shape == "pointer":
        text = param.type.replace("const", "").replace(" ", "")
        return "bpf_probe_read_kernel_str" if text == "char*" else "bpf_probe_read_kernel"
    return "bpf_core_read" if shape == "struct_pointer" else None
