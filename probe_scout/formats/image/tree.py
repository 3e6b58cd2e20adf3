"""A kernel image as the tree of files that the tool reads of a booted kernel.

What boot decides is either assumed, and named, or not there: see `ASSUMED` and `not_known`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import NotThere
from ..elf import kernel_image
from . import events as event_table
from .facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...errors import SourceError
    from ..elf.kernel_image import KernelImage

TRACING = "sys/kernel/tracing"
_IKCONFIG = b"IKCFG_ST", b"IKCFG_ED"
ASSUMED = (
    "no modules are loaded",
    "lockdown is off, as without secure boot",
    "ftrace and kprobes are switched on, as by default",
    "code that boot patches (alternatives, jump labels) is as in the image",
)
_DEFAULTS = {
    "proc/modules": b"",
    "proc/sys/kernel/ftrace_enabled": b"1\n",
    "proc/sys/debug/kprobes-optimization": b"1\n",
    "proc/sys/kernel/kptr_restrict": b"0\n",
    "sys/kernel/debug/kprobes/enabled": b"1\n",
    "sys/kernel/tracing/kprobe_events": b"",
    "sys/kernel/tracing/uprobe_events": b"",
    "sys/kernel/tracing/dynamic_events": b"",
}
# Below these the image tells everything that there is.
_CONFIGS = ("boot/config", "proc/config.gz")
_WHOLE = ("sys/kernel/tracing/events/", "sys/kernel/btf/", "sys/module/")


class Tree:
    """The files of an image: path to what computes its bytes. `elf` is the uncompressed image, for its code."""

    def __init__(self, raw: bytes, path: str, config: bytes | None = None) -> None:
        """Raises Malformed where it is no kernel image, or one whose symbols cannot be found."""
        self.path = path
        self.elf = kernel_image.vmlinux_of(raw, path)
        self.image: KernelImage = kernel_image.KernelImage(self.elf, path)
        self.facts = Facts(self.image)
        self._config = config if config is not None else _ikconfig(self.image)
        self._events: list[event_table.Event] | None = None

    def release(self) -> str:
        """The release, from the image's banner; "" where there is none."""
        words = self.image.banner().split()
        return words[2] if len(words) > 2 else ""

    def files(self) -> dict[str, Callable[[], bytes]]:
        """Every file, by its path; those that are cheap are ready, the others are computed when they are read."""
        facts = self.facts
        banner = self.image.banner()
        found: dict[str, Callable[[], bytes]] = {
            "proc/kallsyms": facts.table.text,
            f"{TRACING}/available_filter_functions": facts.filter_functions,
            f"{TRACING}/available_events": self._available,
            "sys/kernel/debug/kprobes/blacklist": facts.blacklist,
            "proc/version": lambda: banner.encode() + b"\n",
            "proc/sys/kernel/osrelease": lambda: self.release().encode() + b"\n",
            "sys/kernel/notes": self.image.notes,
        }
        if facts.address("__start_BTF") is not None:
            found["sys/kernel/btf/vmlinux"] = lambda: facts.btf() or b""
        if self._config is not None:
            config = self._config
            found[f"boot/config-{self.release()}"] = lambda: config
        if any(facts.address(name) is not None for name in ("lock_kernel_down", "lockdown_is_locked_down")):
            found["sys/kernel/security/lockdown"] = lambda: b"[none] integrity confidentiality\n"
        for path, text in _DEFAULTS.items():
            found[path] = lambda text=text: text  # type: ignore[misc]
        events = self._read_events()
        common = event_table.common_fields(facts) if events else ()
        for event in events:
            folder = f"{TRACING}/events/{event.system}/{event.name}"
            if event.fields is not None:
                found[f"{folder}/format"] = lambda event=event: event_table.format_text(event, common or ()).encode()  # type: ignore[misc]
            found[f"{folder}/id"] = lambda event=event: b"%d\n" % event.id  # type: ignore[misc]
        return found

    def _read_events(self) -> list[event_table.Event]:
        if self._events is None:
            self._events = list(event_table.read(self.facts)) if self.facts.address("__start_BTF") is not None else []
        return self._events

    def _available(self) -> bytes:
        return "".join(f"{e.system}:{e.name}\n" for e in self._read_events() if e.is_listed).encode()


def not_known(path: str) -> SourceError:
    """Why a path is not in a tree: the kernel would not have it, or boot decides what it holds."""
    if path.startswith(_WHOLE) and not path.endswith("/format"):
        return NotThere(path, "not in this kernel image")
    why = "decided when the kernel boots, and this one was not booted"
    if path.startswith(_CONFIGS) or path.endswith("/config"):
        why = "neither the package nor the image holds the configuration"
    elif "lib/modules/" in path:
        why = "not read out of the package"
    found = NotThere(path, why)
    found.kind = "not_recorded"
    return found


def _ikconfig(image: KernelImage) -> bytes | None:
    """The configuration inside the image (CONFIG_IKCONFIG), packed as in proc/config.gz; None where there is none."""
    match = re.search(re.escape(_IKCONFIG[0]) + rb"(\x1f\x8b.*?)" + re.escape(_IKCONFIG[1]), image.raw, re.S)
    return match[1] if match else None
