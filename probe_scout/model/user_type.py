"""Types of a user program's functions, as far as passing them needs, and where the ABI puts each argument."""

from __future__ import annotations

from ..named_tuple import NamedTuple

# Kinds. A POINTER is also a reference, a function value and a null pointer; OTHER is what cannot be placed.
INTEGER, FLOAT, POINTER, STRUCT, ARRAY, VOID, OTHER = "int", "float", "pointer", "struct", "array", "void", "other"

FLOAT128 = "float128"  # `target` of _Float128, which has the size of long double on x86-64 and is passed in another way


class Leaf(NamedTuple):
    """One scalar inside a type: its offset and size in bytes, and INTEGER (pointers too) or FLOAT."""

    offset: int
    kind: str
    size: int


class UserType(NamedTuple):
    """A type. `text` is the source's spelling without namespaces; sizes in bytes.

    `leaves`: its scalars in order. `align` is that of the largest leaf. `by_reference`: a C++ class that is passed by a
    pointer to a copy, whatever its size (DW_CC_pass_by_reference). `target`: what a pointer leads to, such as "char".
    `members`: for Go, the types of a struct's fields in order, for which registers are assigned one by one.
    """

    text: str
    kind: str
    size: int
    signed: bool = False
    leaves: tuple[Leaf, ...] = ()
    align: int = 1
    by_reference: bool = False
    target: str = ""
    members: tuple[UserType, ...] = ()
    elements: int = 0
    is_packed: bool = False


VOID_TYPE = UserType("void", VOID, 0)


class Passed(NamedTuple):
    """Where one value is when the function is entered (or left).

    `registers`: by their own names (rdi, xmm0, x0, v1), one for each eight bytes or each float. `stack`: bytes above
    the stack pointer at the first instruction; None where it is in registers. `is_pointed`: the register or stack word
    holds the address of the value. Neither registers nor stack: it has no bytes (an empty class).
    """

    registers: tuple[str, ...] = ()
    stack: int | None = None
    is_pointed: bool = False


class Convention(NamedTuple):
    """How a whole call is passed. `name` is shown: "System V AMD64". `hidden`: a register that points to the result."""

    name: str
    arguments: tuple[Passed | None, ...]
    results: tuple[Passed | None, ...]
    hidden: str = ""
