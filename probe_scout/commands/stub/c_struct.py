"""C: a flat struct of ctx with an assertion for each member, and functions that read what lies behind it.

The text needs no header, so that it compiles with clang -target bpf as it stands, before or after vmlinux.h and
bpf_helpers.h, and in C++. What both define is defined alike (C11 lets a typedef repeat).
"""

from __future__ import annotations

from ...model.stub import (
    ARRAY,
    BYTES,
    INTEGER,
    LOCATED,
    PADDING,
    POINTER,
    RECORD,
    REGISTERS,
    RESERVED,
    STUB_USER,
    Argument,
    Member,
    PlainType,
    Stub,
)
from . import words
from .arguments import REGISTERS_OF, RETURNS, Place, memory, places_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

LICENCE = "SPDX-License-Identifier: GPL-2.0 OR Apache-2.0"
COMMON = """\
#ifndef PROBE_SCOUT_COMMON
#define PROBE_SCOUT_COMMON
typedef unsigned char __u8;
typedef signed char __s8;
typedef unsigned short __u16;
typedef short __s16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
#ifdef __cplusplus
#define PROBE_SCOUT_ASSERT(that, says) static_assert(that, says)
#else
#define PROBE_SCOUT_ASSERT(that, says) _Static_assert(that, says)
#endif
#define PROBE_SCOUT_FIELD(type, field, offset, size)                         \\
  PROBE_SCOUT_ASSERT(__builtin_offsetof(struct type, field) == (offset) &&   \\
                         sizeof(((struct type *)0)->field) == (size),        \\
                     #type "." #field ": not at offset " #offset " with size " #size)
#define PROBE_SCOUT_SIZE(type, size) \\
  PROBE_SCOUT_ASSERT(sizeof(struct type) == (size), #type ": not " #size " bytes")
#define PROBE_SCOUT_INLINE static inline __attribute__((always_inline, unused))
#ifdef __bpf__
/* The numbers of helpers are the kernel's ABI: include/uapi/linux/bpf.h */
#define PROBE_SCOUT_HELPER static __attribute__((unused))
PROBE_SCOUT_HELPER long (*const probe_scout_read_user)(void *, __u32, const void *) = (void *)112;
PROBE_SCOUT_HELPER long (*const probe_scout_read_kernel)(void *, __u32, const void *) = (void *)113;
PROBE_SCOUT_HELPER long (*const probe_scout_read_user_str)(void *, __u32, const void *) = (void *)114;
PROBE_SCOUT_HELPER long (*const probe_scout_read_kernel_str)(void *, __u32, const void *) = (void *)115;
PROBE_SCOUT_HELPER __u64 (*const probe_scout_pid_tgid)(void) = (void *)14;
PROBE_SCOUT_HELPER long (*const probe_scout_func_arg)(void *, __u32, __u64 *) = (void *)183;
PROBE_SCOUT_HELPER long (*const probe_scout_func_ret)(void *, __u64 *) = (void *)184;
#endif
#endif /* PROBE_SCOUT_COMMON */
"""
HELPERS = {
    "bpf_probe_read_user": "probe_scout_read_user",
    "bpf_probe_read_kernel": "probe_scout_read_kernel",
    "bpf_probe_read_user_str": "probe_scout_read_user_str",
    "bpf_probe_read_kernel_str": "probe_scout_read_kernel_str",
}
_ADDRESS = "__UINTPTR_TYPE__"


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One header with these stubs, none twice."""
    lines = head(provenance)
    lines += ["", COMMON.rstrip()]
    names = words.Unique()
    for stub in stubs:
        lines += ["", *guarded(stub, definition(stub, names))]
    return "\n".join(lines) + "\n"


def head(provenance: Sequence[str]) -> list[str]:
    """The licence line and where the text is from."""
    return [f"/* {LICENCE} */", "/*", *(f" * {words.comment(line)}".rstrip() for line in provenance), " */"]


def guarded(stub: Stub, lines: Sequence[str]) -> list[str]:
    """The lines once for each translation unit; another layout of the same target is an error."""
    import zlib

    guard = f"PROBE_SCOUT_{stub.title}"
    layout = repr([(member.name, member.kind, member.offset, member.size, member.signed) for member in stub.members])
    sum_of = f"{zlib.crc32(layout.encode()):#010x}"
    return [
        f"#ifndef {guard}",
        f"#define {guard} {sum_of}",
        *lines,
        f"#elif {guard} != {sum_of}",
        f'#error "{stub.title}: two headers with different layouts are included"',
        f"#endif /* {guard} */",
    ]


def context(stub: Stub) -> str:
    """The tag of the struct that ctx points to."""
    return f"probe_scout_regs_{stub.arch}" if stub.shape == REGISTERS else stub.title


def member_names(stub: Stub) -> list[str]:
    """The C name of each member."""
    unique = words.Unique()
    return [unique(words.c(member.name)) for member in stub.members]


def definition(stub: Stub, names: words.Unique) -> list[str]:
    """The struct of one stub with its comment, assertions and functions. `names` are those of functions so far."""
    lines = about(stub)
    lines.append(f'#define SEC_{stub.title} "{stub.section}"')
    if stub.shape == REGISTERS:
        lines += _registers(stub)
    else:
        lines += _struct(stub.title, stub.members, member_names(stub), stub.size)
        if stub.shape == RECORD and stub.core:
            lines += against_vmlinux(stub)
    return lines + functions(stub, names)


def about(stub: Stub) -> list[str]:
    """The comment over a stub."""
    lines = ["/*"]
    lines += [f" * {words.comment(line)}" for line in (*stub.facts, *stub.notes)]
    return [*lines, " */"]


def against_vmlinux(stub: Stub) -> list[str]:
    """Assertions that vmlinux.h, where it is included, is of a kernel with this layout."""
    offsets = {member.offset: member for member in stub.members if member.kind not in (PADDING, RESERVED)}
    lines = []
    for one in stub.core_members:
        if one.offset in offsets and offsets[one.offset].size == one.size:
            lines.append(f"PROBE_SCOUT_FIELD({stub.core}, {one.name}, {one.offset}, {one.size});")
    return ["#ifdef __VMLINUX_H__ /* of the kernel that the program is for */", *lines, "#endif"] if lines else []


def _struct(tag: str, members: Sequence[Member], names: Sequence[str], size: int) -> list[str]:
    lines = [f"struct {tag} {{"]
    for member, name in zip(members, names, strict=True):
        note = words.comment(" ".join(part for part in (f"{member.offset}:", member.declared) if part))
        if member.says:
            note += f"{';' if member.declared else ''} {words.comment(member.says)}"
        lines.append(f"\t{_declare(member, name)}; /* {note} */")
    lines.append("};")
    lines += [
        f"PROBE_SCOUT_FIELD({tag}, {name}, {member.offset}, {member.size});"
        for member, name in zip(members, names, strict=True)
    ]
    lines.append(f"PROBE_SCOUT_SIZE({tag}, {size});")
    return lines


def _declare(member: Member, name: str) -> str:
    if member.kind in (RESERVED, PADDING) or (member.kind == BYTES and not member.text):
        return f"__u8 {name}[{member.size}]"
    if member.kind == BYTES:
        return f"char {name}[{member.size}]"
    kind = integer(member.element_size, member.signed)
    return f"{kind} {name}[{member.elements}]" if member.kind == ARRAY else f"{kind} {name}"


def integer(size: int, signed: bool) -> str:
    """The fixed-width integer type of a size."""
    return f"__{'s' if signed else 'u'}{8 * size}"


def _registers(stub: Stub) -> list[str]:
    arch = stub.arch
    tag = context(stub)
    guard = f"PROBE_SCOUT_REGS_{arch}"
    return [
        f"#ifndef {guard}",
        f"#define {guard}",
        f"/* struct pt_regs of {arch} */",
        *_struct(tag, stub.members, [member.name for member in stub.members], stub.size),
        f"#endif /* {guard} */",
    ]


# Functions.


def functions(stub: Stub, names: words.Unique) -> list[str]:
    """Functions that read members. Those that call helpers are for BPF alone."""
    plain: list[str] = []
    helped: list[str] = []
    for struct in dict.fromkeys(one.type.struct for one in _typed(stub) if one.type.struct):
        plain.append(f"{struct};")
    if stub.shape == REGISTERS:
        _of_registers(stub, names, plain, helped)
    else:
        for member, name in zip(stub.members, member_names(stub), strict=True):
            if member.argument is not None:
                _of_slot(stub, member, name, names, plain)
            elif member.kind == LOCATED:
                _of_located(stub, member, name, names, plain, helped)
            elif member.kind in (BYTES, ARRAY):
                title = names(f"{stub.title}__{name}_read")
                start = f"(const char *)ctx + {member.offset}"
                helped += [
                    f"/* Copies {name}, {member.size} bytes. */",
                    f"PROBE_SCOUT_INLINE long {title}(const struct {stub.title} *ctx, void *to)",
                    f"{{\n\treturn probe_scout_read_kernel(to, {member.size}, {start});\n}}",
                ]
            elif member.kind == POINTER and member.helper:
                title = names(f"{stub.title}__{name}_read")
                helped += [
                    f"/* Reads what {name} points to: {member.says.partition(':')[0] or 'memory'}. */",
                    f"PROBE_SCOUT_INLINE long {title}(const struct {stub.title} *ctx, void *to, __u32 size)",
                    f"{{\n\treturn {HELPERS[member.helper]}(to, size, (const void *)({_ADDRESS})ctx->{name});\n}}",
                ]
    return plain + (["#ifdef __bpf__", *helped, "#endif"] if helped else [])


def accessor(stub: Stub, name: str) -> str:
    """What the function of an argument is called."""
    return f"{stub.title}__{words.c(name)}"


def _typed(stub: Stub) -> list[Argument]:
    found = [member.argument for member in stub.members if member.argument is not None]
    found += stub.arguments if stub.shape == REGISTERS else ()
    if stub.shape == REGISTERS and stub.returns is not None:
        found.append(Argument("ret", stub.returns, 0, 1))
    return [one for one in found if one.type.kind in ("pointer", "struct")]


def spelled(one: PlainType) -> str:
    """The C type of an argument, in words that stand alone; __u64 for what no word of 8 bytes holds as such."""
    if one.kind == "pointer":
        return f"{one.target or 'void'} *"
    if one.kind in ("int", "bool", "enum"):
        return f"{integer(one.size, one.signed)} "
    return "__u64 "


def cast(one: PlainType, value: str) -> str:
    """A 64-bit word as that type."""
    if one.kind == "pointer":
        return f"({spelled(one)})({_ADDRESS}){value}"
    return f"({spelled(one).strip()}){value}"


def _of_slot(stub: Stub, member: Member, name: str, names: words.Unique, plain: list[str]) -> None:
    one = member.argument
    if one is None or one.slots != 1:
        return
    title = names(f"{stub.title}__{name}")
    plain += [
        f"PROBE_SCOUT_INLINE {spelled(one.type)}{title}(const struct {stub.title} *ctx)",
        f"{{\n\treturn {cast(one.type, f'ctx->{name}')};\n}}",
    ]


def _of_located(
    stub: Stub, member: Member, name: str, names: words.Unique, plain: list[str], helped: list[str]
) -> None:
    base = name.removesuffix("_loc")
    title = f"{stub.title}__{base}"
    const = f"const struct {stub.title} *ctx"
    begin, count, read = names(title), names(f"{title}_len"), names(f"{title}_read")
    start = f"(const char *)ctx + {member.base} +" if member.base else "(const char *)ctx +"
    plain += [
        f"/* {words.comment(member.declared)} {base}: where it begins, and how many bytes. */",
        f"PROBE_SCOUT_INLINE const void *{begin}({const})",
        f"{{\n\treturn {start} (ctx->{name} & 0xffff);\n}}",
        f"PROBE_SCOUT_INLINE __u32 {count}({const})",
        f"{{\n\treturn ctx->{name} >> 16;\n}}",
    ]
    if member.text:
        helped += [
            f"PROBE_SCOUT_INLINE long {read}({const}, char *to, __u32 size)",
            f"{{\n\treturn probe_scout_read_kernel_str(to, size, {begin}(ctx));\n}}",
        ]
    else:
        helped += [
            f"PROBE_SCOUT_INLINE long {read}({const}, void *to, __u32 size)",
            f"{{\n\t__u32 len = {count}(ctx);\n",
            "\tif (len > size)\n\t\tlen = size;",
            f"\treturn probe_scout_read_kernel(to, len, {begin}(ctx));\n}}",
        ]


def _of_registers(stub: Stub, names: words.Unique, plain: list[str], helped: list[str]) -> None:
    arch = stub.arch
    registers = REGISTERS_OF[arch]
    const = f"const struct {context(stub)} *ctx"
    where = places_of(stub)
    read = "probe_scout_read_user" if stub.attach in STUB_USER else "probe_scout_read_kernel"
    for number, (one, place) in enumerate(zip(stub.arguments, where, strict=True)):
        title = names(accessor(stub, one.name))
        told = words.comment(f"{one.type.text} {one.name}".strip())
        where_to = f"; {memory(one.type)}" if memory(one.type) else ""
        said = f"/* argument {number}: {told}, {_place(place, registers.pointer, stub.inner)}{where_to} */"
        if not place.registers and place.stack is None:
            plain.append(f"/* argument {number}: {told}; {place.says} */")
            continue
        if one.type.kind == "struct":
            helped += [said, *_struct_words(title, const, one, place, registers.pointer, read)]
        elif place.registers and not stub.inner:
            plain += [
                said,
                f"PROBE_SCOUT_INLINE {spelled(one.type)}{title}({const})",
                f"{{\n\treturn {cast(one.type, f'ctx->{place.registers[0]}')};\n}}",
            ]
        else:
            if place.registers:
                outer = f"((const struct {context(stub)} *)({_ADDRESS})ctx->{registers.call[0]})"
                at = f"&{outer}->{place.registers[0]}"
            else:
                at = f"(const void *)({_ADDRESS})(ctx->{place.base or registers.pointer} + {place.stack})"
            helped += [
                said,
                f"PROBE_SCOUT_INLINE {spelled(one.type)}{title}({const})",
                f"{{\n\t__u64 word = 0;\n\n\t{read}(&word, sizeof(word), {at});",
                f"\treturn {cast(one.type, 'word')};\n}}",
            ]
    if stub.attach in RETURNS and stub.returns is not None and stub.returns.kind != "void":
        back = stub.returns
        if back.kind == "struct" and back.size > 8:
            plain.append(f"/* returns {words.comment(back.text)} by value: not in one register */")
        else:
            plain += [
                f"/* returns {words.comment(back.text)} */",
                f"PROBE_SCOUT_INLINE {spelled(back)}{names(accessor(stub, 'ret'))}({const})",
                f"{{\n\treturn {cast(back, f'ctx->{registers.returned}')};\n}}",
            ]


def _place(place: Place, pointer: str, inner: bool) -> str:
    if place.registers:
        return ("inner register " if inner else "register ") + " and ".join(place.registers)
    return f"{'in memory' if place.base else 'on the stack'} at {place.base or pointer} + {place.stack}"


def _struct_words(title: str, const: str, one: Argument, place: Place, pointer: str, read: str) -> list[str]:
    lines = [f"PROBE_SCOUT_INLINE long {title}({const}, __u64 to[{one.slots}])", "{"]
    if place.registers:
        lines += [f"\tto[{at}] = ctx->{register};" for at, register in enumerate(place.registers)]
        lines.append("\treturn 0;\n}")
    else:
        source = f"(const void *)({_ADDRESS})(ctx->{place.base or pointer} + {place.stack})"
        lines.append(f"\treturn {read}(to, {8 * one.slots}, {source});\n}}")
    return lines


def value_of(member: Member, name: str) -> str:
    """The C declaration of a variable that can keep a member's value."""
    if member.kind == INTEGER:
        return f"{integer(member.element_size, member.signed)} {name}"
    return _declare(member, name)
