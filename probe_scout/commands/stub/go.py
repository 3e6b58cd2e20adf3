"""Go: a struct of ctx, and array indexes that are out of range where an offset or a size is another.

A constant index beyond a one-element array is an error of the compiler. Field names are exported, padding too, since
encoding/binary fills exported fields only.
"""

from __future__ import annotations

from ...model.stub import ARRAY, INTEGER, LOCATED, POINTER, REGISTERS, Member, Stub
from . import words
from .arguments import INNER, values
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def write(stubs: Sequence[Stub], provenance: Sequence[str], package: str = "events", type_name: str = "") -> str:
    """One file of a package with these stubs."""
    lines = [f"// {LICENCE}", *(f"// {words.comment(line)}".rstrip() for line in provenance)]
    lines += ["", f"package {package}", "", 'import "unsafe"']
    names = words.Unique()
    for stub in stubs:
        lines += ["", *_definition(stub, names(type_name or words.camel(stub.title)))]
    return "\n".join(lines) + "\n"


def _definition(stub: Stub, name: str) -> list[str]:
    unique = words.Unique()
    fields = [(member, unique(words.camel(member.name))) for member in stub.members]
    lines = [f"// {name}: " + words.comment("; ".join(stub.facts[:1]))]
    lines += [f"// {words.comment(line)}" for line in (*stub.facts[1:], *stub.notes)]
    lines.append(f"type {name} struct {{")
    rows = []
    for member, field in fields:
        note = ". ".join(words.comment(part) for part in (member.declared, member.says) if part)
        rows.append((field, _type(member), f"// {note}" if note else ""))
    lines += _aligned(rows)
    lines += [
        "}",
        "",
        f"// {name}Section is what libbpf calls the attach point.",
        f'const {name}Section = "{stub.section}"',
    ]
    lines += ["", f"// The layout that {name} was made for: an index out of range is another layout.", "var ("]
    lines.append(f"\t_ = [1]struct{{}}{{}}[unsafe.Sizeof({name}{{}})-{stub.size}]")
    for member, field in fields:
        lines.append(f"\t_ = [1]struct{{}}{{}}[unsafe.Offsetof({name}{{}}.{field})-{member.offset}]")
        lines.append(f"\t_ = [1]struct{{}}{{}}[unsafe.Sizeof({name}{{}}.{field})-{member.size}]")
    lines.append(")")
    for member, field in fields:
        if member.kind == LOCATED:
            lines += _located(name, member, field, unique)
        lines += _value(name, member, field, unique)
    if stub.shape == REGISTERS:
        lines += _of_registers(stub, name, unique)
    return lines


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Fields as gofmt sets them: names in one column; comments in one for each run of fields that have any."""
    name_width = max((len(name) for name, _, _ in rows), default=0)
    widths = [0] * len(rows)
    begin = 0
    for at in range(len(rows) + 1):
        if at == len(rows) or not rows[at][2]:
            run = range(begin, at)
            width = max((len(rows[one][1]) for one in run), default=0)
            for one in run:
                widths[one] = width
            begin = at + 1
    return [
        f"\t{name.ljust(name_width)} {kind.ljust(width)} {note}".rstrip()
        for (name, kind, note), width in zip(rows, widths, strict=True)
    ]


def _of_registers(stub: Stub, name: str, names: words.Unique) -> list[str]:
    """A method for each argument that registers or the stack hold."""
    lines = ["", f"// {INNER}"] if stub.inner else []
    for one in values(stub):
        title = words.camel(one.argument.name)
        kind = one.argument.type
        if len(one.registers) == 1 and kind.kind != "struct":
            is_number = kind.kind in ("int", "bool", "enum")
            given = f"{'int' if kind.signed else 'uint'}{8 * kind.size}" if is_number else "uint64"
            value = f"r.{_register(one.registers[0])}"
            title, value = f"{title}Value", value if given == "uint64" else f"{given}({value})"
        elif one.registers:
            given = f"[{len(one.registers)}]uint64"
            value = f"{given}{{{', '.join(f'r.{_register(register)}' for register in one.registers)}}}"
            title = f"{title}Words"
        elif one.stack is not None:
            sign = "-" if one.stack < 0 else "+"
            title, given = f"{title}Address", "uint64"
            value = f"r.{_register(one.base)} {sign} {abs(one.stack)}"
        else:
            lines += ["", f"// {words.comment(one.says)}"]
            continue
        title = names(title)
        lines += ["", f"// {title}: {words.comment(one.says)}", f"func (r *{name}) {title}() {given} {{"]
        lines += [f"\treturn {value}", "}"]
    return lines


def _register(expression: str) -> str:
    """The field of a register, `regs[0]` with its index."""
    name, bracket, index = expression.partition("[")
    return words.camel(name) + bracket + index


def _type(member: Member) -> str:
    kind = f"{'int' if member.signed else 'uint'}{8 * member.element_size}"
    if member.kind in (INTEGER, POINTER, LOCATED):
        return kind
    return f"[{member.elements}]{kind if member.kind == ARRAY else 'byte'}"


def _value(name: str, member: Member, field: str, names: words.Unique) -> list[str]:
    """A method for an argument that is narrower than its word, or signed."""
    one = member.argument
    if one is None or one.slots != 1 or one.type.kind not in ("int", "bool", "enum"):
        return []
    if one.type.size == member.size and not one.type.signed:
        return []
    kind = f"{'int' if one.type.signed else 'uint'}{8 * one.type.size}"
    return [
        "",
        f"// {(method := names(f'{field}Value'))} is the {words.comment(one.type.text)}.",
        f"func (r *{name}) {method}() {kind} {{",
        f"\treturn {kind}(r.{field})",
        "}",
    ]


def _located(name: str, member: Member, field: str, names: words.Unique) -> list[str]:
    base = words.camel(member.name.removesuffix("_loc"))
    start = f"{member.base} + " if member.base else ""
    method = names(f"{base}Bytes")
    return [
        "",
        f"// {method} is the part of the record that holds {words.comment(member.declared)};",
        "// false where the record is cut off before its end.",
        f"func (r *{name}) {method}(record []byte) ([]byte, bool) {{",
        f"\tbegin := {start}int(r.{field} & 0xffff)",
        f"\tend := begin + int(r.{field}>>16)",
        "\tif end > len(record) {",
        "\t\treturn nil, false",
        "\t}",
        "\treturn record[begin:end], true",
        "}",
    ]
