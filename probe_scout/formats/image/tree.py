"""A kernel image as the tree of files that the tool reads of a booted kernel.

What boot decides is either assumed, and named, or not there: see `ASSUMED` and `not_known`.
"""

from __future__ import annotations

import re

from ...errors import NotThere
from . import containers
from . import events as event_table
from .facts import of_image
from .loaded import Loaded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...errors import SourceError
    from .facts import Image

TRACING = "sys/kernel/tracing"
_IKCONFIG = b"IKCFG_ST", b"IKCFG_ED"
_NO_MODULES = "no modules are loaded"
ASSUMED = (
    "lockdown is off, as without secure boot",
    "ftrace and kprobes are switched on, as by default",
    "code that boot patches (alternatives, jump labels) is as in the image",
)
# With modules: where each lies is the boot's (rules/kprobe_register.py, stale_bug). Measured on three booted kernels.
_NO_STALE_BUG = "no function of a module lies where another's freed init text had a BUG or WARN (seen at 2 of 33,790)"
_NAMES_TOLD = 8
_EL1 = "the kernel runs at EL1, without the virtualization host extensions"
# What is assumed of files that a symbol shows the kernel to have: path to symbol and content.
_DEFAULTS = {
    "proc/sys/kernel/ftrace_enabled": ("ftrace_enabled", b"1\n"),
    "proc/sys/debug/kprobes-optimization": ("proc_kprobes_optimization_handler", b"1\n"),
    "proc/sys/kernel/kptr_restrict": ("", b"0\n"),
    "sys/kernel/debug/kprobes/enabled": ("kprobes_all_disarmed", b"1\n"),
    "sys/kernel/tracing/kprobe_events": ("kprobe_events_ops", b""),
    "sys/kernel/tracing/uprobe_events": ("uprobe_events_ops", b""),
    "sys/kernel/tracing/dynamic_events": ("dynamic_events_ops", b""),
}
_EVENTS = "__start_ftrace_events"
_SITES = f"{TRACING}/available_filter_functions"
_BLACKLIST = "sys/kernel/debug/kprobes/blacklist"
_INJECTION = "sys/kernel/debug/error_injection/list"
_CONFIGS = ("boot/config", "proc/config.gz")
# Below these the image tells everything that there is.
_WHOLE = ("sys/kernel/tracing/events/", "sys/kernel/btf/", "sys/module/", _SITES, _BLACKLIST, _INJECTION)
_DATA_CURE = "its symbols have no data (built without CONFIG_KALLSYMS_ALL), so its tables cannot be found"


class Tree:
    """The files of an image: path to what computes its bytes. `elf` is the uncompressed image, for its code."""

    def __init__(self, raw: bytes, path: str, config: bytes | None = None) -> None:
        """Raises Malformed where it is no kernel image, or one whose symbols cannot be found."""
        self.path = path
        self.elf, self.image = containers.open_kernel(raw, path)
        self.facts = of_image(self.image)
        self._config = config if config is not None else _ikconfig(self.image)
        self._events: list[event_table.Event] | None = None
        self.loaded: Loaded | None = None

    def load(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Take modules to be loaded, in this order: path below the module folder, and bytes. Raises Malformed."""
        self.loaded = Loaded(files, self.facts)

    def assumed(self) -> tuple[str, ...]:
        """What was taken to be so of what boot decides."""
        names = self.loaded.names if self.loaded is not None else []
        rest = (*ASSUMED, _EL1) if self.facts.is_arm64() else ASSUMED
        if not names:
            return (_NO_MODULES, *rest)
        told = ", ".join(names[:_NAMES_TOLD])
        more = f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
        return (
            f"{'this module is' if len(names) == 1 else 'these modules are'} loaded: {told}{more}",
            *rest,
            _NO_STALE_BUG,
        )

    def release(self) -> str:
        """The release, from the image's banner; "" where there is none."""
        words = self.image.banner().split()
        return words[2] if len(words) > 2 else ""

    def files(self) -> dict[str, Callable[[], bytes]]:
        """Every file, by its path; those that are cheap are ready, the others are computed when they are read."""
        facts, loaded = self.facts, self.loaded
        banner = self.image.banner()
        found: dict[str, Callable[[], bytes]] = {
            "proc/kallsyms": lambda: facts.table.text() + (loaded.symbols() if loaded else b""),
            "proc/modules": lambda: loaded.lines() if loaded else b"",
            "proc/version": lambda: banner.encode() + b"\n",
            "proc/sys/kernel/osrelease": lambda: self.release().encode() + b"\n",
            "sys/kernel/notes": facts.notes,
        }
        for table, (path, of_kernel, of_modules) in {
            "__start_mcount_loc": (_SITES, facts.filter_functions, loaded.sites if loaded else ()),
            _EVENTS: (f"{TRACING}/available_events", self._available, ()),
            "__start_kprobe_blacklist": (_BLACKLIST, facts.blacklist, loaded.closed if loaded else ()),
            "__start_error_injection_whitelist": (
                *(_INJECTION, facts.error_injection),
                loaded.injected if loaded else (),
            ),
        }.items():
            if facts.address(table) is not None and (table != _EVENTS or event_table.all_told(facts)):
                found[path] = lambda first=of_kernel, rest=of_modules: b"".join((first(), *rest))  # type: ignore[misc]
        if facts.address("__start_BTF") is not None:
            found["sys/kernel/btf/vmlinux"] = lambda: facts.btf() or b""
        if self._config is not None:
            config = self._config
            found[f"boot/config-{self.release()}"] = lambda: config
        if any(facts.address(name) is not None for name in ("lock_kernel_down", "lockdown_is_locked_down")):
            found["sys/kernel/security/lockdown"] = lambda: b"[none] integrity confidentiality\n"
        for path, (symbol, text) in _DEFAULTS.items():
            if not symbol or facts.address(symbol) is not None:
                found[path] = lambda text=text: text  # type: ignore[misc]
        found |= loaded.files() if loaded else {}
        events = [*self._read_events(), *(event for each in (loaded.events if loaded else ()) for event in each)]
        common = event_table.common_fields(facts) if events else ()
        for event in events:
            folder = f"{TRACING}/events/{event.system}/{event.name}"
            if event.fields is not None:
                found[f"{folder}/format"] = lambda event=event: event_table.format_text(event, common or ()).encode()  # type: ignore[misc]
            if event.id and event.has_id:
                found[f"{folder}/id"] = lambda event=event: b"%d\n" % event.id  # type: ignore[misc]
        return found

    def _read_events(self) -> list[event_table.Event]:
        if self._events is None:
            self._events = list(event_table.read(self.facts)) if self.facts.address("__start_BTF") is not None else []
        return self._events

    def _available(self) -> bytes:
        events = [*(self.loaded.listed_events() if self.loaded else ()), *self._read_events()]
        return "".join(f"{e.system}:{e.name}\n" for e in events if e.is_listed).encode()


def not_known(path: str, has_data: bool = True) -> SourceError:
    """Why a path is not in a tree: the kernel would not have it, or boot decides what it holds."""
    if path.startswith(_WHOLE) and not path.endswith("/format") and has_data:
        return NotThere(path, "not in this kernel image")
    why = "decided when the kernel boots, and this kernel was not booted"
    if path.startswith(_CONFIGS) or path.endswith("/config"):
        why = "neither the package nor the image holds the configuration"
    elif path.startswith(_WHOLE) and not has_data:
        why = _DATA_CURE
    elif "lib/modules/" in path:
        why = "not read out of the package"
    found = NotThere(path, why)
    found.kind = "not_recorded"
    return found


def _ikconfig(image: Image) -> bytes | None:
    """The configuration inside the image (CONFIG_IKCONFIG), packed as in proc/config.gz; None where there is none."""
    match = re.search(re.escape(_IKCONFIG[0]) + rb"(\x1f\x8b.*?)" + re.escape(_IKCONFIG[1]), image.raw, re.S)
    return match[1] if match else None
