"""Modules that are taken to be loaded, as the files that a booted kernel would show of them.

Order is the kernel's: proc/modules, kallsyms and available_events begin with the module that was loaded last
(kernel/module/main.c, add_unformed_module; kernel/trace/trace_events.c, __register_event: lists grow at their heads);
ftrace's records and the blacklist are in the order of loading.
"""

from __future__ import annotations

from . import events as event_table
from . import modules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .facts import Facts


class Loaded:
    """Modules as if loaded in this order. `files`: path below the module folder, and the bytes, packed as they are."""

    def __init__(self, files: Iterable[tuple[str, bytes]], facts: Facts) -> None:
        """Reads every file once. Raises Malformed for one that is no module of x86-64 or arm64."""
        self.names: list[str] = []
        self.sites: list[bytes] = []
        self.closed: list[bytes] = []
        self.injected: list[bytes] = []
        self.events: list[list[event_table.Event]] = []
        self._symbols: list[bytes] = []
        self._files: dict[str, Callable[[], bytes]] = {}
        self._heads: list[tuple[str, int, int, tuple[str, ...]]] = []
        base, has_marker = 0, facts.has_marker()
        for path, raw in files:
            base = self._take(modules.Module(raw, path, base, facts.has_data_symbols()), facts, has_marker)

    def _take(self, module: modules.Module, facts: Facts, has_marker: bool) -> int:
        self.names.append(module.name)
        self._symbols.append(module.kallsyms())
        self.sites.append(module.filter_functions(has_marker, facts.pad_bytes()))
        self.closed.append(module.blacklist())
        if facts.has_data_symbols():  # else neither list can be told of the kernel itself (formats/image/tree.py)
            self.injected.append(module.error_injection(facts))
            self.events.append(module.events(facts))
        self._heads.append((module.name, module.base, module.end, module.depends))
        btf, note = module.btf(), module.build_id_note()
        if btf:
            self._files[f"sys/kernel/btf/{module.name}"] = lambda: btf
        if note:
            self._files[f"sys/module/{module.name}/notes/.note.gnu.build-id"] = lambda: note
        return module.end

    def files(self) -> dict[str, Callable[[], bytes]]:
        """Type information and build-ids, by their paths."""
        return self._files

    def symbols(self) -> bytes:
        """Lines of proc/kallsyms behind those of vmlinux."""
        return b"".join(reversed(self._symbols))

    def lines(self) -> bytes:
        """proc/modules."""
        users: dict[str, list[str]] = {}
        for name, _, _, needed in self._heads:
            for each in needed:
                users.setdefault(each, []).insert(0, name)
        return b"".join(
            modules.line(name, base, end, tuple(users.get(name, ()))) for name, base, end, _ in reversed(self._heads)
        )

    def listed_events(self) -> list[event_table.Event]:
        """Events in the order of available_events: those of the last module first, each module's from behind."""
        return [event for found in reversed(self.events) for event in reversed(found)]
