"""Trace events and raw tracepoints: which there are, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SourceError
from ..model import facts
from .lists import Lists
from .reading import TRACING

if TYPE_CHECKING:
    from ..sources.source import Source


class Events(Lists):
    """Events of tracefs, tracepoints of kallsyms and BTF."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._typed_points: set[str] | None = None
        self._typed_in_modules: set[str] = set()
        self._event_names: dict[str, tuple[str, ...]] | None = None
        self._made_events: bytes | None = None

    def available_events(self) -> bytes | None:
        """The bytes of available_events; None marks EVENTS as unread."""
        found = self._try(facts.EVENTS, (f"{TRACING}/available_events",))
        return found[1] if found else None

    def events_named(self, name: str) -> tuple[str, ...] | None:
        """Categories that have an event of this name. None if the list cannot be read.

        The category ftrace is not in available_events; its folder is looked at.
        """
        from ..formats.text import available_events

        raw = self.available_events()
        if raw is None:
            return None
        found = (
            available_events.find_by_name(raw, name) if self._event_names is None else self._event_names.get(name, ())
        )
        if not found:
            try:
                self.read(f"{TRACING}/events/ftrace/{name}/format")
                return ("ftrace",)
            except (SourceError, ValueError):
                pass
        return found

    def index_events(self) -> tuple[tuple[str, str], ...]:
        """Every (category, name) of available_events, () if unread; from then on `events_named` looks names up."""
        from ..formats.text import available_events

        raw = self.available_events()
        found = available_events.table(raw) if raw is not None else ()
        if raw is not None and self._event_names is None:
            self._event_names = {}
            for category, name in found:
                self._event_names[name] = (*self._event_names.get(name, ()), category)
        return found

    def raw_tracepoint(self, name: str) -> bool | None:
        """A raw tracepoint of this name is registered for BPF; None if it cannot be told.

        Seen as __bpf_trace_tp_map_<name> (include/trace/bpf_probe.h) where kallsyms shows data symbols; else a
        typedef btf_trace_<name>, which the same macro makes, says yes, and no __traceiter_<name> says no.
        """
        raw = self.kallsyms()
        if raw is None:
            return None
        head, plain = b"__bpf_trace_tp_map_", name.encode()
        if head not in self._named and b" " + head in raw:
            near = self._places_of(raw).lines_of(head + plain)
            if near is not None:
                return bool(near)
        shown = self.names_with(head)
        if shown:
            return plain in shown
        if self.typed_tracepoint(name):
            return True
        iterators = self.names_with(b"__traceiter_")
        return None if not iterators or name.encode() in iterators else False

    def typed_tracepoint(self, name: str) -> bool | None:
        """BTF of vmlinux or of a module has btf_trace_<name>; None if BTF cannot be read."""
        base = self.btf()
        if base is None:
            return None
        if self._typed_points is None:
            self._typed_points = base.names_starting("btf_trace_")
            for btf in map(self.btf, self.btf_modules()):
                self._typed_in_modules.update(btf.names_starting("btf_trace_") if btf is not None else ())
        title = f"btf_trace_{name}"
        return title in self._typed_points or title in self._typed_in_modules

    def typed_in_module(self, name: str) -> bool:
        """btf_trace_<name> is in a module's BTF and not in vmlinux's."""
        typed = self.typed_tracepoint(name)
        return bool(typed) and f"btf_trace_{name}" not in (self._typed_points or ())

    def is_dynamic_event(self, category: str, name: str) -> bool:
        """The event was made by kprobe_events, uprobe_events or dynamic_events."""
        if self._made_events is None:
            found = []
            for path in ("dynamic_events", "kprobe_events", "uprobe_events"):
                try:
                    found.append(self.read(f"{TRACING}/{path}"))
                except SourceError:
                    continue
            self._made_events = b"\n".join(found)
        return bool(self._made_events) and f":{category}/{name} ".encode() in self._made_events
