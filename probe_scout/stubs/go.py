"""Go: a struct of ctx, and array indexes that are out of range where an offset or a size is another.

A constant index beyond a one-element array is an error of the compiler. Field names are exported, padding too, since
encoding/binary fills exported fields only.
"""

from __future__ import annotations

from ..model.stub import ARRAY, INTEGER, LOCATED, POINTER, Member, Stub
from . import words
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def write(stubs: Sequence[Stub], provenance: Sequence[str], package: str = "events") -> str:
    """One file of a package with these stubs."""
    lines = [f"// {LICENCE}", *(f"// {words.comment(line)}".rstrip() for line in provenance)]
    lines += ["", f"package {package}", "", 'import "unsafe"']
    names = words.Unique()
    for stub in stubs:
        lines += ["", *_definition(stub, names(words.camel(stub.title)))]
    return "\n".join(lines) + "\n"


def _definition(stub: Stub, name: str) -> list[str]:
    unique = words.Unique()
    fields = [(member, unique(words.camel(member.name))) for member in stub.members]
    lines = [f"// {name}: " + words.comment("; ".join(stub.facts[:1]))]
    lines += [f"// {words.comment(line)}" for line in (*stub.facts[1:], *stub.notes)]
    lines.append(f"type {name} struct {{")
    for member, field in fields:
        note = ". ".join(words.comment(part) for part in (member.declared, member.says) if part)
        lines.append(f"\t{field} {_type(member)}" + (f" // {note}" if note else ""))
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
    return lines


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
