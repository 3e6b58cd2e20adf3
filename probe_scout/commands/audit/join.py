"""From what was read (sources/attached.py) to attachments: each of them once, with all the ways it was seen.

A perf event with a link is seen twice, by BPF_TASK_FD_QUERY and as a link; a program on a cgroup, an interface or a
network namespace is seen by a query and, where a link put it there, as a link. What is seen twice becomes one row.
"""

from __future__ import annotations

from ...model.audit import Attachment, LinkRef, Loaded, Owner, Place, ProgramRef
from ...named_tuple import NamedTuple
from .record import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from .record import Gaps, Inputs, Interface, Link, Map, PerfEvent, PlainEvent, Program
    from .resolve import Resolver

    _Event = TypeVar("_Event", "PerfEvent", "PlainEvent")

# Attach types of tracing links to the words of SEC().
_TRACING = {
    "trace_raw_tp": "tp_btf",
    "trace_fentry": "fentry",
    "trace_fexit": "fexit",
    "modify_return": "fmod_ret",
    "lsm_mac": "lsm",
    "trace_iter": "iter",
    "trace_fsession": "fsession",
    "trace_fentry_multi": "fentry.multi",
    "trace_fexit_multi": "fexit.multi",
    "trace_fsession_multi": "fsession.multi",
}
_FAMILIES = {1: "inet", 2: "ipv4", 3: "arp", 5: "netdev", 7: "bridge", 10: "ipv6"}  # include/uapi/linux/netfilter.h
_NETFILTER_HOOKS = ("prerouting", "input", "forward", "output", "postrouting")
_STRUCT_OPS = "bpf_struct_ops_"
_IN_USE = 1  # enum bpf_struct_ops_state
_PROBES = ("kprobe", "kretprobe", "uprobe", "uretprobe")
LINK, PERF, QUERY, NETLINK, MAP = "link", "perf", "query", "netlink", "map"


class Joined(NamedTuple):
    """The rows, and the programs that are in none of them."""

    attachments: list[Attachment]
    loaded: list[Loaded]


class Join:
    """One set of inputs. `rows` reads it; every record is used once.

    `counts_all_misses`: this kernel counts the misses of programs of every type.
    """

    def __init__(self, inputs: Inputs, resolver: Resolver, counts_all_misses: bool = False) -> None:
        self._in, self._resolver, self._counts_all_misses = inputs, resolver, counts_all_misses
        self._programs = {one.id: self._program(one, inputs.stats_enabled) for one in inputs.programs}
        self._types = {one.id: one.type for one in inputs.programs}
        self._raw_programs = {one.id: one for one in inputs.programs}
        self._maps = {one.id: one for one in inputs.maps}
        self._owners: dict[tuple[str, int], list[Owner]] = {}
        self._link_of: dict[tuple[int, int], int] = {}
        for pid, fd, kind, number in inputs.holders:
            self._owners.setdefault((kind, number), []).append(self._owner(pid, fd))
            if kind == "link":
                self._link_of[pid, fd] = number
        self._pins: dict[tuple[str, int], list[str]] = {}
        for pin in inputs.pins:
            self._pins.setdefault((pin.kind, pin.id), []).append(pin.path)
        self._events = _by_file(inputs.perf)
        self._plain_events = _by_file(inputs.events)
        self._seen_links: set[int] = set()  # by BPF_TASK_FD_QUERY through the link's own descriptor
        self._used: set[int] = set()
        self._names = {int(ino): path for ino, path in inputs.network_namespaces.items()}

    # ---------------------------------------------------------------- parts
    def _program(self, one: Program, stats: bool | None) -> ProgramRef:
        counts = one.run_count
        is_counted = stats or bool(counts)
        misses = one.recursion_misses
        if not misses and one.type not in ("tracing", "lsm") and not self._counts_all_misses:
            misses = None  # older kernels count them for trampolines alone
        return ProgramRef(
            one.id,
            one.type,
            one.name,
            one.tag,
            self._loaded_at(one),
            one.uid,
            one.maps,
            counts if is_counted else None,
            one.run_time_ns if is_counted else None,
            misses,
        )

    def _loaded_at(self, one: Program) -> str | None:
        seconds = self._in.loaded_s(one)
        if seconds is None:
            return None
        import time

        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(round(seconds)))

    def _owner(self, pid: int, fd: int) -> Owner:
        about = self._in.processes.get(str(pid)) or Process()
        process = about.pid if about.pid is not None else pid
        return Owner(
            process,
            about.comm,
            fd,
            about.cgroup,
            about.container,
            about.exe,
            about.exe_deleted,
            about.cmdline,
            about.uid,
            about.user,
            pid if process != pid else None,
        )

    def _ref(self, number: int | None) -> ProgramRef | None:
        if not number:
            return None
        self._used.add(number)
        return self._programs.get(number) or ProgramRef(number, None, None, None)

    def _owned(self, kind: str, number: int) -> tuple[Owner, ...]:
        return tuple(sorted(self._owners.get((kind, number), ()), key=lambda one: (one.pid, one.fd)))

    def _pinned(self, kind: str, number: int | None) -> tuple[str, ...]:
        return tuple(self._pins.get((kind, number), ())) if number else ()

    def _holders_of(self, group: Iterable[PerfEvent | PlainEvent]) -> tuple[Owner, ...]:
        return tuple(sorted((self._owner(one.pid, one.fd) for one in group), key=lambda one: (one.pid, one.fd)))

    # ---------------------------------------------------------------- the whole
    def rows(self) -> Joined:
        """Every attachment of a BPF program, and the programs that have none."""
        self._resolver.learn(self._addresses())
        self._resolver.learn_owners(self._functions(), self._traced_functions())
        self._mark_links_seen_by_query()
        found = [self._link(one) for one in self._in.links]
        found += self._other_events()
        found += self._on_cgroups()
        found += self._on_maps()
        found += self._on_namespaces()
        found += self._on_interfaces()
        found += self._without_link_struct_ops()
        loaded = [
            Loaded(one, self._owned("program", number), self._pinned("program", number))
            for number, one in self._programs.items()
            if number not in self._used
        ]
        return Joined(found, loaded)

    def _addresses(self) -> Iterator[int]:
        for one in self._in.links:
            yield from one.addresses or ()
            if not one.name and one.address:
                yield one.address
        for event in self._in.perf:
            if not event.name and event.address:
                yield event.address

    def _functions(self) -> Iterator[str]:
        """Functions that kprobes name without their module."""
        links = ((one.perf_type, one.name) for one in self._in.links)
        for kind, name in (*links, *((one.type, one.name) for one in self._in.perf)):
            if kind in ("kprobe", "kretprobe") and name and ":" not in name:
                yield name

    def _traced_functions(self) -> Iterator[str]:
        """Functions that trampolines are on."""
        for one in self._in.links:
            name = self._traced(one)[1] if one.type == "tracing" else None
            if name and not name.startswith("btf_trace_"):
                yield name

    def _mark_links_seen_by_query(self) -> None:
        """A raw tracepoint's link answers BPF_TASK_FD_QUERY itself."""
        for key, group in list(self._events.items()):
            links = {self._link_of.get((one.pid, one.fd)) for one in group} - {None}
            if links:
                self._seen_links.update(number for number in links if number is not None)
                del self._events[key]

    # ---------------------------------------------------------------- links
    def _link(self, one: Link) -> Attachment:
        make = _BY_LINK.get(one.type)
        row = Attachment(one.type, None) if make is None else make(self, one)
        if one.by_fdinfo:
            row = row._replace(seen_by=("fdinfo",))
        seen = row.seen_by or ((LINK, PERF) if one.id in self._seen_links else (LINK,))
        owners = {(owner.pid, owner.fd): owner for owner in (*row.owners, *self._owned("link", one.id))}
        return row._replace(
            prog=self._ref(one.prog_id),
            link=LinkRef(one.id, one.type),
            owners=tuple(owners[key] for key in sorted(owners)),
            pins=self._pinned("link", one.id),
            seen_by=seen,
        )

    def _type_of(self, one: Link) -> str | None:
        return self._types.get(one.prog_id or 0)

    def _raw_tracepoint(self, one: Link) -> Attachment:
        attach = "tp_btf" if self._type_of(one) == "tracing" else "raw_tp"
        return Attachment(attach, one.tp_name, cookie=one.cookie)

    def _tracing(self, one: Link) -> Attachment:
        attach = _TRACING.get(one.attach_type or "", "")
        if self._type_of(one) == "ext":
            target = self._programs.get(one.target_obj_id or 0)
            words = f"program {target.id} ({target.name})" if target else None
            return Attachment("freplace", words, cookie=one.cookie)
        if not attach:
            attach = {"lsm": "lsm", "ext": "freplace"}.get(self._type_of(one) or "", "tracing")
        module, name = self._traced(one)
        if attach == "tp_btf" and name is not None:
            return Attachment(attach, name.removeprefix("btf_trace_"), module, cookie=one.cookie)
        offset = 0 if name is not None else None
        return Attachment(attach, name, module, offset, cookie=one.cookie)

    def _traced(self, one: Link) -> tuple[str | None, str | None]:
        """(module, function) by the link, else by the program: some kernels tell only one of them."""
        module, name = self._resolver.btf_name(one.target_obj_id, one.target_btf_id)
        if name is None:
            about = self._raw_programs.get(one.prog_id or 0)
            if about is not None:
                module, name = self._resolver.btf_name(about.attach_btf_obj_id, about.attach_btf_id)
        return module, name

    def _tracing_multi(self, one: Link) -> Attachment:
        attach = _TRACING.get(one.attach_type or "", "tracing.multi")
        cookies = one.cookies or ()
        places = []
        for at, type_id in enumerate(one.btf_ids or ()):
            module, name = self._resolver.btf_name(one.btf_obj_id, type_id)
            places.append(Place(name, module, 0 if name else None, cookies[at] if at < len(cookies) else None))
        return self._several(attach, places)

    def _kprobe_multi(self, one: Link) -> Attachment:
        attach = "kretprobe.multi" if one.is_return else "kprobe.multi"
        cookies = one.cookies or ()
        places = []
        for name, module, cookie in one.functions or ():  # as bpftool prints them
            places.append(Place(name, module, 0 if name else None, cookie))
        for at, address in enumerate(one.addresses or ()):
            symbol = self._resolver.symbol(address)
            cookie = cookies[at] if at < len(cookies) else None
            places.append(Place(symbol.name, symbol.module, symbol.offset, cookie) if symbol else _nowhere(cookie))
        return self._several(attach, places)._replace(missed=one.missed)

    @staticmethod
    def _several(attach: str, places: list[Place]) -> Attachment:
        if not places:
            return Attachment(attach, None)
        first = places[0]
        return Attachment(attach, first.symbol, first.module, first.offset, cookie=first.cookie, places=tuple(places))

    def _uprobe_multi(self, one: Link) -> Attachment:
        attach = "uretprobe.multi" if one.is_return else "uprobe.multi"
        offsets, cookies = one.offsets or (), one.cookies or ()
        places = tuple(
            Place(None, None, offset, cookies[at] if at < len(cookies) else None) for at, offset in enumerate(offsets)
        )
        offset = offsets[0] if offsets else None
        return Attachment(attach, one.path, None, offset, cookie=_first(cookies), places=places)

    def _perf_link(self, one: Link) -> Attachment:
        """A perf event's link, and the event's own descriptors where somebody still has them."""
        kind = one.perf_type
        group = self._take_event(one)
        owners = self._holders_of(group)
        seen = (LINK, PERF) if group else (LINK,)
        if kind is None and group:
            row = self._probe(group[0].type, group[0].name, group[0].offset, group[0].address)
        elif kind == "event" or (kind is None and self._type_of(one) == "perf_event"):
            row = Attachment("perf_event", self._resolver.perf_event(one.event_type, one.config))
            owners = self._holders_of(self._take_plain_event(one))
        elif kind is not None:
            row = self._probe(kind, one.name or "", one.offset or 0, one.address)
        else:
            attach = {"tracepoint": "tp", "kprobe": "perf probe"}.get(self._type_of(one) or "", "perf_event")
            row = Attachment(attach, None)
        return row._replace(cookie=one.cookie, missed=one.missed, owners=owners, seen_by=seen)

    def _take_event(self, one: Link) -> list[PerfEvent]:
        """The open event of this link: the same program and place, best with a holder in common."""
        kind = one.perf_type
        holders = {owner.pid for owner in self._owned("link", one.id)}
        best: int | None = None
        for key, group in self._events.items():
            first = group[0]
            if first.prog_id != one.prog_id:
                continue
            if kind is not None and (first.type != kind or first.name != (one.name or "")):
                continue
            if kind in _PROBES and first.offset != one.offset:
                continue
            if any(record.pid in holders for record in group):
                best = key
                break
            best = key if best is None else best
        return self._events.pop(best) if best is not None else []

    def _take_plain_event(self, one: Link) -> list[PlainEvent]:
        holders = {owner.pid for owner in self._owned("link", one.id)}
        for key, group in self._plain_events.items():
            if any(record.pid in holders for record in group):
                return self._plain_events.pop(key)
        return []

    def _probe(self, kind: str, name: str, offset: int, address: int | None) -> Attachment:
        """A row from the words of BPF_TASK_FD_QUERY or of a perf link."""
        if kind == "tracepoint":
            category = self._resolver.category(name)
            return Attachment("tp", f"{category}:{name}" if category else name)
        if kind == "raw_tracepoint":
            return Attachment("raw_tp", name)
        if kind in ("uprobe", "uretprobe"):
            return Attachment(kind, name, None, offset)
        if not name:
            symbol = self._resolver.symbol(address) if address else None
            if symbol is None:
                return Attachment(kind, f"{address:#x}" if address and address > 1 << 32 else None)
            return Attachment(kind, symbol.name, symbol.module, symbol.offset)
        module, colon, function = name.rpartition(":")
        return Attachment(kind, function, module if colon else self._resolver.module_of(function), offset)

    def _iter(self, one: Link) -> Attachment:
        name = one.target_name
        return Attachment("iter", f"bpf_iter_{name}" if name else None)

    def _cgroup(self, one: Link) -> Attachment:
        number = one.cgroup_id
        path = self._in.cgroup_paths.get(str(number))
        shown = (path or "/") if path is not None else None
        hook = one.attach_type
        row = Attachment("cgroup", shown, hook=hook, cgroup=shown)
        if hook == "lsm_cgroup":
            module, name = self._traced(one)
            row = row._replace(symbol=name, module=module)
        for entry in self._in.cgroups:
            if entry.take(number, hook, one.prog_id):
                return row._replace(seen_by=(LINK, QUERY))
        return row

    def _netns(self, one: Link) -> Attachment:
        ino, hook = one.netns_ino, one.attach_type
        row = Attachment(hook or "netns", f"net:[{ino}]" if ino else None, netns=self._namespace(ino))
        for entry in self._in.netns:
            if entry.take(ino if entry.number is not None else None, hook, one.prog_id):
                return row._replace(seen_by=(LINK, QUERY))
        return row

    def _namespace(self, ino: int | None) -> str | None:
        if not ino:
            return None
        path = self._names.get(ino, "")
        return path.rpartition("/")[2] if path and not path.startswith("/proc/") else str(ino)

    def _xdp(self, one: Link) -> Attachment:
        def take(interface: Interface) -> str | None:
            entry = next((entry for entry in interface.xdp if entry.prog_id == one.prog_id), None)
            if entry is None:
                return None
            interface.xdp.remove(entry)
            return entry.mode or ""

        return self._on_link_interface(one, "xdp", take, NETLINK)

    def _tcx(self, one: Link) -> Attachment:
        return self._on_mprog_hook(one, "tcx")

    def _netkit(self, one: Link) -> Attachment:
        return self._on_mprog_hook(one, "netkit")

    def _on_mprog_hook(self, one: Link, attach: str) -> Attachment:
        hook = one.attach_type

        def take(interface: Interface) -> str | None:
            taken = any(entry.take(None, hook or entry.attach_type, one.prog_id) for entry in interface.hooks)
            return _hook(hook) or "" if taken else None

        return self._on_link_interface(one, attach, take, QUERY)

    def _on_link_interface(
        self, one: Link, attach: str, take: Callable[[Interface], str | None], by: str
    ) -> Attachment:
        """The link tells a number that counts within a namespace it does not tell: the netlink scan confirms it.

        `take`: the hook if the interface has the link's program, whose entry is then used; None if it has not.
        """
        number = one.ifindex
        row = Attachment(
            attach, f"ifindex {number}" if number else None, hook=_hook(one.attach_type), ifindex=number or None
        )
        for namespace in self._in.net or ():
            for interface in namespace.interfaces:
                hook = take(interface) if interface.ifindex == number else None
                if hook is not None:
                    netns = self._namespace(namespace.ino)
                    return row._replace(hook=hook or None, target=interface.name, netns=netns, seen_by=(LINK, by))
        return row

    def _netfilter(self, one: Link) -> Attachment:
        if one.pf is None or one.hook is None:
            return Attachment("netfilter", None)
        family = _FAMILIES.get(one.pf, f"family {one.pf}")
        hook = _NETFILTER_HOOKS[one.hook] if 0 <= one.hook < len(_NETFILTER_HOOKS) else f"hook {one.hook}"
        return Attachment("netfilter", f"{family}:{hook} priority {one.priority}", hook=hook)

    def _struct_ops_link(self, one: Link) -> Attachment:
        return self._struct_ops(self._maps.get(one.map_id or 0))

    def _struct_ops(self, about: Map | None) -> Attachment:
        if about is None:
            return Attachment("struct_ops", None)
        name = self._resolver.type_name(None, about.value_type_id) if about.value_type_id else None
        programs = [n for n in about.words or () if self._types.get(n) == "struct_ops"]
        refs = tuple(ref for ref in map(self._ref, programs) if ref is not None)
        return Attachment("struct_ops", name.removeprefix(_STRUCT_OPS) if name else None, programs=refs)

    def _sockmap(self, one: Link) -> Attachment:
        about = self._maps.get(one.map_id or 0)
        hook = one.attach_type
        row = Attachment("sockmap", about.name if about else None, hook=hook)
        for entry in self._in.sockmaps:
            if entry.take(one.map_id, hook, one.prog_id):
                return row._replace(seen_by=(LINK, QUERY))
        return row

    # ---------------------------------------------------------------- without a link
    def _alone(self, row: Attachment, number: int, seen: str) -> Attachment:
        return row._replace(prog=self._ref(number), pins=self._pinned("program", number), seen_by=(seen,))

    def _other_events(self) -> Iterator[Attachment]:
        """Programs that an ioctl put on a perf event."""
        for group in self._events.values():
            first = group[0]
            row = self._probe(first.type, first.name, first.offset, first.address)
            if row.attach == "raw_tp" and self._types.get(first.prog_id) == "tracing":
                row = row._replace(attach="tp_btf")
            row = row._replace(owners=self._holders_of(group))
            yield self._alone(row, first.prog_id, PERF)
        linked = {one.prog_id for one in self._in.links}
        candidates = [n for n, kind in self._types.items() if kind == "perf_event" and n not in linked]
        for plain in self._plain_events.values():
            row = Attachment("perf_event", None, owners=self._holders_of(plain), seen_by=(PERF,))
            yield self._alone(row, candidates[0], PERF) if len(candidates) == 1 else row
        if len(candidates) > 1 and len(self._plain_events) >= len(candidates):
            self._used.update(candidates)  # which of them is where is not told

    def _on_cgroups(self) -> Iterator[Attachment]:
        for entry in self._in.cgroups:
            path = entry.path or "/"
            for number in entry.prog_ids:
                yield self._alone(Attachment("cgroup", path, hook=entry.attach_type, cgroup=path), number, QUERY)

    def _on_maps(self) -> Iterator[Attachment]:
        for entry in self._in.sockmaps:
            about = self._maps.get(entry.number or 0)
            row = Attachment("sockmap", about.name if about else None, hook=entry.attach_type)
            for number in entry.prog_ids:
                yield self._alone(row, number, QUERY)

    def _on_namespaces(self) -> Iterator[Attachment]:
        for entry in self._in.netns:
            for number in entry.prog_ids:
                target = f"net:[{entry.number}]" if entry.number else None
                row = Attachment(entry.attach_type, target, netns=self._namespace(entry.number))
                yield self._alone(row, number, QUERY)

    def _on_interfaces(self) -> Iterator[Attachment]:
        for namespace in self._in.net or ():
            netns = self._namespace(namespace.ino)
            for interface in namespace.interfaces:
                place = Attachment("", interface.name, netns=netns, ifindex=interface.ifindex)
                for entry in interface.xdp:
                    if entry.prog_id:
                        yield self._alone(place._replace(attach="xdp", hook=entry.mode), entry.prog_id, NETLINK)
                for one in interface.tc:
                    row = place._replace(attach="tc" if one.kind == "filter" else "tc.action", hook=one.hook)
                    yield self._alone(row, one.prog_id, NETLINK)
                for on in interface.hooks:
                    attach, hook = on.attach_type.split("_", 1)
                    for number in on.prog_ids:
                        yield self._alone(place._replace(attach=attach, hook=hook), number, QUERY)

    def _without_link_struct_ops(self) -> Iterator[Attachment]:
        linked = {one.map_id for one in self._in.links if one.type == "struct_ops"}
        for number, about in self._maps.items():
            if about.state == _IN_USE and number not in linked:
                row = self._struct_ops(about)
                yield row._replace(pins=self._pinned("map", number), owners=self._owned("map", number), seen_by=(MAP,))


def _by_file(events: tuple[_Event, ...]) -> dict[int, list[_Event]]:
    """Descriptors by the open file behind them."""
    found: dict[int, list[_Event]] = {}
    for place, one in enumerate(events):
        found.setdefault(-place - 1 if one.file is None else one.file, []).append(one)
    return found


def _nowhere(cookie: int | None) -> Place:
    return Place(None, None, None, cookie)


def _first(values: Gaps) -> int | None:
    return values[0] if values else None


def _hook(attach_type: str | None) -> str | None:
    return attach_type.split("_", 1)[-1] if attach_type else None


_BY_LINK = {
    "raw_tracepoint": Join._raw_tracepoint,
    "tracing": Join._tracing,
    "cgroup": Join._cgroup,
    "iter": Join._iter,
    "netns": Join._netns,
    "xdp": Join._xdp,
    "perf_event": Join._perf_link,
    "kprobe_multi": Join._kprobe_multi,
    "struct_ops": Join._struct_ops_link,
    "netfilter": Join._netfilter,
    "tcx": Join._tcx,
    "uprobe_multi": Join._uprobe_multi,
    "netkit": Join._netkit,
    "sockmap": Join._sockmap,
    "tracing_multi": Join._tracing_multi,
}
