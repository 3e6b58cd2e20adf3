"""Prototypes that a trampoline cannot call.

kernel/bpf/btf.c btf_distill_func_proto and __get_type_size, in their order: count, return value, then
each argument.
"""

from __future__ import annotations

from ..model.facts import BTF
from ..model.traits import Traits
from .gate import Gate, KernelFeatures

GATE = Gate("prototype", source="kernel/bpf/btf.c", entry="btf_distill_func_proto")


@GATE.rule("too_many_arguments", errno="EINVAL", decides="nargs > MAX_BPF_FUNC_ARGS", needs=(BTF,))
def too_many_arguments(t: Traits, k: KernelFeatures) -> bool:
    """The function has more arguments than BPF takes: 12, or 11 where struct arguments are not known yet.

    5.10 compares with >= where later kernels use >.
    """
    # MAX_BPF_FUNC_ARGS (include/linux/bpf.h) is 12. 5.10 refuses nargs >= 12; kernels that know
    # btf_func_model.arg_flags, which came with struct arguments, refuse nargs > 12.
    limit = 12 if k.feature("struct_arguments") else 11
    return t.proto is not None and t.proto.args > limit


@GATE.rule("return_type", errno="EINVAL", decides="return type: struct, union, float, array", needs=(BTF,))
def return_type(t: Traits, _k: KernelFeatures) -> bool:
    """The return type is a struct, a union or nothing that BPF can hold."""
    return t.proto is not None and (t.proto.struct_return or t.proto.odd_return)


@GATE.rule("variadic", errno="EINVAL", decides="last argument of type 0", needs=(BTF,))
def variadic(t: Traits, _k: KernelFeatures) -> bool:
    """The function takes variable arguments."""
    return t.proto is not None and t.proto.variadic


@GATE.rule("argument_type", errno="EINVAL", decides="__get_type_size: argument", needs=(BTF,))
def argument_type(t: Traits, k: KernelFeatures) -> bool:
    """An argument is of a type that this kernel's BPF cannot pass by value.

    Floats, arrays and structs above 16 bytes never pass. 5.10 takes no struct by value at all; a union by
    value is taken since 6.18 (no probe of its own: a contemporary of the same release stands in).
    """
    p = t.proto
    if p is None:
        return False
    if p.union_args and k.feature("union_arguments") is False:
        return True
    return p.odd_arg or p.wide_arg or (p.struct_args and k.feature("struct_arguments") is False)


@GATE.rule("empty_argument", errno="EINVAL", decides="malformed void argument", needs=(BTF,))
def empty_argument(t: Traits, _k: KernelFeatures) -> bool:
    """An argument has no size (an empty struct)."""
    return t.proto is not None and t.proto.empty_arg


@GATE.rule(
    "wide_return",
    errno="EOPNOTSUPP",
    decides="attach_uses_trampoline_retval: ret_size > 8",
    needs=(BTF,),
    feature="wide_return_check",
    known="since 7.2",
)
def wide_return(t: Traits, _k: KernelFeatures) -> bool:
    """The return value is wider than 8 bytes, which programs at the return cannot be given."""
    return t.proto is not None and t.proto.wide_return


# btf_distill_func_proto walks the arguments one by one, so that their rules mix; all say EINVAL. wide_return is asked
# by its caller, kernel/bpf/verifier.c bpf_check_attach_target, behind it and with another errno.
ENTRY = GATE.part("too_many_arguments", "return_type", "variadic", "argument_type", "empty_argument")
RETURN = GATE
