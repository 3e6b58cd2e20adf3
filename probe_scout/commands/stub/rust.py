"""Rust: a #[repr(C)] struct of ctx, and constants that do not compile where an offset or a size is another.

Uses `core` alone, so that it fits programs for the kernel (aya) and for user space. Rust 1.77 or newer (offset_of!).
"""

from __future__ import annotations

from ...model.stub import ARRAY, INTEGER, LOCATED, POINTER, REGISTERS, Member, Stub
from . import words
from .arguments import INNER, values
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_SIZE = """\
/// Bytes of the field that `field` leads to.
#[allow(dead_code)]
const fn probe_scout_size<R, F>(_field: fn(&R) -> &F) -> usize {
    core::mem::size_of::<F>()
}"""


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One module with these stubs."""
    lines = [f"// {LICENCE}", *(f"// {words.comment(line)}".rstrip() for line in provenance)]
    lines += ["", _SIZE]
    names = words.Unique()
    for stub in stubs:
        lines += ["", *_definition(stub, names(words.camel(stub.title)))]
    return "\n".join(lines) + "\n"


def _definition(stub: Stub, name: str) -> list[str]:
    unique = words.Unique()
    fields = [(member, unique(words.rust(member.name))) for member in stub.members]
    lines = [f"/// {words.comment(line)}" for line in (*stub.facts, *stub.notes)]
    lines += ["#[allow(dead_code, non_snake_case)]", "#[repr(C)]", "#[derive(Clone, Copy)]", f"pub struct {name} {{"]
    for member, field in fields:
        note = ". ".join(words.comment(part) for part in (member.declared, member.says) if part)
        if note:
            lines.append(f"    /// {note}")
        lines.append(f"    pub {field}: {_type(member)},")
    lines += ["}", "", "const _: () = {"]
    lines.append(f"    assert!(core::mem::size_of::<{name}>() == {stub.size});")
    for member, field in fields:
        lines.append(f"    assert!(core::mem::offset_of!({name}, {field}) == {member.offset});")
        lines.append(f"    assert!(probe_scout_size(|r: &{name}| &r.{field}) == {member.size});")
    lines += ["};"]
    lines += [
        "",
        "#[allow(dead_code, non_snake_case)]",
        f"impl {name} {{",
        f'    pub const SECTION: &\'static str = "{stub.section}";',
    ]
    functions = words.Unique()
    for member, field in fields:
        lines += _functions(member, field, functions)
    if stub.shape == REGISTERS:
        lines += _of_registers(stub, functions)
    lines.append("}")
    return lines


def _of_registers(stub: Stub, names: words.Unique) -> list[str]:
    """A function for each argument that registers or the stack hold."""
    lines = [f"    // {INNER}"] if stub.inner else []
    for one in values(stub):
        plain = words.rust(one.argument.name)
        kind = one.argument.type
        if len(one.registers) == 1 and kind.kind != "struct":
            given = f"{'i' if kind.signed else 'u'}{8 * kind.size}" if kind.kind in ("int", "bool", "enum") else "u64"
            cast = "" if given == "u64" else f" as {given}"
            body = plain, given, f"self.{one.registers[0]}{cast}"
        elif one.registers:
            parts = ", ".join(f"self.{register}" for register in one.registers)
            body = plain, f"[u64; {len(one.registers)}]", f"[{parts}]"
        elif one.stack is not None:
            body = f"{plain.removeprefix('r#')}_address", "u64", _above(one.base, one.stack)
        else:
            lines.append(f"    // {words.comment(one.says)}")
            continue
        lines += [
            f"    /// {words.comment(one.says)}",
            f"    pub const fn {names(body[0])}(&self) -> {body[1]} {{",
            f"        {body[2]}",
            "    }",
        ]
    return lines


def _above(base: str, distance: int) -> str:
    """An address: registers are unsigned, so that a distance below is taken away."""
    return f"self.{base}.wrapping_add({distance})" if distance >= 0 else f"self.{base}.wrapping_sub({-distance})"


def _type(member: Member) -> str:
    kind = f"{'i' if member.signed else 'u'}{8 * member.element_size}"
    if member.kind in (INTEGER, POINTER, LOCATED):
        return kind
    return f"[{kind if member.kind == ARRAY else 'u8'}; {member.elements}]"


def _functions(member: Member, field: str, names: words.Unique) -> list[str]:
    if member.kind == LOCATED:
        base = words.rust(member.name.removesuffix("_loc"))
        plain = base.removeprefix("r#")
        start = f"{member.base} + " if member.base else ""
        return [
            f"    /// Where {plain} lies, from the record's start, and how many bytes. Read it with {member.helper}.",
            f"    pub const fn {names(plain + '_place')}(&self) -> (usize, usize) {{",
            f"        ({start}(self.{field} & 0xffff) as usize, (self.{field} >> 16) as usize)",
            "    }",
        ]
    one = member.argument
    if (
        one is None
        or one.slots != 1
        or one.type.kind not in ("int", "bool", "enum")
        or (one.type.size == 8 and not one.type.signed)
    ):
        return []
    kind = f"{'i' if one.type.signed else 'u'}{8 * one.type.size}"
    plain = field.removeprefix("r#")
    return [
        f"    /// {words.comment(one.type.text)}",
        f"    pub const fn {names(plain + '_value')}(&self) -> {kind} {{",
        f"        self.{field} as {kind}",
        "    }",
    ]
