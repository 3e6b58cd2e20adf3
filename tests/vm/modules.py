"""Kernel modules of one fetched kernel, in the order in which insmod can load them.

Reads what depmod wrote: modules.dep, modules.softdep (pre: only), modules.alias (plain names only), modules.builtin.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .problems import program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .cache import Cached


class Index(NamedTuple):
    """Module name to file and hard dependencies; names to load before; names for other names; what is built in."""

    files: dict[str, str]
    needs: dict[str, tuple[str, ...]]
    before: dict[str, tuple[str, ...]]
    aliases: dict[str, tuple[str, ...]]
    builtin: frozenset[str]


class Order(NamedTuple):
    """Modules in loading order, and names that this kernel does not have."""

    modules: tuple[str, ...]
    missing: tuple[str, ...]


def module_name(path: str) -> str:
    """ "xfs" from "kernel/fs/xfs/xfs.ko.xz"; a dash in a file's name is an underscore in the module's."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def index(folder: Path) -> Index:
    """The index of lib/modules/RELEASE; empty where the packages brought no modules."""
    files: dict[str, str] = {}
    needs: dict[str, tuple[str, ...]] = {}
    for line in _lines(folder / "modules.dep"):
        path, _, rest = line.partition(":")
        files[module_name(path)] = path
        needs[module_name(path)] = tuple(module_name(word) for word in reversed(rest.split()))
    before: dict[str, tuple[str, ...]] = {}
    for line in _lines(folder / "modules.softdep"):
        _, name, *words = line.split()
        stop = words.index("post:") if "post:" in words else len(words)
        before[name.replace("-", "_")] = tuple(word for word in words[:stop] if word != "pre:")
    aliases: dict[str, tuple[str, ...]] = {}
    for line in _lines(folder / "modules.alias"):
        _, *pattern, name = line.split()  # arm64 has patterns with spaces
        alias = " ".join(pattern)
        aliases[alias.replace("-", "_")] = (*aliases.get(alias.replace("-", "_"), ()), name)
    builtin = frozenset(module_name(line) for line in _lines(folder / "modules.builtin"))
    return Index(files, needs, before, aliases, builtin)


def order(found: Index, wanted: Iterable[str]) -> Order:
    """Everything that the wanted modules need, each after what it needs.

    A soft dependency that is not there is no loss.
    """
    modules: dict[str, None] = {}
    missing: dict[str, None] = {}
    on_the_way: set[str] = set()

    def add(name: str, is_soft: bool) -> None:
        name = name.replace("-", "_")
        if name in modules or name in on_the_way or name in found.builtin:
            return
        if name not in found.files:
            others = found.aliases.get(name, ())
            for other in others:
                add(other, is_soft)
            if not others and not is_soft:
                missing[name] = None
            return
        on_the_way.add(name)
        for other in found.before.get(name, ()):
            add(other, True)
        for other in found.needs[name]:
            add(other, is_soft)
        on_the_way.discard(name)
        modules[name] = None

    for name in wanted:
        add(name, False)
    return Order(tuple(modules), tuple(missing))


def module_bytes(kernel: Cached, found: Index, name: str) -> bytes:
    """One module without its compression; kept in the cache."""
    kept = kernel.folder / "ko" / f"{name}.ko"
    if not kept.exists():
        raw = _unpacked(kernel.modules / found.files[name])
        kept.parent.mkdir(exist_ok=True)
        scratch = kept.with_suffix(f".{threading.get_native_id()}")
        scratch.write_bytes(raw)
        scratch.rename(kept)
    return kept.read_bytes()


def _unpacked(path: Path) -> bytes:
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        zstd = shutil.which("zstd") or program("zstd")
        return subprocess.run([zstd, "-dc", str(path)], check=True, capture_output=True).stdout
    return path.read_bytes()


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
