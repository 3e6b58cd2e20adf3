"""Prototypes: what the kernel's rules look at of a function's BTF prototype, and the prototype for people."""

from __future__ import annotations

from ..named_tuple import NamedTuple


class Shape(NamedTuple):
    """A prototype reduced to what kernel/bpf/btf.c (btf_distill_func_proto) and the trampolines look at.

    Sizes are the kernel's: 8 bytes for every pointer (64-bit kernels), the BTF size for int, enum, struct and union,
    typedefs and qualifiers skipped. A size of 0 with a bad kind is a type without a size.
    """

    nargs: int = 0  # parameters, without the closing marker of a variadic function
    variadic: bool = False  # the last parameter has type id 0
    slots: int = 0  # 8-byte words of all arguments: the sum of ceil(size / 8)
    struct_args: int = 0  # structs and unions by value
    union_args: int = 0  # those of struct_args that are unions
    big_struct_arg: bool = False  # an argument of more than 16 bytes
    zero_arg: bool = False  # an argument of size 0: bare void before the end, an empty struct
    bad_arg: bool = False  # an argument that is no ptr, int, enum, struct or union: float, array, fwd, const void, …
    ret_struct: bool = False  # returns a struct or union
    ret_bad: bool = False  # returns what no rule accepts: float, array, fwd, const void, …
    ret_bytes: int = 0  # size of the return value; 0 for void
    ret_int_like: bool = False  # returns an INT of at most 8 bytes (bool included, enum not): fmod_ret may read it
    first_arg_struct: str = ""  # "bpf_iter_meta" if the first parameter points to that struct: an iterator; else ""


class Arg(NamedTuple):
    """One parameter. `name` is "" where BTF has none; `size_bytes` is 0 for a type without a size."""

    name: str
    type: str
    size_bytes: int


class Prototype(NamedTuple):
    """A function's declaration. `text` is one line of C without the semicolon."""

    name: str
    args: tuple[Arg, ...]
    variadic: bool
    return_type: str
    return_bytes: int
    text: str
