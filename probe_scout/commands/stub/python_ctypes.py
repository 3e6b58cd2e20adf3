"""Python: a ctypes.Structure of ctx; importing it raises where an offset or a size is another."""

from __future__ import annotations

from ...model.stub import ARRAY, BYTES, INTEGER, LOCATED, POINTER, REGISTERS, Member, Stub
from . import words
from .arguments import INNER, values
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMON = '''\
import ctypes


def _check(cls, size, places):
    """Raises ImportError where ctypes lays the structure out in another way."""
    if ctypes.sizeof(cls) != size:
        raise ImportError(f"{cls.__name__}: {ctypes.sizeof(cls)} bytes, not {size}")
    for name, offset, count in places:
        field = getattr(cls, name)
        if (field.offset, field.size) != (offset, count):
            found = f"at {field.offset} with {field.size} bytes"
            raise ImportError(f"{cls.__name__}.{name}: {found}, not at {offset} with {count}")'''


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One module with these stubs."""
    lines = [f"# {LICENCE}", *(f"# {words.comment(line)}".rstrip() for line in provenance), "", _COMMON]
    names = words.Unique("_check", "ctypes")
    for stub in stubs:
        lines += ["", "", *_definition(stub, names(words.camel(stub.title)))]
    return "\n".join(lines) + "\n"


def _definition(stub: Stub, name: str) -> list[str]:
    # What ctypes.Structure has itself, and what this class defines.
    unique = words.Unique("_fields_", "SECTION", "_anonymous_", "_pack_", "_layout_", "_align_")
    fields = [(member, unique(words.python(member.name))) for member in stub.members]
    facts = [words.comment(line).replace("\\", "/").replace('"', "'") for line in (*stub.facts, *stub.notes)]
    lines = [f"class {name}(ctypes.Structure):", f'    """{facts[0]}']
    lines += ["", *(f"    {line}" for line in facts[1:])] if facts[1:] else []
    lines += ['    """', "", f'    SECTION = "{stub.section}"', "    _fields_ = ("]
    for member, field in fields:
        note = ". ".join(words.comment(part) for part in (member.declared, member.says) if part)
        lines.append(f'        ("{field}", {_type(member)}),' + (f"  # {note}" if note else ""))
    lines.append("    )")
    for member, field in fields:
        if member.kind == LOCATED:
            base = unique(f"{words.python(member.name.removesuffix('_loc'))}_bytes")
            start = f"{member.base} + " if member.base else ""
            lines += [
                "",
                f"    def {base}(self, record):",
                f'        """The part of the record (bytes) that holds {words.comment(member.declared)}."""'.replace(
                    "\\", "/"
                ),
                f"        begin = {start}(self.{field} & 0xFFFF)"
                if start
                else f"        begin = self.{field} & 0xFFFF",
                f"        return record[begin : begin + (self.{field} >> 16)]",
            ]
        lines += _value(member, field, unique)
    if stub.shape == REGISTERS:
        lines += _of_registers(stub, unique)
    lines += ["", "", f"_check({name}, {stub.size}, ("]
    lines += [f'    ("{field}", {member.offset}, {member.size}),' for member, field in fields]
    lines.append("))")
    return lines


def _of_registers(stub: Stub, names: words.Unique) -> list[str]:
    """A method for each argument that registers or the stack hold."""
    lines = ["", f"    # {INNER}"] if stub.inner else []
    for one in values(stub):
        kind = one.argument.type
        title = words.python(one.argument.name)
        if len(one.registers) == 1 and kind.kind != "struct":
            value = f"self.{one.registers[0]}"
            if kind.kind in ("int", "bool", "enum") and (kind.size < 8 or kind.signed):
                value = f"ctypes.c_{'' if kind.signed else 'u'}int{8 * kind.size}({value}).value"
            title = f"{title}_value"
        elif one.registers:
            value = ", ".join(f"self.{register}" for register in one.registers)
            title = f"{title}_words"
        elif one.stack is not None:
            title, value = f"{title}_address", f"self.{one.base} + {one.stack}"
        else:
            lines += ["", f"    # {words.comment(one.says)}"]
            continue
        says = words.comment(one.says).replace("\\", "/").replace('"', "'")
        lines += ["", f"    def {names(title)}(self):", f'        """{says}."""', f"        return {value}"]
    return lines


def _value(member: Member, field: str, names: words.Unique) -> list[str]:
    """A method for an argument that is narrower than its word, or signed."""
    one = member.argument
    if one is None or one.slots != 1 or one.type.kind not in ("int", "bool", "enum"):
        return []
    if one.type.size == member.size and not one.type.signed:
        return []
    kind = f"ctypes.c_{'' if one.type.signed else 'u'}int{8 * one.type.size}"
    return [
        "",
        f"    def {names(f'{field}_value')}(self):",
        f'        """The {words.comment(one.type.text)}."""'.replace("\\", "/"),
        f"        return {kind}(self.{field}).value",
    ]


def _type(member: Member) -> str:
    kind = f"ctypes.c_{'' if member.signed else 'u'}int{8 * member.element_size}"
    if member.kind in (INTEGER, POINTER, LOCATED):
        return kind
    if member.kind == BYTES and member.text:
        return f"ctypes.c_char * {member.size}"
    return f"{kind if member.kind == ARRAY else 'ctypes.c_uint8'} * {member.elements}"
