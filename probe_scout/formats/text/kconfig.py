"""Read a kernel's configuration: proc/config.gz, boot/config-<release>, lib/modules/<release>/config.

Written by scripts/kconfig/confdata.c (__conf_write_config): `CONFIG_NAME=value`, or
`# CONFIG_NAME is not set` for an option that is off; options whose dependencies are missing are not
in the file at all. Strings stand in quotes, with \\" and \\\\ escaped. proc/config.gz is the same text,
compressed (kernel/configs.c).
"""

from __future__ import annotations

from ...errors import Malformed
from .lines import malformed_line, split, text, whole

PATH = "boot/config"
LIMIT_BYTES = 16 << 20  # a distribution's configuration is 0.3 MB


def plain(raw: bytes, path: str = PATH) -> bytes:
    """The configuration's text, unpacked if the bytes are gzip; never more than LIMIT_BYTES.

    Raises Malformed for gzip data that is cut off, damaged or larger than that.
    """
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    import zlib

    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(raw, LIMIT_BYTES)
    except zlib.error as error:
        raise Malformed(path, 0, "gzip data", str(error)) from None
    if unpacker.unconsumed_tail:
        raise Malformed(path, 0, f"a configuration of at most {LIMIT_BYTES} bytes", "more")
    if not unpacker.eof:
        raise Malformed(path, len(raw), "the rest of the gzip data (the file is cut off)", "the end of the file")
    if unpacker.unused_data:
        raise Malformed(path, len(raw) - len(unpacker.unused_data), "the end of the gzip data", "more bytes")
    return unpacked


def is_cut_off(raw: bytes, path: str = PATH) -> bool:
    """The last menus are missing. Every menu has such an end since 5.4 (scripts/kconfig/confdata.c, conf_write).

    "Kernel hacking" is the last one with options that every kernel has (Kconfig, lib/Kconfig.debug). Raises Malformed
    as `plain` does.
    """
    text = plain(raw, path)
    return b"# end of " in text and b"# end of Kernel hacking\n" not in text


def is_named(raw: bytes, option: str, path: str = PATH) -> bool:
    """The option has a line, on or off. Raises Malformed as `plain` does."""
    text, name = plain(raw, path), option.encode()
    return _last_line(text, name + b"=") >= 0 or _last_line(text, b"# " + name + b" is not set\n") >= 0


def find(raw: bytes, option: str, path: str = PATH) -> str | None:
    """The option's value as written, a string without its quotes; None if it is not set.

    The name is given with its prefix (`CONFIG_KPROBES`). Off and not in the file are both None. The
    last line about an option counts. For several questions unpack once with `plain`.
    Raises Malformed as `plain` does, and if the text is cut off.
    """
    raw = whole(plain(raw, path), path)
    name = option.encode()
    on = _last_line(raw, name + b"=")
    if on < 0 or _last_line(raw, b"# " + name + b" is not set\n") > on:
        return None
    begin = on + len(name) + 1
    return _value(raw[begin : raw.index(b"\n", begin)], path, begin)


def table(raw: bytes, path: str = PATH) -> dict[str, str]:
    """Every option that is set, with its value as `find` gives it.

    Raises Malformed at the first line that is neither an option nor a comment nor empty.
    """
    lines = split(plain(raw, path), path)
    found: dict[str, str] = {}
    at = 0
    for row, line in enumerate(lines):
        name, equals, value = line.partition(b"=")
        if name.startswith(b"CONFIG_") and equals:
            found[text(name, path, at)] = _value(value, path, at + len(name) + 1)
        elif line.startswith(b"# CONFIG_") and line.endswith(b" is not set"):
            found.pop(text(line[2:-11], path, at), None)
        elif line and not line.startswith(b"#"):
            raise malformed_line(path, lines, row, "CONFIG_NAME=value or a comment")
        at += len(line) + 1
    return found


def _last_line(raw: bytes, start: bytes) -> int:
    """Where the last line that begins so begins; -1 if there is none."""
    at = raw.rfind(b"\n" + start)
    return at + 1 if at >= 0 else 0 if raw.startswith(start) else -1


def _value(value: bytes, path: str, offset_bytes: int) -> str:
    written = text(value, path, offset_bytes)
    if len(written) >= 2 and written[0] == written[-1] == '"':
        return written[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return written
