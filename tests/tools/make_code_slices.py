"""Write a snapshot's code/slices from the kernel's own image and modules.

    python tests/tools/make_code_slices.py --image vmlinuz --modules lib/modules/RELEASE --snapshot FOLDER -o OUT

Holds the first bytes of text symbols that ftrace does not list and whose first instruction decides: those
with a compiler's suffix (.cold, .part, .isra, .constprop) and those that begin with a five-byte jump.
Refuses an image that is not of the snapshot's kernel: functions with an ftrace record must have a call,
a no-op or ENDBR there.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from probe_scout.model import instruction as kinds
from probe_scout.scanners import code_slices, kallsyms, kernel_image, x86_code

SUFFIXES = (b".cold", b".part", b".isra", b".constprop")
WINDOW_BYTES = 16
TABLES = {  # symbols around each table, and the sizes its entries have had (struct sizes in BTF)
    "bug": ("__start___bug_table", "__stop___bug_table", (12, 16)),
    "jump_label": ("__start___jump_table", "__stop___jump_table", (16,)),
    "static_call": ("__start_static_call_sites", "__stop_static_call_sites", (8,)),
    "alternative": ("__alt_instructions", "__alt_instructions_end", (12, 13, 14)),
}
MODULE_TABLES = {  # entry sizes where an entry relocates more than one address of code
    "bug": ("__bug_table", 4),
    "jump_label": ("__jump_table", 16),
    "static_call": (".static_call_sites", 8),
    "alternative": (".altinstructions", 2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, required=True, help="vmlinuz or vmlinux of the snapshot's kernel")
    parser.add_argument("--modules", type=Path, help="folder with the kernel's .ko files, packed or not")
    parser.add_argument("--snapshot", type=Path, required=True, help="folder with proc/kallsyms and sys/kernel/tracing")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()

    raw = options.image.read_bytes()
    image = kernel_image.KernelImage(kernel_image.vmlinux_of(raw, str(options.image)), str(options.image))
    symbols = kallsyms.table((options.snapshot / "proc/kallsyms").read_bytes())
    sites, listed = read_ftrace(options.snapshot / "sys/kernel/tracing")
    print(f"{options.image.name}: {image.banner() or 'no banner'}\nbuild id {image.build_id or 'none'}")
    check_same_build(image, symbols, sites, listed)

    slices = list(vmlinux_slices(image, symbols, sites, listed))
    if options.modules:
        slices += module_slices(options.modules, symbols, sites, listed)
    options.output.write_bytes(code_slices.write_slices(slices))
    print(f"{len(slices)} slices, {options.output.stat().st_size} bytes")
    for word, amount in Counter(describe(one) for one in slices).most_common():
        print(f"{amount:7} {word}")


def read_ftrace(tracing: Path) -> tuple[list[int], set[tuple[bytes, bytes | None]]]:
    """(sorted site addresses, names with their module); no addresses where the kernel has no such file."""
    listed = set()
    for line in (tracing / "available_filter_functions").read_bytes().splitlines():
        name, _, module = line.partition(b" ")
        listed.add((name, module.strip(b"[]") or None))
    addresses = tracing / "available_filter_functions_addrs"
    if not addresses.exists():
        return [], listed
    return sorted(int(line.split()[0], 16) for line in addresses.read_bytes().splitlines()), listed


def check_same_build(
    image: kernel_image.KernelImage,
    symbols: kallsyms.SymbolTable,
    sites: list[int],
    listed: set[tuple[bytes, bytes | None]],
) -> None:
    """Ends the program if more than one in a thousand ftrace sites is no call, no-op or ENDBR in the image."""
    counts: Counter[str] = Counter()
    wanted = [at for at in sites if symbols.is_core_text(at)] or [
        symbols.addresses[rows[0]]
        for name, module in listed
        if module is None and len(rows := symbols.rows(name)) == 1 and symbols.is_core_text(symbols.addresses[rows[0]])
    ]
    for at in wanted:
        counts[x86_code.first_instruction(link_code(image, symbols, at, 8) or b"").kind] += 1
    good = counts[kinds.CALL] + counts[kinds.NOP5] + counts[kinds.ENDBR]
    print(f"ftrace sites in vmlinux: {len(wanted)}, in the image {dict(counts)}")
    if good * 1000 < len(wanted) * 999:
        sys.exit("the image is of another kernel than the snapshot")


def link_code(image: kernel_image.KernelImage, symbols: kallsyms.SymbolTable, address: int, size: int) -> bytes | None:
    return image.text_at(address - symbols.limits[b"_stext"] + image.link_base, size)


def read_tables(image: kernel_image.KernelImage, symbols: kallsyms.SymbolTable) -> dict[str, frozenset[int] | None]:
    """Runtime addresses of each table's sites; None where no entry size makes nearly all of them code.

    A few sites lie in .exit.text, which has no symbols around it.
    """
    shift = symbols.limits[b"_stext"] - image.link_base
    found: dict[str, frozenset[int] | None] = {}
    for word, (first, last, sizes) in TABLES.items():
        found[word] = None
        rows = [symbols.lookup(name.encode()) for name in (first, last)]
        if rows[0] is None or rows[1] is None:
            continue
        start, stop = (symbols.addresses[row] - shift for row in rows if row is not None)
        for size in sizes:
            if (stop - start) % size:
                continue
            at = [address + shift for address in image.sites(start, stop, size)]
            if at and sum(symbols.is_core_text(a) or symbols.is_init_text(a) for a in at) >= 0.99 * len(at):
                found[word] = frozenset(at)
                break
        print(f"{word}: " + ("no table" if found[word] is None else f"{len(found[word] or ())} sites"))
    return found


def wants(name: bytes, code: bytes, words: tuple[str, ...]) -> bool:
    """A suffix of the compiler, or a first instruction that is, or can be patched to, a five-byte no-op."""
    if name.startswith((b"__pfx_", b"__cfi_")):
        return False
    if any(suffix in name for suffix in SUFFIXES):
        return True
    kind = x86_code.entry_instruction(code).kind
    return kind == kinds.NOP5 or (kind == kinds.JUMP and bool({"alternative", "jump_label", "unread"} & set(words)))


def vmlinux_slices(
    image: kernel_image.KernelImage,
    symbols: kallsyms.SymbolTable,
    sites: list[int],
    listed: set[tuple[bytes, bytes | None]],
) -> Iterator[code_slices.Slice]:
    tables, known = read_tables(image, symbols), set(sites)
    stext = symbols.limits[b"_stext"]
    for name, address, module in zip(symbols.names, symbols.addresses, symbols.modules, strict=True):
        if module is not None or not symbols.is_core_text(address):
            continue
        if {address, address + 4} & known or (not known and (name, None) in listed):
            continue
        code = link_code(image, symbols, address, WINDOW_BYTES)
        probed = address + (4 if code and x86_code.first_instruction(code).kind == kinds.ENDBR else 0)
        words = tuple(word for word, at in tables.items() if at is not None and probed in at)
        words += () if all(at is not None for at in tables.values()) else (code_slices.UNREAD,)
        if code and wants(name, code, words):
            yield code_slices.Slice(None, name.decode(), address - stext, x86_code.shortest(code), words)


def module_slices(
    folder: Path, symbols: kallsyms.SymbolTable, sites: list[int], listed: set[tuple[bytes, bytes | None]]
) -> Iterator[code_slices.Slice]:
    """Slices of the modules that the snapshot had loaded."""
    loaded = {module for module in symbols.modules if module is not None}
    for path in sorted(folder.rglob("*.ko*")):
        module = path.name.split(".ko")[0].replace("-", "_")
        if module.encode() not in loaded:
            continue
        raw = kernel_image.unpack(path.read_bytes(), path.name)
        tables = {
            word: kernel_image.module_sites(raw, table, entry_bytes, path.name)
            for word, (table, entry_bytes) in MODULE_TABLES.items()
        }
        codes = kernel_image.module_code_table(raw, WINDOW_BYTES, path.name)
        for name, places in kernel_image.module_places(raw, path.name).items():
            if (name.encode(), module.encode()) in listed:
                continue
            for code, place in zip(codes[name], places, strict=True):
                probed = place[1] + (4 if x86_code.first_instruction(code).kind == kinds.ENDBR else 0)
                words = tuple(word for word, at in tables.items() if (place[0], probed) in at)
                if code and wants(name.encode(), code, words):
                    yield code_slices.Slice(module, name, place[1], x86_code.shortest(code), words)


def describe(one: code_slices.Slice) -> str:
    what = ".cold" if ".cold" in one.name else "suffix" if "." in one.name else "plain"
    where = "module" if one.module else "vmlinux"
    return f"{where} {what:6} {x86_code.entry_instruction(one.code).kind} {' '.join(one.sites)}"


if __name__ == "__main__":
    main()
