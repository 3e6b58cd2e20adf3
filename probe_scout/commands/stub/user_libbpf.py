"""C for libbpf: programs on user functions and USDT probes with BPF_UPROBE, BPF_URETPROBE and bpf_usdt_arg.

Macros: tools/lib/bpf/bpf_tracing.h and usdt.bpf.h. BPF_UPROBE names the first integer registers of the C convention in
their order; where an argument is elsewhere (floats before it, structures by value, Go) it is read by name.
"""

from __future__ import annotations

from ...model.stub import Argument, PlainType, Stub, StubPlace
from . import words
from .arguments import REGISTERS_OF, places_of
from .c_struct import LICENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_TARGETS = {"x86_64": "x86", "aarch64": "arm64"}
_SHOWN_BYTES = 64
_MACRO_ARGUMENTS = 5  # of BPF_KPROBE and PT_REGS_PARMn in every libbpf; 1.2 and later have eight
_OLDER = """\
#ifndef BPF_UPROBE /* libbpf before 1.2 */
#define BPF_UPROBE BPF_KPROBE
#define BPF_URETPROBE BPF_KRETPROBE
#endif"""
_INTEGERS = {1: "char", 2: "short", 4: "int", 8: "long"}


def write(stubs: Sequence[Stub], provenance: Sequence[str]) -> str:
    """One source file with these programs."""
    target = _TARGETS[stubs[0].arch]
    lines = [f"/* {LICENCE} */", "/*", *(f" * {words.comment(line)}".rstrip() for line in provenance)]
    lines += [
        " * Build: bpftool btf dump file /sys/kernel/btf/vmlinux format c > vmlinux.h",
        f" *        clang -g -O2 -target bpf -D__TARGET_ARCH_{target} -c NAME.bpf.c -o NAME.bpf.o",
        " */",
        '#include "vmlinux.h"',
        "#include <bpf/bpf_helpers.h>",
        "#include <bpf/bpf_tracing.h>",
    ]
    if any(stub.attach == "usdt" for stub in stubs):
        lines.append("#include <bpf/usdt.bpf.h>")
    lines += [_OLDER, "", 'char LICENSE[] SEC("license") = "GPL";']
    names = words.Unique()
    for stub in stubs:
        lines += ["", "/*", *(f" * {words.comment(line)}" for line in (*stub.facts, *stub.notes)), " */"]
        lines += _usdt(stub, names) if stub.attach == "usdt" and stub.sites else _function(stub, names)
    return "\n".join(lines) + "\n"


def _function(stub: Stub, names: words.Unique) -> list[str]:
    title = names(f"on_{words.identifier(stub.title)}")
    if stub.attach == "uretprobe":
        return _return(stub, title)
    where = places_of(stub)
    shown = [(one, place, words.c(one.name)) for one, place in zip(stub.arguments, where, strict=True)]
    section = stub.sites[0] if stub.sites else "uprobe"
    call = REGISTERS_OF[stub.arch].call
    in_order = len(shown) <= _MACRO_ARGUMENTS and all(
        place.registers == (call[n],) and _word(one) for n, (one, place, _) in enumerate(shown)
    )
    if len(stub.sites) <= 1 and shown and in_order:
        declared = ", ".join(_declared(one.type, name) for one, _, name in shown)
        body = [line for one, _, name in shown for line in _print(one.type, name)]
        return [f'SEC("{section}")', f"int BPF_UPROBE({title}, {declared})", "{", *body, "\treturn 0;", "}"]
    body = []
    for one, place, name in shown:
        body += _read(stub, one, place, name)
    if len(stub.sites) <= 1:
        return [f'SEC("{section}")', f"int {title}(struct pt_regs *ctx)", "{", *body, "\treturn 0;", "}"]
    lines = [f"static __always_inline int {title}(struct pt_regs *ctx)", "{", *body, "\treturn 0;", "}"]
    for number, each in enumerate(stub.sites):
        lines += [f'SEC("{each}")', f"int {title}_{number}(struct pt_regs *ctx)", "{", f"\treturn {title}(ctx);", "}"]
    return lines


def _return(stub: Stub, title: str) -> list[str]:
    back = stub.returns
    head = f'SEC("{stub.section}")'
    if back is not None and back.kind in ("int", "pointer", "bool", "enum"):
        body = _print(back, "ret")
        return [head, f"int BPF_URETPROBE({title}, {_declared(back, 'ret')})", "{", *body, "\treturn 0;", "}"]
    body = ['\tbpf_printk("return");']
    if back is not None and back.kind == "struct" and 8 < back.size <= 16 and stub.arch == "x86_64":
        body = [
            f"\t__u64 ret[2] = {{ ctx->ax, ctx->dx }}; /* {words.comment(back.text)} */",
            "",
            '\tbpf_printk("ret=%llx %llx", ret[0], ret[1]);',
        ]
    return [head, f"int {title}(struct pt_regs *ctx)", "{", *body, "\treturn 0;", "}"]


def _word(one: Argument) -> bool:
    return one.type.kind in ("int", "pointer", "bool", "enum")


def _declared(one: PlainType, name: str) -> str:
    if one.kind == "pointer":
        return f"{one.target or 'void'} *{name}"
    return f"{'' if one.signed else 'unsigned '}{_INTEGERS.get(one.size, 'long')} {name}"


def _print(one: PlainType, name: str) -> list[str]:
    if one.kind == "pointer" and one.target == "char":
        text = f"{name}_text"
        return [
            f"\tchar {text}[{_SHOWN_BYTES}] = {{}};",
            "",
            f"\tbpf_probe_read_user_str({text}, sizeof({text}), {name});",
            f'\tbpf_printk("{name}=%s", {text});',
        ]
    if one.kind == "pointer":
        return [f'\tbpf_printk("{name}=%p", {name});']
    return [f'\tbpf_printk("{name}=%l{"d" if one.signed else "u"}", (long){name});']


def _read(stub: Stub, one: Argument, place: StubPlace, name: str) -> list[str]:
    """Lines that read an argument into a variable of its name and show it."""
    told = words.comment(f"{one.type.text} {one.name}")
    if not place.registers and place.stack is None:
        return [f"\t/* {told}: {words.comment(place.says)} */"]
    if place.registers and _word(one):
        value = _register(stub, place.registers[0])
        return [f"\t{_declared(one.type, name)} = {_cast(one.type, value)}; /* {told} */", *_print(one.type, name)]
    if place.registers:
        parts = ", ".join(_register(stub, register) for register in place.registers)
        first = f"\t__u64 {name}[{len(place.registers)}] = {{ {parts} }}; /* {told} */"
        return [first, f'\tbpf_printk("{name}=%llx", {name}[0]);']
    base = _register(stub, place.base) if place.base else "PT_REGS_SP(ctx)"
    at = f"(const void *)({base} {'-' if (place.stack or 0) < 0 else '+'} {abs(place.stack or 0)})"
    if _word(one):
        declared = f"{_declared(one.type, name)} = 0"
        read = f"\tbpf_probe_read_user(&{name}, sizeof({name}), {at});"
        return [f"\t{declared}; /* {told} */", "", read, *_print(one.type, name)]
    count = max(1, -(-one.type.size // 8))
    return [
        f"\t__u64 {name}[{count}] = {{}}; /* {told} */",
        "",
        f"\tbpf_probe_read_user({name}, {one.type.size or 8}, {at});",
        f'\tbpf_printk("{name}=%llx", {name}[0]);',
    ]


def _cast(one: PlainType, value: str) -> str:
    return f"({_declared(one, '').strip()}){value}"


def _register(stub: Stub, member: str) -> str:
    """A register: by the portable macros where they name it, else the member of struct pt_regs."""
    call = REGISTERS_OF[stub.arch].call
    if member in call[:_MACRO_ARGUMENTS]:
        return f"PT_REGS_PARM{call.index(member) + 1}(ctx)"
    if stub.arch == "aarch64":
        return f"((const struct user_pt_regs *)ctx)->{member}"
    return f"ctx->{member}"


def _usdt(stub: Stub, names: words.Unique) -> list[str]:
    title = names(f"on_{words.identifier(stub.title)}")
    body: list[str] = []
    for number, one in enumerate(stub.arguments):
        name = words.c(one.name)
        word = f"{name}_word"
        value = _cast(one.type, word)
        body += [
            f"\tlong {word} = 0;",
            f"\tbpf_usdt_arg(ctx, {number}, &{word});",
            f"\t{_declared(one.type, name)} = {value}; /* {words.comment(one.type.text)} */",
            *_print(one.type, name),
        ]
    return [f'SEC("{stub.section}")', f"int {title}(struct pt_regs *ctx)", "{", *body, "\treturn 0;", "}"]
