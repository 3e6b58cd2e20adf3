"""Trace events and raw tracepoints: which there are, by name."""

from __future__ import annotations

from ..errors import SourceError
from ..model import facts
from ..model.facts import Unread
from .lists import Lists
from .reading import TRACING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..sources.source import Source


class Events(Lists):
    """Events of tracefs, tracepoints of kallsyms and BTF."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._typed_points: set[str] | None = None
        self._typed_in_modules: set[str] | None = None  # looked at for names that vmlinux's BTF does not have
        self._event_names: dict[str, tuple[str, ...]] | None = None
        self._made_events: bytes | None = None
        self.listed_events: tuple[tuple[str, str], ...] | None = None  # kept for questions that come again
        self._partial: str | None = None
        self._is_cut = False

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
        typedef btf_trace_<name>, which the same macro makes, says yes, and no __traceiter_<name> says no. A tracepoint
        with an event of its name is registered by the event's header (include/trace/define_trace.h); one of the kernel
        proper without typedef and event is not registered (DECLARE_TRACE before bpf_probe.h had a form for it).
        """
        raw = self.kallsyms()
        if raw is None:
            return None
        head, plain = b"__bpf_trace_tp_map_", name.encode()
        if head not in self._named and self._known(raw) is None and b" " + head in raw:
            near = self._places_of(raw).lines_of(head + plain)
            if near is not None:
                return bool(near)
        shown = self.names_with(head)
        if shown:
            return plain in shown
        if self.typed_tracepoint(name):
            return True
        iterators = self.names_with(b"__traceiter_")
        if not iterators or plain in iterators:
            return self._raw_by_event(name, raw) if iterators else None
        return False

    def _raw_by_event(self, name: str, raw: bytes) -> bool | None:
        """Whether a tracepoint that has no typedef in the BTF that was read is registered, by its event."""
        groups = self.events_named(name)
        if groups is None:
            return None
        if any(one not in ("syscalls", "ftrace") and not self.is_dynamic_event(one, name) for one in groups):
            return True
        is_of_vmlinux = self.typed_tracepoint(name) is False and b" __traceiter_%s\n" % name.encode() in raw
        return False if is_of_vmlinux and not groups and not self.partial() else None

    def typed_tracepoint(self, name: str) -> bool | None:
        """BTF of vmlinux or of a module has btf_trace_<name>; None if BTF cannot be read."""
        base = self.btf()
        if base is None:
            return None
        title = f"btf_trace_{name}"
        if self._typed_points is None:
            self._typed_points = base.names_starting("btf_trace_")
        if title in self._typed_points:
            return True
        if self._typed_in_modules is None:
            self._typed_in_modules = set()
            for btf in map(self.btf, self.btf_modules()):
                self._typed_in_modules.update(btf.names_starting("btf_trace_") if btf is not None else ())
        return title in self._typed_in_modules

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

    def partial(self) -> str:
        """What shows that this snapshot holds a part of its kernel only; "" where nothing does.

        The word `partial` in its manifest, or a system call's event without its twin. Then a name
        that is not in it may be on the kernel.
        """
        if self._partial is None:
            self._partial = self.source.describe().partial
            if not self._partial and (cut := self._event_without_twin()):
                self._partial = f"{cut} has no twin"
        return self._partial

    def is_cut(self) -> bool:
        """The snapshot is a slice, for whatever names it was cut: what shows a later feature may be left out."""
        return bool(self.partial()) or self._is_cut

    def _event_without_twin(self) -> str:
        """An event which shows that a snapshot lacks others; "" where none does.

        Each system call with events has two, for its entry and its exit: include/linux/syscalls.h, SYSCALL_METADATA.
        """
        if self.source.describe().kind != "snapshot":
            return ""
        from ..formats.text import available_events

        raw = self.available_events()
        events = available_events.names_in(raw, "syscalls") if raw is not None else ()
        entered, left = (
            {name[len(head) :] for name in events if name.startswith(head)} for head in ("sys_enter_", "sys_exit_")
        )
        alone = [f"sys_enter_{call}" for call in entered - left] + [f"sys_exit_{call}" for call in left - entered]
        return f"syscalls:{min(alone)}" if alone else ""

    def partial_gap(self, fact: str) -> Unread | None:
        """What a partial snapshot does not tell; None for a whole one."""
        said = self.partial()
        why = f"this snapshot holds a part of its kernel ({said}): what is not in it may be on the kernel"
        return Unread(fact, "not_recorded", why, "ask a snapshot of the whole kernel") if said else None

    def take_as_whole(self) -> None:
        """Nothing that will be asked was left out of the snapshot: the caller knows for which names it was cut."""
        self._is_cut = self.is_cut()
        self._partial = ""
