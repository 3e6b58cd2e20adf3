"""Write events/*/*/format as kernel/trace/trace_events.c (f_show) does, from the kernel's own fields."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """struct ftrace_event_field: the type still holds the brackets; `length` is its element count or 0."""

    type: str
    name: str
    offset: int
    size: int
    signed: int = 0
    length: int = 0


COMMON = (
    Field("unsigned short", "common_type", 0, 2),
    Field("unsigned char", "common_flags", 2, 1),
    Field("unsigned char", "common_preempt_count", 3, 1),
    Field("int", "common_pid", 4, 4, 1),
)
LAZY = Field("unsigned char", "common_preempt_lazy_count", 8, 1)  # as RT-patched kernels have it


def field_line(field: Field, with_signed: bool = True) -> str:
    declaration = f"{field.type} {field.name}"
    if "[" in field.type and not field.type.startswith("__data_loc"):
        length = str(field.length) if field.length else ""
        declaration = f"{field.type[: field.type.index('[')]} {field.name}[{length}]"
    line = f"\tfield:{declaration};\toffset:{field.offset};\tsize:{field.size};"
    return line + (f"\tsigned:{field.signed};\n" if with_signed else "\n")


def event_format(
    name: str,
    number: int,
    fields: list[Field] | tuple[Field, ...],
    print_fmt: str = '""',
    common: tuple[Field, ...] = COMMON,
    with_signed: bool = True,
) -> bytes:
    text = f"name: {name}\nID: {number}\nformat:\n"
    text += "".join(field_line(field, with_signed) for field in common) + "\n"
    text += "".join(field_line(field, with_signed) for field in fields)
    return (text + f"\nprint fmt: {print_fmt}\n").encode()
