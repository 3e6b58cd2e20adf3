"""C++ and Rust names as people write them.

C++ by __cxa_demangle of libstdc++, the demangler that c++filt is made from. Rust by readers of our own: v0 names
(`_R...`, RFC 2603) and the older ones, C++ names with a hash at the end. What is not understood is returned as it is.
"""

from __future__ import annotations

import re
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_OLD_RUST = re.compile(r"_ZN(.+)17h[0-9a-f]{16}E")
_OLD_RUST_SIGNS = {
    "$SP$": "@",
    "$BP$": "*",
    "$RF$": "&",
    "$LT$": "<",
    "$GT$": ">",
    "$LP$": "(",
    "$RP$": ")",
    "$C$": ",",
    "$u7e$": "~",
    "$u20$": " ",
    "$u27$": "'",
    "$u3d$": "=",
    "$u5b$": "[",
    "$u5d$": "]",
    "$u7b$": "{",
    "$u7d$": "}",
    "$u3b$": ";",
    "$u2b$": "+",
    "$u22$": '"',
    "..": "::",
}
NAME_BYTES_MAX = 1 << 16


@cache
def _libstdcxx() -> Callable[[bytes], str | None] | None:
    """__cxa_demangle by ctypes; None where no libstdc++ or libc++abi is installed."""
    import ctypes

    for name in ("libstdc++.so.6", "libc++abi.so.1"):
        try:
            return _caller(ctypes.CDLL(name).__cxa_demangle, ctypes.CDLL(None).free)
        except (OSError, AttributeError):
            continue
    return None


def _caller(call: Any, free: Any) -> Callable[[bytes], str | None]:
    import ctypes

    call.restype = ctypes.c_void_p
    call.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)]
    free.argtypes = [ctypes.c_void_p]
    status = ctypes.c_int()

    def demangled(raw: bytes) -> str | None:
        found = call(raw, None, None, ctypes.byref(status))
        if not found:
            return None
        text = ctypes.string_at(found).decode("utf-8", "replace")
        free(found)
        return text

    return demangled


def can_cxx() -> bool:
    """C++ names can be demangled here."""
    return _libstdcxx() is not None


def is_mangled(name: str) -> bool:
    """The name is one of C++ or Rust."""
    return name.startswith(("_Z", "__Z", "_R"))


def demangle(name: str) -> str:
    """The name as in the source; unchanged where it is not mangled or not understood."""
    if name.startswith("_R"):
        return rust_v0(name) or name
    if not name.startswith("_Z") or len(name) > NAME_BYTES_MAX:
        return name
    if name.startswith("_ZN") and (found := _old_rust(name)) is not None:
        return found
    base, dot, suffix = name.partition(".")  # GCC's clones: .cold, .part.0, .isra.0
    call = _libstdcxx()
    found = call(base.encode()) if call else None
    if found is None:
        return name
    return f"{found} [clone {dot}{suffix}]" if dot else found


def _old_rust(name: str) -> str | None:
    """The path of a Rust name of the older scheme, without its hash; None where it is C++."""
    match = _OLD_RUST.match(name)
    if match is None:
        return None
    parts, text = [], match[1]
    while text:
        digits = re.match(r"\d+", text)
        if digits is None or len(digits[0]) > 6:
            return None
        end = digits.end() + int(digits[0])
        if end > len(text):
            return None
        part, text = text[digits.end() : end], text[end:]
        for sign, plain in _OLD_RUST_SIGNS.items():
            part = part.replace(sign, plain)
        parts.append(part[1:] if part.startswith("_<") else part)
    return "::".join(parts)


# An operator's name with signs that are brackets elsewhere. Conversions (`operator int`) and literals are words.
_OPERATOR = re.compile(r"operator(?:\(\)|\[\]|<=>|<<=|>>=|->\*|->|<<|>>|<=|>=|<(?!<)|>|,| (?:new|delete)(?:\[\])?)")


def parts(name: str) -> tuple[int, int]:
    """(where the qualified name begins behind a result's type, where its parameters begin) of a demangled name."""
    depth, at, start = 0, 0, 0
    is_operator = False
    while at < len(name):
        sign = name[at]
        if name.startswith("operator", at) and (at == 0 or not (name[at - 1].isalnum() or name[at - 1] == "_")):
            found = _OPERATOR.match(name, at)
            is_operator = is_operator or not depth
            at = found.end() if found else at + 8
            continue
        if (
            sign == "("
            and not depth
            and not name.startswith("(anonymous", at)
            and not name.endswith("decltype ", 0, at)
        ):
            return start, at
        if sign == " " and not depth and not is_operator:
            start = at + 1
        if sign in "<({[":
            depth += 1
        elif sign in ")}]" or (sign == ">" and name[at - 1 : at] not in ("-", "=")):
            depth -= 1
        at += 1
    return start, len(name)


def without_arguments(name: str) -> str:
    """`ns::f` of `ns::f(int) const`; template arguments stay, and so does the type of a template's result."""
    return name[: parts(name)[1]]


def shorter_names(name: str) -> tuple[str, ...]:
    """What people write for a demangled function: without parameters, without the result's type that the names of
    template functions begin with, without the function's own template arguments."""
    start, end = parts(name)
    bare = name[start:end]
    found = [name[:end], name[start:], bare]
    if bare.endswith(">") and "operator" not in bare:
        depth = 0
        for at in range(len(bare) - 1, -1, -1):
            depth += (bare[at] == ">") - (bare[at] == "<")
            if not depth:
                found.append(bare[:at])
                break
    return tuple(dict.fromkeys(found))


# Rust v0

_BASIC = {
    "a": "i8",
    "b": "bool",
    "c": "char",
    "d": "f64",
    "e": "str",
    "f": "f32",
    "h": "u8",
    "i": "isize",
    "j": "usize",
    "l": "i32",
    "m": "u32",
    "n": "i128",
    "o": "u128",
    "p": "_",
    "s": "i16",
    "t": "u16",
    "u": "()",
    "v": "...",
    "x": "i64",
    "y": "u64",
    "z": "!",
}
_DEPTH_MAX = 200


class _Bad(Exception):
    pass


class _V0:
    """One pass over a v0 name. Crate hashes are left out, as rustfilt does by default."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth, self.out_bytes = text, 0, 0, 0

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        sign = self.peek()
        if not sign:
            raise _Bad
        self.at += 1
        return sign

    def take(self, sign: str) -> bool:
        if self.peek() == sign:
            self.at += 1
            return True
        return False

    def number62(self) -> int:
        """base-62-number."""
        if self.take("_"):
            return 0
        value = 0
        while not self.take("_"):
            sign = self.next()
            digit = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".find(sign)
            if digit < 0 or value > 1 << 64:
                raise _Bad
            value = value * 62 + digit
        return value + 1

    def disambiguator(self) -> int:
        return self.number62() + 1 if self.take("s") else 0

    def identifier(self) -> str:
        is_punycode = self.take("u")
        digits = ""
        while self.peek().isdigit():
            digits += self.next()
            if digits == "0":
                break
        if not digits or len(digits) > 6:
            raise _Bad
        self.take("_")
        size = int(digits)
        text = self.text[self.at : self.at + size]
        if len(text) != size:
            raise _Bad
        self.at += size
        if is_punycode:
            head, _, tail = text.rpartition("_")
            try:
                return f"{head}-{tail}".lstrip("-").encode().decode("punycode")
            except (UnicodeError, ValueError):
                raise _Bad from None
        return text

    def back(self, reader: Callable[[], str]) -> str:
        start = self.at - 1
        target = self.number62()
        if target >= start:
            raise _Bad
        kept, self.at = self.at, target
        found = self.nested(reader)
        self.at = kept
        return found

    def nested(self, reader: Callable[[], str]) -> str:
        self.depth += 1
        if self.depth > _DEPTH_MAX:
            raise _Bad
        found = reader()
        self.depth -= 1
        self.out_bytes += len(found)
        if self.out_bytes > NAME_BYTES_MAX:  # back references can double at each step
            raise _Bad
        return found

    def path(self, in_value: bool = True) -> str:
        return self.nested(lambda: self._path(in_value))

    def _path(self, in_value: bool) -> str:
        sign = self.next()
        if sign == "C":
            self.disambiguator()
            return self.identifier()
        if sign == "M":
            self.disambiguator()
            self.path()
            return f"<{self.type()}>"
        if sign == "X":
            self.disambiguator()
            self.path()
            return f"<{self.type()} as {self.path(False)}>"
        if sign == "Y":
            return f"<{self.type()} as {self.path(False)}>"
        if sign == "N":
            space = self.next()
            outer = self.path(in_value)
            number = self.disambiguator()
            name = self.identifier()
            if space.isupper():
                word = {"C": "closure", "S": "shim"}.get(space, space)
                return f"{outer}::{{{word}{':' + name if name else ''}#{number}}}"
            return f"{outer}::{name}" if name else outer
        if sign == "I":
            outer = self.path(in_value)
            arguments = []
            while not self.take("E"):
                arguments.append(self.generic())
            return f"{outer}{'::' if in_value else ''}<{', '.join(arguments)}>"
        if sign == "B":
            return self.back(lambda: self.path(in_value))
        raise _Bad

    def generic(self) -> str:
        if self.take("L"):
            self.number62()
            return "'_"
        if self.take("K"):
            return self.const()
        return self.type()

    def const(self) -> str:
        if self.take("B"):
            return self.back(self.const)
        kind = self.next()
        if kind == "p":
            return "_"
        minus = "-" if self.take("n") else ""
        digits = ""
        while not self.take("_"):
            digits += self.next()
        value = int(digits or "0", 16) if re.fullmatch(r"[0-9a-f]*", digits) else None
        if value is None:
            raise _Bad
        if kind == "b":
            return "true" if value else "false"
        if kind == "c":
            return repr(chr(value)) if value < 0x110000 else "?"
        return f"{minus}{value}"

    def type(self) -> str:
        return self.nested(self._type)

    def _type(self) -> str:
        sign = self.peek()
        if sign in _BASIC:
            self.at += 1
            return _BASIC[sign]
        if sign in ("R", "Q"):
            self.at += 1
            life = self.number62() if self.take("L") else 0
            return f"&{chr(39) + '_ ' if life else ''}{'mut ' if sign == 'Q' else ''}{self.type()}"
        if sign in ("P", "O"):
            self.at += 1
            return f"*{'const' if sign == 'P' else 'mut'} {self.type()}"
        if sign == "A":
            self.at += 1
            return f"[{self.type()}; {self.const()}]"
        if sign == "S":
            self.at += 1
            return f"[{self.type()}]"
        if sign == "T":
            self.at += 1
            parts = []
            while not self.take("E"):
                parts.append(self.type())
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if sign == "F":
            self.at += 1
            return self._function()
        if sign == "D":
            self.at += 1
            return self._dynamic()
        if sign == "B":
            self.at += 1
            return self.back(self.type)
        return self.path(False)

    def _function(self) -> str:
        if self.take("G"):
            self.number62()
        unsafe = "unsafe " if self.take("U") else ""
        abi = ""
        if self.take("K"):
            abi = 'extern "C" ' if self.take("C") else f'extern "{self.identifier().replace("_", "-")}" '
        arguments = []
        while not self.take("E"):
            arguments.append(self.type())
        back = self.type()
        return f"{unsafe}{abi}fn({', '.join(arguments)}){'' if back == '()' else ' -> ' + back}"

    def _dynamic(self) -> str:
        if self.take("G"):
            self.number62()
        traits = []
        while not self.take("E"):
            trait = self.path(False)
            bindings = []
            while self.take("p"):
                name = self.identifier()
                bindings.append(f"{name} = {self.type()}")
            if bindings:
                inner = ", ".join(bindings)
                trait = f"{trait[:-1]}, {inner}>" if trait.endswith(">") else f"{trait}<{inner}>"
            traits.append(trait)
        if self.take("L"):
            self.number62()
        return f"dyn {' + '.join(traits)}"


def rust_v0(name: str) -> str | None:
    """A v0 name as in the source, without crate hashes; None where it is no such name."""
    base, dot, suffix = name.partition(".")
    if not base.startswith("_R") or len(base) > NAME_BYTES_MAX or not base.isascii():
        return None
    reader = _V0(base[2:])
    if reader.peek().isdigit():  # a version of the encoding that is not defined yet
        return None
    try:
        found = reader.path()
    except (_Bad, RecursionError):
        return None
    return f"{found}{dot}{suffix}" if dot and not suffix.startswith("llvm.") else found
