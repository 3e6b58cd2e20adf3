"""CO-RE: what a compiled object's field, type and enumerator accesses become on a kernel with this BTF.

Mirrors libbpf's tools/lib/bpf/relo_core.c (bpf_core_calc_relo_insn and below), which libbpf and the kernel share, and
the search for candidates of tools/lib/bpf/libbpf.c (bpf_core_find_cands). A record of .BTF.ext names an instruction, a
local type, an access string and a kind. The local access is spelt out by names; each candidate type of the kernel is
searched for the same names; all candidates that match must agree.

Two results are no numbers: a *poisoned* instruction, which is refused only if the verifier reaches it, and
`RelocationFailed`, which costs the whole object.
"""

from __future__ import annotations

from ...named_tuple import NamedTuple
from . import kinds
from .records import COMPOSITES, ENUMS, INT_SIGNED, Records, essential

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .reader import Btf

(
    BYTE_OFFSET,
    BYTE_SIZE,
    FIELD_EXISTS,
    SIGNED,
    LSHIFT,
    RSHIFT,
    LOCAL_TYPE_ID,
    TARGET_TYPE_ID,
    TYPE_EXISTS,
    TYPE_SIZE,
    ENUMERATOR_EXISTS,
    ENUMERATOR_VALUE,
    TYPE_MATCHES,
) = range(13)
KIND_NAMES = (
    "byte_off",
    "byte_sz",
    "field_exists",
    "signed",
    "lshift_u64",
    "rshift_u64",
    "local_type_id",
    "target_type_id",
    "type_exists",
    "type_size",
    "enumval_exists",
    "enumval_value",
    "type_matches",
)
FIELD_KINDS = frozenset((BYTE_OFFSET, BYTE_SIZE, FIELD_EXISTS, SIGNED, LSHIFT, RSHIFT))
_TYPE_KINDS = frozenset((LOCAL_TYPE_ID, TARGET_TYPE_ID, TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES))
_ENUMERATOR_KINDS = frozenset((ENUMERATOR_EXISTS, ENUMERATOR_VALUE))
_STEPS_MAX = 64  # BPF_CORE_SPEC_MAX_LEN
_DEPTH_MAX = 32  # MAX_RESOLVE_DEPTH
EINVAL, E2BIG = "EINVAL", "E2BIG"


class RelocationFailed(Exception):
    """A relocation that libbpf refuses: the whole object does not load. `errno` by name."""

    def __init__(self, errno: str, says: str) -> None:
        super().__init__(says)
        self.errno, self.says = errno, says


class CoreRecord(NamedTuple):
    """struct bpf_core_relo: instruction offset in bytes within its section, local type id, access string, kind."""

    insn_offset: int
    type_id: int
    access: str
    kind: int


class Step(NamedTuple):
    """One step of an access: a named member, or an index into an array (`name` is then None)."""

    type_id: int
    number: int
    name: str | None


class Access(NamedTuple):
    """An access spelt out: where it starts, its named steps, and the offset in bits it ends at."""

    root: int
    steps: tuple[Step, ...]
    bit_offset: int


class Resolved(NamedTuple):
    """What a record becomes. `poison`: the field or value does not exist. `candidates`: types of that name looked at.

    `old` and `new` are the values before and after; `old_bytes` and `new_bytes` the sizes of the field for loads and
    stores (0 where they do not matter); `bad_size`: a direct load or store of this field cannot be resized;
    `checked`: the instruction must hold `old` before it is patched.
    """

    old: int
    new: int
    poison: bool
    old_bytes: int = 0
    new_bytes: int = 0
    bad_size: bool = False
    checked: bool = True
    candidates: int = 0


class Kernel:
    """The types of one kernel that relocation may look at: vmlinux, then all modules where vmlinux has none."""

    def __init__(self, vmlinux: Btf, modules: Callable[[], Sequence[Btf]]) -> None:
        """`modules` is called when vmlinux lacks a type, once."""
        self._vmlinux = _Types(vmlinux)
        self._read_modules = modules
        self._modules: list[_Types] | None = None
        self._found: dict[tuple[str, int], tuple[tuple[Records, int], ...]] = {}

    def candidates(self, name: str, kind: int) -> tuple[tuple[Records, int], ...]:
        """Types of this essential name and kind. One in vmlinux, fitting or not, hides all those of modules."""
        kind = kinds.ENUM if kind == kinds.ENUM64 else kind
        key = name, kind
        if key not in self._found:
            found = self._vmlinux.named(name, kind)
            if not found:
                if self._modules is None:
                    self._modules = [_Types(module) for module in self._read_modules()]
                for module in self._modules:
                    found += module.named(name, kind)
            self._found[key] = tuple(found)
        return self._found[key]


class _Types:
    """The types of one blob by name, whatever their flavours."""

    def __init__(self, btf: Btf) -> None:
        self._records = Records(btf)
        self._flavours: dict[str, list[str]] | None = None

    def named(self, name: str, kind: int) -> list[tuple[Records, int]]:
        """Types of this blob of an essential name and a kind, in file order."""
        btf = self._records.btf
        if self._flavours is None:
            self._flavours = {}
            for each in set(btf.names_with("___")):
                self._flavours.setdefault(essential(each), []).append(each)
        names = {name, *self._flavours.get(name, ())}
        found = [type_id for each in names for type_id in btf.find_ids(each, _same_kind(kind))]
        return [(self._records, type_id) for type_id in sorted(found)]


def _same_kind(kind: int) -> frozenset[int]:
    return ENUMS if kind == kinds.ENUM else frozenset((kind,))


class Relocator:
    """Relocates the records of one object against one kernel, in file order: candidates shrink as records match."""

    def __init__(self, local: Records, kernel: Kernel) -> None:
        self._local, self._kernel = local, kernel
        self._candidates: dict[int, tuple[tuple[Records, int], ...]] = {}

    def resolve(self, record: CoreRecord) -> Resolved:
        """What the record becomes. Raises RelocationFailed where libbpf refuses, Malformed for broken BTF."""
        local = self._local
        name = local.record(record.type_id).name
        if not name and record.kind != LOCAL_TYPE_ID:  # bpf_core_find_cands, before the access is read
            raise RelocationFailed(EINVAL, f"relocation of the anonymous type [{record.type_id}]")
        spec = local_access(local, record)
        if record.kind == LOCAL_TYPE_ID:
            return Resolved(record.type_id, record.type_id, False, checked=False, candidates=1)
        held = self._candidates.get(record.type_id)
        if held is None:
            held = self._kernel.candidates(essential(name), local.record(record.type_id).kind)
        counted = len(held)
        fitting: list[tuple[Records, int]] = []
        chosen: tuple[Resolved, int] | None = None
        for target, type_id in held:
            match = _match(local, spec, record.kind, target, type_id)
            if match is None:
                continue
            result = _calculate(local, spec, record.kind, target, match)
            if chosen is None:
                chosen = result, match.bit_offset
            elif chosen[1] != match.bit_offset:
                raise RelocationFailed(EINVAL, f"{describe(local, record)}: types of this name disagree on the offset")
            elif (chosen[0].poison, chosen[0].new) != (result.poison, result.new):
                raise RelocationFailed(EINVAL, f"{describe(local, record)}: types of this name disagree")
            fitting.append((target, type_id))
        self._candidates[record.type_id] = tuple(fitting) or held
        if chosen is None:
            return _calculate(local, spec, record.kind, local, None)._replace(candidates=counted)
        return chosen[0]._replace(candidates=counted)


def local_access(local: Records, record: CoreRecord) -> Access:
    """The access of a record spelt out in the object's own types. Raises RelocationFailed (EINVAL)."""
    indexes = _indexes(record)
    if record.kind in _TYPE_KINDS:
        if record.access != "0":
            raise _bad(record, "a type relocation with an access string")
        return Access(record.type_id, (), 0)
    type_id = local.resolve(record.type_id)
    if record.kind in _ENUMERATOR_KINDS:
        if local.record(type_id).kind not in ENUMS or len(indexes) != 1:
            raise _bad(record, "an enumerator of something that is no enum")
        values = local.enumerators(type_id)
        if indexes[0] >= len(values):
            raise _bad(record, "an enumerator that does not exist")
        return Access(record.type_id, (Step(type_id, indexes[0], values[indexes[0]][0]),), 0)
    if record.kind not in FIELD_KINDS:
        raise _bad(record, f"a relocation of kind {record.kind}")
    size = local.size(type_id)
    if size is None:
        raise _bad(record, "a field of a type without size")
    steps = [Step(type_id, indexes[0], None)]
    bit_offset = indexes[0] * size * 8
    for index in indexes[1:]:
        type_id = local.resolve(type_id)
        kind = local.record(type_id).kind
        if kind in COMPOSITES:
            members = local.members(type_id)
            if index >= len(members):
                raise _bad(record, "a member that does not exist")
            member = members[index]
            bit_offset += member.bit_offset
            if member.name:
                steps.append(Step(type_id, index, member.name))
            type_id = member.type_id
        elif kind == kinds.ARRAY:
            element, _, length = local.array(type_id)
            if index >= length and not _is_flexible(local, steps[-1], length):
                raise _bad(record, "an element beyond the end of an array")
            type_id = local.resolve(element)
            steps.append(Step(type_id, index, None))
            size = local.size(type_id)
            if size is None:
                raise _bad(record, "an element without size")
            bit_offset += index * size * 8
        else:
            raise _bad(record, f"a step into a type of kind {kind}")
    return Access(record.type_id, tuple(steps), bit_offset)


def _indexes(record: CoreRecord) -> list[int]:
    parts = record.access.split(":")
    if len(parts) > _STEPS_MAX:
        raise RelocationFailed(E2BIG, f"an access of {len(parts)} steps; {_STEPS_MAX} are possible")
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        raise _bad(record, "an access string that is no list of numbers")
    return [int(part) for part in parts]


def _bad(record: CoreRecord, what: str) -> RelocationFailed:
    return RelocationFailed(EINVAL, f"the relocation at byte {record.insn_offset} of its section is broken: {what}")


def _is_flexible(records: Records, holder: Step, length: int) -> bool:
    """An array of length 0 that is the last member of its struct (relo_core.c, is_flex_arr)."""
    return bool(holder.name) and not length and holder.number == records.record(holder.type_id).vlen - 1


def _match(local: Records, spec: Access, kind: int, target: Records, type_id: int) -> Access | None:
    """The same access in a type of the kernel; None if it has no such thing (bpf_core_spec_match)."""
    if kind in _TYPE_KINDS:
        fits = types_match if kind == TYPE_MATCHES else types_are_compatible
        return Access(type_id, (), 0) if fits(local, spec.root, target, type_id) else None
    if kind in _ENUMERATOR_KINDS:
        return _match_enumerator(spec, target, type_id)
    root = type_id
    steps: list[Step] = []
    bit_offset = walked = 0
    for number, step in enumerate(spec.steps):
        type_id = target.resolve(type_id)
        if step.name is not None:
            member = local.members(step.type_id)[step.number]
            found = _find_member(target, type_id, member.name, walked)
            if found is None:
                return None
            holder, index, offset, walked = found
            inner = target.members(holder)[index].type_id
            if not _fields_are_compatible(local, member.type_id, target, inner):
                return None
            steps.append(Step(holder, index, member.name))
            bit_offset += offset
            type_id = inner
            continue
        if number:
            if target.record(type_id).kind != kinds.ARRAY:
                return None
            element, _, length = target.array(type_id)
            if step.number >= length and not _is_flexible(target, steps[-1], length):
                return None
            type_id = target.resolve(element)
        walked = _walk_on(walked)
        steps.append(Step(type_id, step.number, None))
        size = target.size(type_id)
        if size is None:
            raise RelocationFailed(EINVAL, "an element of the kernel's type has no size")
        bit_offset += step.number * size * 8
    return Access(root, tuple(steps), bit_offset)


def _walk_on(walked: int) -> int:
    if walked >= _STEPS_MAX:
        raise RelocationFailed(E2BIG, f"an access of more than {_STEPS_MAX} steps in the kernel's type")
    return walked + 1


def _match_enumerator(spec: Access, target: Records, type_id: int) -> Access | None:
    resolved = target.resolve(type_id)
    wanted = essential(spec.steps[0].name or "")
    if target.record(resolved).kind not in ENUMS:
        return None
    for index, (name, _) in enumerate(target.enumerators(resolved)):
        if essential(name) == wanted:
            return Access(type_id, (Step(resolved, index, name),), 0)
    return None


def _find_member(target: Records, type_id: int, name: str, walked: int) -> tuple[int, int, int, int] | None:
    """(struct id, member index, offset in bits, steps walked) of a member, also inside anonymous ones."""
    type_id = target.resolve(type_id)
    if target.record(type_id).kind not in COMPOSITES:
        return None
    for index, member in enumerate(target.members(type_id)):
        inside = _walk_on(walked)
        if not member.name:
            found = _find_member(target, member.type_id, name, inside)
            if found is not None:
                return found[0], found[1], found[2] + member.bit_offset, found[3]
        elif member.name == name:
            return type_id, index, member.bit_offset, inside
    return None


def _fields_are_compatible(local: Records, local_id: int, target: Records, target_id: int) -> bool:
    """relo_core.c, bpf_core_fields_are_compat."""
    for _ in range(_STEPS_MAX):
        local_id, target_id = local.resolve(local_id), target.resolve(target_id)
        one, other = local.record(local_id), target.record(target_id)
        if one.kind in COMPOSITES and other.kind in COMPOSITES:
            return True
        if one.kind != other.kind and not (one.kind in ENUMS and other.kind in ENUMS):
            return False
        if one.kind in (kinds.PTR, kinds.FLOAT):
            return True
        if one.kind == kinds.FWD or one.kind in ENUMS:
            return not one.name or not other.name or essential(one.name) == essential(other.name)
        if one.kind == kinds.INT:
            return not local.int_word(local_id)[1] and not target.int_word(target_id)[1]
        if one.kind != kinds.ARRAY:
            return False
        local_id, target_id = local.array(local_id)[0], target.array(target_id)[0]
    return False


def types_are_compatible(
    local: Records, local_id: int, target: Records, target_id: int, depth: int = _DEPTH_MAX
) -> bool:
    """relo_core.c, __bpf_core_types_are_compat. The names of the two roots were compared by the search."""
    if local.record(local_id).kind != target.record(target_id).kind and not (
        local.record(local_id).kind in ENUMS and target.record(target_id).kind in ENUMS
    ):
        return False
    while True:
        depth -= 1
        if depth < 0:
            raise RelocationFailed(EINVAL, f"types nested more than {_DEPTH_MAX} deep")
        local_id, target_id = local.resolve(local_id), target.resolve(target_id)
        one, other = local.record(local_id), target.record(target_id)
        if one.kind != other.kind and not (one.kind in ENUMS and other.kind in ENUMS):
            return False
        if one.kind == kinds.INT:
            return not local.int_word(local_id)[1] and not target.int_word(target_id)[1]
        if one.kind == kinds.PTR:
            local_id, target_id = one.number, other.number
        elif one.kind == kinds.ARRAY:
            local_id, target_id = local.array(local_id)[0], target.array(target_id)[0]
        elif one.kind == kinds.FUNC_PROTO:
            if one.vlen != other.vlen:
                return False
            pairs = zip(local.parameters(local_id), target.parameters(target_id), strict=True)
            for (_, mine), (_, its) in pairs:
                if not types_are_compatible(local, local.resolve(mine), target, target.resolve(its), depth):
                    return False
            local_id, target_id = one.number, other.number
        else:
            return one.kind in COMPOSITES or one.kind in ENUMS or one.kind in (kinds.VOID, kinds.FWD, kinds.FLOAT)


def types_match(
    local: Records,
    local_id: int,
    target: Records,
    target_id: int,
    behind_pointer: bool = False,
    depth: int = _DEPTH_MAX,
) -> bool:
    """relo_core.c, __bpf_core_types_match: names at every level, sizes and signs of integers, all local members."""
    while True:
        depth -= 1
        if depth < 0:
            raise RelocationFailed(EINVAL, f"types nested more than {_DEPTH_MAX} deep")
        local_id, target_id = local.resolve(local_id), target.resolve(target_id)
        one, other = local.record(local_id), target.record(target_id)
        if essential(one.name) != essential(other.name):
            return False
        if one.kind == kinds.FWD:
            if one.kind == other.kind:
                return one.kind_flag == other.kind_flag
            return behind_pointer and other.kind == (kinds.UNION if one.kind_flag else kinds.STRUCT)
        if one.kind in ENUMS:
            return other.kind in ENUMS and _enums_match(local, local_id, target, target_id)
        if one.kind in COMPOSITES and behind_pointer:
            if one.kind == other.kind:
                return True
            return other.kind == kinds.FWD and other.kind_flag == (one.kind == kinds.UNION)
        if one.kind != other.kind:
            return False
        if one.kind in COMPOSITES:
            return _composites_match(local, local_id, target, target_id, depth)
        if one.kind == kinds.INT:
            signs = [records.int_word(i)[0] & INT_SIGNED for records, i in ((local, local_id), (target, target_id))]
            return one.number == other.number and signs[0] == signs[1]
        if one.kind == kinds.PTR:
            behind_pointer = True
            local_id, target_id = one.number, other.number
        elif one.kind == kinds.ARRAY:
            (local_id, _, length), (target_id, _, its_length) = local.array(local_id), target.array(target_id)
            if length != its_length:
                return False
        elif one.kind == kinds.FUNC_PROTO:
            if one.vlen != other.vlen:
                return False
            for (_, mine), (_, its) in zip(local.parameters(local_id), target.parameters(target_id), strict=True):
                if not types_match(local, mine, target, its, behind_pointer, depth):
                    return False
            local_id, target_id = one.number, other.number
        else:
            return one.kind == kinds.VOID


def _enums_match(local: Records, local_id: int, target: Records, target_id: int) -> bool:
    if local.record(local_id).number != target.record(target_id).number:
        return False
    its = {essential(name) for name, _ in target.enumerators(target_id)}
    mine = [essential(name) for name, _ in local.enumerators(local_id)]
    return len(mine) <= target.record(target_id).vlen and its.issuperset(mine)


def _composites_match(local: Records, local_id: int, target: Records, target_id: int, depth: int) -> bool:
    its = target.members(target_id)
    if local.record(local_id).vlen > len(its):
        return False
    return all(
        any(
            essential(member.name) == essential(other.name)
            and types_match(local, member.type_id, target, other.type_id, False, depth)
            for other in its
        )
        for member in local.members(local_id)
    )


class _Value(NamedTuple):
    value: int
    size: int = 0
    type_id: int = 0
    checked: bool = True


def _calculate(local: Records, spec: Access, kind: int, target: Records, match: Access | None) -> Resolved:
    """The values before and after, and whether a direct load can be resized (bpf_core_calc_relo)."""
    before = _value(local, spec, kind)
    after = _value(target, match, kind)
    if before is None or after is None:
        return Resolved(before.value if before else 0, 0, True)
    bad = False
    if kind in FIELD_KINDS and before.size != after.size:
        bad = not _may_resize(local, before.type_id, target, after.type_id)
    return Resolved(before.value, after.value, False, before.size, after.size, bad, before.checked)


def _may_resize(local: Records, local_id: int, target: Records, target_id: int) -> bool:
    local_id, target_id = local.resolve(local_id), target.resolve(target_id)
    both = {local.record(local_id).kind, target.record(target_id).kind}
    if both == {kinds.PTR}:
        return True
    return both == {kinds.INT} and not (local.int_word(local_id)[0] | target.int_word(target_id)[0]) & INT_SIGNED


def _value(records: Records, spec: Access | None, kind: int) -> _Value | None:
    """The number an access stands for; None where it poisons."""
    if kind in _TYPE_KINDS:
        if spec is None:
            return _Value(0)
        if kind == TARGET_TYPE_ID:
            return _Value(spec.root, checked=False)
        return _Value((records.size(spec.root) or 0) if kind == TYPE_SIZE else 1)
    if kind in (FIELD_EXISTS, ENUMERATOR_EXISTS):
        return _Value(int(spec is not None))
    if spec is None:
        return None
    if kind == ENUMERATOR_VALUE:
        step = spec.steps[0]
        return _Value(records.enumerators(step.type_id)[step.number][1])
    return _field_value(records, spec, kind)


def _field_value(records: Records, spec: Access, kind: int) -> _Value:
    """relo_core.c, bpf_core_calc_field_relo."""
    step = spec.steps[-1]
    if step.name is None:
        size = records.size(step.type_id) or 0
        if kind == BYTE_OFFSET:
            return _Value(spec.bit_offset // 8, size, step.type_id)
        if kind == BYTE_SIZE:
            return _Value(size)
        raise RelocationFailed(EINVAL, "a bit-field relocation of an element of an array")
    member = records.members(step.type_id)[step.number]
    field_id = records.resolve(member.type_id)
    field = records.record(field_id)
    bits = member.bits
    start = spec.bit_offset
    if bits:
        size, place = _bitfield_unit(field.number, start, bits)
    else:
        found = records.size(field_id)
        if found is None:
            raise RelocationFailed(EINVAL, "a field without size")
        size, place = found, start // 8
    is_bitfield, bits = bool(bits), bits or size * 8
    if kind == BYTE_OFFSET:
        if is_bitfield:
            return _Value(place, checked=False)
        return _Value(place, *_access_size(records, field_id, size))
    if kind == BYTE_SIZE:
        return _Value(size, checked=not is_bitfield)
    if kind == SIGNED:  # relo_core.c bpf_core_calc_field_relo: INT by its encoding, enums by kind_flag
        is_signed = field.kind == kinds.INT and records.int_word(field_id)[0] & INT_SIGNED
        return _Value(int(bool(is_signed or (field.kind in ENUMS and field.kind_flag))))
    if kind == LSHIFT:
        shift = 64 - (start + bits - place * 8)
        if records.btf.order == "big":
            shift = (8 - size) * 8 + start - place * 8
        return _Value(shift, checked=not is_bitfield)
    return _Value(64 - bits)


def _bitfield_unit(size: int, start: int, bits: int) -> tuple[int, int]:
    """The smallest aligned integer that holds the whole bit-field: (its size, its offset) in bytes."""
    size = size or 1
    place = start // 8 // size * size
    while start + bits - place * 8 > size * 8:
        if size >= 8:
            raise RelocationFailed(E2BIG, "a bit-field that lies in no integer of eight bytes")
        size *= 2
        place = start // 8 // size * size
    return size, place


def _access_size(records: Records, field_id: int, size: int) -> tuple[int, int]:
    """Size and type of what a direct load of a field reads: of an array, one element."""
    while records.record(field_id).kind == kinds.ARRAY:
        field_id = records.resolve(records.array(field_id)[0])
        size = records.size(field_id) or 0
    return size, field_id


def describe(local: Records, record: CoreRecord) -> str:
    """A record in words: `byte_off of struct task_struct.cpu`."""
    head = local.record(record.type_id)
    word = {kinds.STRUCT: "struct ", kinds.UNION: "union ", kinds.ENUM: "enum ", kinds.ENUM64: "enum "}
    text = word.get(head.kind, "") + (head.name or "(anonymous)")
    try:
        steps = local_access(local, record).steps
    except RelocationFailed:
        return f"{KIND_NAMES[record.kind] if record.kind < len(KIND_NAMES) else record.kind} of {text}"
    if record.kind in _ENUMERATOR_KINDS:
        text += f"::{steps[0].name}"
    for step in steps[1:] if record.kind in FIELD_KINDS else ():
        text += f".{step.name}" if step.name is not None else f"[{step.number}]"
    return f"{KIND_NAMES[record.kind]} of {text}"
