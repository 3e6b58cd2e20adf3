"""Move kernel addresses to fixed places, so that a snapshot does not tell where KASLR put the kernel.

vmlinux moves by one constant, the modules by another; order and distances inside each stay. Constants are
multiples of 2 MiB for vmlinux (the steps of KASLR, arch/x86/boot/compressed/kaslr.c) and of a page for modules,
so alignment stays too. Per-cpu offsets and absolute values are small and stay. What lies elsewhere (the direct
map, vmalloc) is numbered in order: its distances would say where the kernel's memory begins.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KALLSYMS = "proc/kallsyms"
MODULES = "proc/modules"
# The files in which addresses stand. In the first group they begin a line; in every file they may follow "0x".
LINES_FILES = (KALLSYMS, "sys/kernel/tracing/available_filter_functions_addrs")
MIXED_FILES = (
    MODULES,
    "sys/kernel/debug/error_injection/list",
    "sys/kernel/debug/kprobes/blacklist",
    "sys/kernel/debug/kprobes/list",
    "sys/kernel/tracing/enabled_functions",
    "sys/kernel/tracing/kprobe_events",
    "sys/kernel/tracing/touched_functions",
    "sys/kernel/tracing/uprobe_events",
)
_LINE = re.compile(rb"^([0-9a-f]{16}) (.*)$", re.M)
_LINE_START = re.compile(rb"^[0-9a-f]{16}(?= )", re.M)
_MIXED = re.compile(rb"(?:^|(?<=0x))[0-9a-f]{16}(?![0-9A-Za-z_])", re.M)
_HIGH = 1 << 63  # kernel addresses have the highest bit set
_ALL = (1 << 64) - 1
_PAGE = 4096
_KASLR_STEP = 2 << 20
_IMAGE_BYTES_MAX = 1 << 30  # KERNEL_IMAGE_SIZE, arch/x86/include/asm/page_64_types.h
_X86_KERNEL_MAP = 0xFFFFFFFF80000000  # __START_KERNEL_map
_X86_STEXT, _X86_MODULES = 0xFFFFFFFF81000000, 0xFFFFFFFFC0000000
_OTHER_BELOW, _OTHER_STEXT = 0xFFFF800000000000, 0xFFFF800080000000
_ELSEWHERE = 0xFFFF880000000000


class Move:
    """Where each address goes. `is_hidden`: proc/kallsyms holds zeros only (kernel.kptr_restrict)."""

    __slots__ = ("_elsewhere", "_zones", "is_hidden", "is_narrow")

    def __init__(self, files: Mapping[str, bytes], arch: str) -> None:
        symbols = files.get(KALLSYMS, b"")
        self.is_narrow = re.match(rb"[0-9a-f]{8} ", symbols) is not None
        self._zones: list[tuple[int, int, int]] = []  # first address, end, what to add
        self._elsewhere: dict[int, int] = {}
        in_image, in_modules, stext = _listed(symbols)
        self.is_hidden = bool(symbols) and not self.is_narrow and not in_image and not in_modules
        sites = _listed(files.get(LINES_FILES[1], b""))
        if not in_image:
            in_image = sites[0]
        in_modules += sites[1]
        in_modules += _high(_MIXED.findall(files.get(MODULES, b"")))
        mixed = [a for path in MIXED_FILES for a in _high(_MIXED.findall(files.get(path, b"")))]
        if in_image:
            self._plan(in_image, in_modules, mixed, stext, arch == "x86_64")
        strangers = {
            a for a in (*in_image, *in_modules, *mixed) if not any(lo <= a < end for lo, end, _ in self._zones)
        }
        for number, address in enumerate(sorted(strangers)):
            self._elsewhere[address] = _ELSEWHERE + number * _PAGE + address % _PAGE

    def _plan(self, in_image: list[int], in_modules: list[int], mixed: list[int], stext: int, is_x86: bool) -> None:
        start = stext or min(in_image)
        image = [a for a in in_image if abs(a - start) < _IMAGE_BYTES_MAX]
        first, end = min(image), _up(max(image) + 1, _KASLR_STEP)
        modules = [a for a in in_modules if not first <= a < end]
        if is_x86:  # trampolines stand among the modules and have no symbol of their own
            modules += [a for a in mixed if a >= end and a >= _X86_KERNEL_MAP]
        above = [a for a in modules if a >= end and (not is_x86 or a >= _X86_KERNEL_MAP)]
        below = [a for a in modules if a < first and not is_x86]
        target = _X86_STEXT if is_x86 else _OTHER_STEXT
        shift = target - _down(start, _KASLR_STEP)
        self._zones.append((first, end, shift))
        if above:
            to = _up(end + shift, _IMAGE_BYTES_MAX)
            if is_x86 and end + shift <= _X86_MODULES:
                to = _X86_MODULES
            if to + max(above) - min(above) > _ALL:
                to = end + shift
            self._zones.append(_zone(above, to))
        if below:
            self._zones.append(_zone(below, _OTHER_BELOW))

    def address(self, address: int) -> int:
        """Where this address goes; small ones and zero stay."""
        if address < _HIGH:
            return address
        for first, end, shift in self._zones:
            if first <= address < end:
                return (address + shift) & _ALL
        return self._elsewhere.get(address, _ELSEWHERE)

    def apply(self, path: str, raw: bytes) -> bytes:
        """The file with its addresses moved, everything else byte for byte; other files as they are."""
        if path in LINES_FILES:
            return _LINE_START.sub(self._replace, raw)
        if path in MIXED_FILES:
            return _MIXED.sub(self._replace, raw)
        return raw

    def _replace(self, match: re.Match[bytes]) -> bytes:
        return b"%016x" % self.address(int(match[0], 16))


def _listed(raw: bytes) -> tuple[list[int], list[int], int]:
    """High addresses outside and inside modules, and that of _stext (0 if it is not listed)."""
    image: list[int] = []
    modules: list[int] = []
    stext = 0
    for digits, rest in _LINE.findall(raw):
        address = int(digits, 16)
        if address < _HIGH:
            continue
        if rest.endswith(b"]"):
            modules.append(address)
        else:
            image.append(address)
            if rest.endswith(b" _stext"):
                stext = address
    return image, modules, stext


def _high(found: Iterable[bytes]) -> list[int]:
    return [address for digits in found if (address := int(digits, 16)) >= _HIGH]


def _zone(addresses: list[int], to: int) -> tuple[int, int, int]:
    first = _down(min(addresses), _PAGE)
    return first, max(addresses) + 1, to - first


def _down(address: int, step: int) -> int:
    return address - address % step


def _up(address: int, step: int) -> int:
    return -(-address // step) * step
