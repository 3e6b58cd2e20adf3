"""Names that a language accepts: reserved words, first digits, repeated names.

C names are kept clear of the words of C++ as well, since headers are shared, and of what the stubs'
own lines use.
"""

from __future__ import annotations


def word_set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# C11, C23, C++20, and the macros that compilers and BPF headers make of everyday words.
_C = word_set(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class compl
    concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype default delete
    do double dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable
    namespace new noexcept not not_eq nullptr operator or or_eq private protected public register reinterpret_cast
    requires restrict return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile
    wchar_t while xor xor_eq linux unix i386 current NULL bpf ctx
    """
)
# The Rust reference: strict, reserved and weak keywords of all editions.
_RUST = word_set(
    """
    as async await break const continue dyn else enum extern false fn for gen if impl in let loop match mod move mut pub
    ref return static struct trait true type unsafe use where while abstract become box do final macro override priv try
    typeof unsized virtual yield
    """
)
_RUST_NEVER = frozenset(("self", "Self", "super", "crate", "_"))  # cannot be raw
_PYTHON = word_set(
    """
    False None True and as assert async await break class continue def del elif else except finally for from global if
    import in is lambda nonlocal not or pass raise return try while with yield match case type self
    """
)


def identifier(name: str) -> str:
    """The name with every sign but ASCII letters, digits and _ made _; with a leading _ where it began with a digit."""
    text = "".join(sign if sign.isascii() and (sign.isalnum() or sign == "_") else "_" for sign in name) or "_"
    return f"_{text}" if text[0].isdigit() else text


def camel(name: str) -> str:
    """PascalCase of a name: `prev_comm` is PrevComm. Capital letters stay."""
    text = "".join(part[:1].upper() + part[1:] for part in identifier(name).split("_"))
    if not text:
        return "X"
    return f"N{text}" if text[0].isdigit() else text


def c(name: str) -> str:
    """A name for C and C++."""
    text = identifier(name)
    return f"{text}_" if text in _C else text


def rust(name: str) -> str:
    """A name for Rust: raw where it is a keyword."""
    text = identifier(name)
    if text in _RUST_NEVER:
        return f"{text}_"
    return f"r#{text}" if text in _RUST else text


def python(name: str) -> str:
    """A name for Python, outside and inside a class body."""
    text = identifier(name)
    if text in _PYTHON:
        return f"{text}_"
    return text if not text.startswith("__") else text[1:]


class Unique:
    """Hands out names once: the second `type` becomes `type_2`."""

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

    def __call__(self, name: str) -> str:
        """The name, or the name with the first free number. Raw Rust names keep their mark."""
        found, number = name, 1
        while found in self._taken:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        return found


def comment(text: str) -> str:
    """Text that cannot end a comment of any of the languages, on one line."""
    flat = " ".join(text.split())
    shown = "".join(sign if sign.isprintable() and sign.isascii() else "?" for sign in flat)
    return shown.replace("*/", "* /").replace("/*", "/ *").rstrip("\\")


_GO = word_set(
    """
    break case chan const continue default defer else fallthrough for func go goto if import interface map package range
    return select struct switch type var
    """
)


def is_go_name(text: str) -> bool:
    """The text can name a package or a type in Go; `unsafe` is what the stubs import."""
    return text.isascii() and text.isidentifier() and text not in _GO | {"_", "unsafe"}
