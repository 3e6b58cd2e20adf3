"""C for CO-RE: the BTF struct of an event with only names and kinds of types, which libbpf relocates at load.

tools/lib/bpf/relo_core.c (bpf_core_fields_are_compat) decides what fits: integers fit any integer, pointers any
pointer, structs any struct, enums only enums. The part of a name behind ___ is ignored.
"""

from __future__ import annotations

from ...model.stub import LOCATED, RecordMember, Stub
from . import c_struct, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAVOUR = "___probe_scout"
MARKS = ("__data_loc_", "__rel_loc_")


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One header with these stubs; events of one class share a struct."""
    lines = c_struct.head([*provenance, "Compile with clang -target bpf -g: offsets are relocated when it is loaded."])
    lines += ["", c_struct.COMMON.rstrip()]
    done: set[str] = set()
    for stub in stubs:
        lines += ["", *about(stub)]
        if stub.core not in done:
            lines += definition(stub)
        done.add(stub.core)
    return "\n".join(lines) + "\n"


def context(stub: Stub) -> str:
    """The tag of the struct that ctx points to."""
    return stub.core + _FLAVOUR


def about(stub: Stub) -> list[str]:
    """The comment and the section of one event."""
    lines = c_struct.about(stub)
    lines.insert(-1, f" * ctx: struct {stub.core}, which events of one class share")
    return [*lines, f"#ifndef SEC_{stub.title}", f'#define SEC_{stub.title} "{stub.section}"', "#endif"]


def definition(stub: Stub) -> list[str]:
    """The struct, guarded, with functions for data behind the record."""
    tag = context(stub)
    guard = f"PROBE_SCOUT_CORE_{stub.core}"
    lines = [f"#ifndef {guard}", f"#define {guard}", f"struct {tag} {{"]
    members = named(stub)
    for one, name in members:
        lines.append(f"\t{_declare(one, name, tag)}; /* here at {one.offset}: {words.comment(one.type.text)} */")
    lines.append("} __attribute__((preserve_access_index));")
    plain: list[str] = []
    helped: list[str] = []
    for one, name in members:
        for mark, base in zip(MARKS, ("ctx", f"&ctx->{name} + 1"), strict=True):
            if one.name.startswith(mark) and one.size == 4:
                _located(stub, name.removeprefix(mark), name, base, plain, helped)
    lines += plain
    lines += ["#ifdef __bpf__", *helped, "#endif"] if helped else []
    return [*lines, f"#endif /* {guard} */"]


def _located(stub: Stub, title: str, name: str, base: str, plain: list[str], helped: list[str]) -> None:
    const = f"const struct {context(stub)} *ctx"
    prefix = f"{stub.core}__{title}"
    start = "(const char *)ctx" if base == "ctx" else f"(const char *)({base})"
    plain += [
        f"PROBE_SCOUT_INLINE const void *{prefix}({const})",
        f"{{\n\treturn {start} + (ctx->{name} & 0xffff);\n}}",
        f"PROBE_SCOUT_INLINE __u32 {prefix}_len({const})",
        f"{{\n\treturn ctx->{name} >> 16;\n}}",
    ]
    helped += [f"PROBE_SCOUT_INLINE long {prefix}_read({const}, void *to, __u32 size)"]
    if is_text(stub, title):
        helped += [f"{{\n\treturn probe_scout_read_kernel_str(to, size, {prefix}(ctx));\n}}"]
    else:
        helped += [
            f"{{\n\t__u32 len = {prefix}_len(ctx);\n",
            "\tif (len > size)\n\t\tlen = size;",
            f"\treturn probe_scout_read_kernel(to, len, {prefix}(ctx));\n}}",
        ]


def is_text(stub: Stub, name: str) -> bool:
    """The data behind the record under this name are a string, as the format declares them."""
    return any(one.kind == LOCATED and one.name == f"{name}_loc" and one.text for one in stub.members)


def named(stub: Stub) -> list[tuple[RecordMember, str]]:
    """Members that can be written, with their C names, which are the kernel's: relocation finds them by name."""
    return [(one, one.name) for one in stub.core_members if _shown(one) and words.c(one.name) == one.name]


def _shown(one: RecordMember) -> bool:
    return one.type.kind in ("int", "bool", "enum", "pointer", "struct")


def _declare(one: RecordMember, name: str, tag: str) -> str:
    count = "" if one.elements is None else f"[{one.elements}]"
    if one.type.kind == "pointer":
        return f"void *{name}{count}"
    if one.type.kind == "struct":
        return f"struct {{ __u8 bytes[{one.type.size}]; }} {name}{count}"
    if one.type.kind == "enum":
        # Only an enum fits an enum; one without a name fits any. The value gives it its size and sign.
        value = "-1" if one.type.signed else "0"
        if one.type.size == 8:
            value = "-0x80000001LL" if one.type.signed else "0x100000000ULL"
        packed = " __attribute__((packed))" if one.type.size < 4 else ""
        large = f", {tag}__{name}__large = 0x100" if one.type.size == 2 else ""
        return f"enum {{ {tag}__{name}__value = {value}{large} }}{packed} {name}{count}"
    if one.elements is not None and one.type.text == "char":
        return f"char {name}{count}"
    return f"{c_struct.integer(one.type.size, one.type.signed)} {name}{count}"
