"""Externs of an object on one kernel: tools/lib/bpf/libbpf.c, bpf_object__resolve_externs and what it calls.

One strong extern that is not there keeps the whole object from loading, also the programs that do not use it.
"""

from __future__ import annotations

from ...formats.btf import kinds, relocation
from ...formats.btf.records import essential
from ...named_tuple import NamedTuple
from .reach import SOMEWHERE, Pointer, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...formats.btf.records import Records
    from ...formats.elf.bpf_object import BpfObject, Extern
    from .kernel_types import Asked, KernelTypes

KCONFIG_SECTION = -1
_TRISTATE = {"n": 0, "y": 1, "m": 2}


class State(NamedTuple):
    """One extern on this kernel. `value`: what a 64-bit load of it gives the program."""

    name: str
    is_absent: bool
    value: Value


class Externs(NamedTuple):
    """All externs of an object, in its order, and the contents of .kconfig."""

    states: tuple[State, ...]
    kconfig: bytes


class Unresolved(Exception):
    """An extern that keeps the object from loading. `errno` by name; "" where it cannot be told."""

    def __init__(self, rule: str, errno: str, says: str, fact: str = "") -> None:
        super().__init__(says)
        self.rule, self.errno, self.says, self.fact = rule, errno, says, fact


def resolve(found: BpfObject, types: KernelTypes) -> Externs:
    """Raises Unresolved, in libbpf's order: configuration, untyped symbols, typed ones, then strong ones."""
    held: dict[int, State] = {}
    strong: list[str] = []
    kconfig, places = _layout(found)
    order = sorted(range(len(found.externs)), key=lambda number: _ORDER.index(found.externs[number].kind))
    for wanted in _ORDER:
        for number in order:
            extern = found.externs[number]
            if extern.kind != wanted:
                continue
            if extern.kind == "kconfig":
                value = _kconfig(extern, types)
                if value is None and not extern.is_weak:
                    strong.append(extern.name)
                if value is not None:
                    begin = places[number]
                    kconfig[begin : begin + extern.bytes] = value
                held[number] = State(extern.name, value is None, Pointer("data", places[number], KCONFIG_SECTION))
            elif extern.kind == "address":
                state = _address(extern, types)
                if state.is_absent and not extern.is_weak:
                    strong.append(extern.name)
                held[number] = state
            else:
                held[number] = _typed(found, extern, types)
    if strong:
        raise Unresolved(
            "object_load.extern", "ESRCH", f"this kernel has nothing for the extern {', '.join(sorted(strong))}"
        )
    return Externs(tuple(held[number] for number in range(len(found.externs))), bytes(kconfig))


_ORDER = ("kconfig", "address", "variable", "function")


def _layout(found: BpfObject) -> tuple[bytearray, dict[int, int]]:
    """Where each kconfig extern lies in .kconfig: by alignment and size, largest first, then by name (cmp_externs)."""
    wanted = [(number, extern) for number, extern in enumerate(found.externs) if extern.kind == "kconfig"]
    wanted.sort(key=lambda row: (-row[1].align, -row[1].bytes, row[1].name))
    places, end = {}, 0
    for number, extern in wanted:
        end = (end + extern.align - 1) // extern.align * extern.align
        places[number] = end
        end += extern.bytes
    return bytearray(end), places


def _kconfig(extern: Extern, types: KernelTypes) -> bytes | None:
    """The bytes of a kconfig extern; None where the option is not set."""
    name = extern.name
    if name.startswith("LINUX_"):
        return _virtual(extern, types)
    if not name.startswith("CONFIG_"):
        if extern.is_weak:
            return None
        raise Unresolved("object_load.kconfig", "EINVAL", f"{name} is no option that libbpf knows")
    text = types.kernel.config(name)
    if text is None:
        raise Unresolved("object_load.kconfig", "", f"no configuration of this kernel can be read for {name}", "config")
    if not text:
        return None
    return _encode(extern, text)


def _encode(extern: Extern, text: str) -> bytes:
    """set_kcfg_value_tri, _str and _num. Raises Unresolved (EINVAL) where the value does not fit the extern's type."""
    size = extern.bytes
    if text in _TRISTATE:
        if extern.shape == "bool" and text != "m":
            return bytes((_TRISTATE[text],))
        if extern.shape == "tristate":
            return _TRISTATE[text].to_bytes(size, "little")
        if extern.shape == "char":
            return text.encode()
        raise _misfit(extern, text)
    try:
        number = int(text, 0)
    except ValueError:
        if extern.shape != "char_array":
            raise _misfit(extern, text) from None
        return text.encode()[: size - 1].ljust(size, b"\0")
    if extern.shape not in ("int", "char"):
        raise _misfit(extern, text)
    bits = size * 8
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if extern.is_signed else (0, (1 << bits) - 1)
    if not low <= number <= high and size < 8:
        raise _misfit(extern, text)
    return (number & ((1 << bits) - 1)).to_bytes(size, "little")


def _misfit(extern: Extern, text: str) -> Unresolved:
    return Unresolved(
        "object_load.kconfig",
        "EINVAL",
        f"{extern.name} is {text} here, which does not fit the extern's type ({extern.shape})",
    )


def _virtual(extern: Extern, types: KernelTypes) -> bytes | None:
    """LINUX_KERNEL_VERSION and its like, which libbpf itself answers."""
    size = extern.bytes
    if extern.name == "LINUX_KERNEL_VERSION":
        version = types.linux_version()
        if version is None:
            raise Unresolved("object_load.kconfig", "", "this kernel's version cannot be read", "release")
        return version.to_bytes(max(size, 4), "little")[:size]
    if extern.name == "LINUX_HAS_BPF_COOKIE":
        return int(bool(types.knows("bpf_func_id", "BPF_FUNC_get_attach_cookie"))).to_bytes(size, "little")
    if extern.name == "LINUX_HAS_SYSCALL_WRAPPER":
        return int(_has_syscall_wrapper(types.kernel)).to_bytes(size, "little")
    if extern.is_weak:
        return None
    raise Unresolved("object_load.kconfig", "EINVAL", f"libbpf knows no virtual extern {extern.name}")


def _has_syscall_wrapper(k: Asked) -> bool:
    """Whether a kprobe opens on the wrapper of bpf (tools/lib/bpf/libbpf.c, probe_kern_syscall_wrapper)."""
    if k.feature("kprobe_pmu") is False or not k.syscall_prefix():
        return False
    if k.kallsyms() is None:
        raise Unresolved("object_load.kconfig", "", "kallsyms cannot be read for LINUX_HAS_SYSCALL_WRAPPER", "kallsyms")
    return k.has_function(f"{k.syscall_prefix()}sys_bpf")


def _address(extern: Extern, types: KernelTypes) -> State:
    count = types.symbol_count(extern.name)
    if count is None:
        raise Unresolved("object_load.ksym", "", f"kallsyms cannot be read for {extern.name}", "kallsyms")
    if count > 1:
        raise Unresolved("object_load.ksym_ambiguous", "EINVAL", f"kallsyms has {count} symbols named {extern.name}")
    return State(extern.name, not count, SOMEWHERE if count else 0)


def _typed(found: BpfObject, extern: Extern, types: KernelTypes) -> State:
    """A variable or kfunc by BTF: vmlinux, then modules, by the name without its flavour."""
    name = essential(extern.name)
    kind = kinds.VAR if extern.kind == "variable" else kinds.FUNC
    word = "variable" if kind == kinds.VAR else "kfunc"
    held = types.find(name, kind)
    if held is None:
        if types.is_partial:
            raise Unresolved(
                "object_load.not_recorded", "", f"this partial snapshot does not tell about {word} {name}", "btf"
            )
        if not extern.is_weak:
            where = "kernel" if kind == kinds.VAR else "kernel or module"
            raise Unresolved(
                "object_load.kfunc" if kind == kinds.FUNC else "object_load.ksym_type",
                "EINVAL",
                f"the {where} type information has no {word} {name}",
            )
        return State(extern.name, True, 0)
    if not _is_compatible(found.records, extern.type_id, *held):
        if kind == kinds.FUNC and extern.is_weak:
            return State(extern.name, True, 0)
        raise Unresolved("object_load.extern_type", "EINVAL", f"the type of {word} {name} differs on this kernel")
    return State(extern.name, False, SOMEWHERE)


def _is_compatible(local: Records | None, local_id: int, target: Records, target_id: int) -> bool:
    assert local is not None
    its = target.resolve(target.record(target_id).number)
    mine = local.resolve(local_id)
    try:
        return relocation.types_are_compatible(local, mine, target, its)
    except relocation.RelocationFailed:
        return False
