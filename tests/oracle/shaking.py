"""Shake a recorded kernel: take or deny one source at a time, and hold every answer against the full one.

An answer may become unknown. The opposite is a fault, unless a rule says so for a reason that is true of the changed
tree: ALLOWED names these, each with its reason.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from probe_scout.errors import ProbeScoutError
from probe_scout.kernel.kernel import Kernel
from probe_scout.model.attach import for_kind
from probe_scout.model.target import FUNCTION, TRACEPOINT
from probe_scout.probes.attach import function_traits
from probe_scout.rules import judge
from tests.builders.tiny_kernel import Changed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probe_scout.sources.source import Source

SEED = 20261128
CONFIG = "boot/config"
# Kind of change and path (a prefix), then the rules that may make a no of it; an option may also take their no away.
ALLOWED: dict[tuple[str, str], frozenset[str]] = {
    # A module without BTF: its functions cannot be named, and the loader says so.
    ("missing", "sys/kernel/btf/"): frozenset(
        ("attach_target.not_in_btf", "attach_target_multi.not_in_btf", "typed_tracepoint.not_in_btf")
    ),
    # A kernel whose tracefs has no such folder has no such event.
    ("missing", "sys/kernel/tracing/events"): frozenset(("trace_event.no_event",)),
    # Slices lack the functions that would say otherwise, so the configuration alone tells how they were built.
    ("option", "CONFIG_BPF_JIT"): frozenset(("trampoline.no_jit",)),
    ("option", "CONFIG_BPF_EVENTS"): frozenset(("bpf_events.absent",)),
    ("option", "CONFIG_FPROBE"): frozenset(("kprobe_multi.no_fprobe",)),
}


class Change(NamedTuple):
    """`kind`: denied, missing or option; `what`: the path, or the option that is turned round."""

    kind: str
    what: str


class Fault(NamedTuple):
    """An answer that turned into its opposite."""

    change: Change
    target: str
    attach: str
    before: str
    after: str
    rules: tuple[str, ...]


class Options(Kernel):
    """A kernel that remembers which options its rules ask for."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.options: set[str] = set()

    def config(self, option: str) -> str | None:
        self.options.add(option)
        return super().config(option)


class Shaken:
    """One snapshot, a seeded sample of its names, and the full answers."""

    def __init__(self, source: Source, functions: int, events: int, name: str = "") -> None:
        self.name = name
        self.source = source
        listening = Changed(source)
        self.kernel = Options(listening)
        draw = random.Random(SEED)
        self.names = self._functions(draw, functions)
        self.events = self._events(draw, events)
        self.full = dict(self.answers(self.kernel))
        self.read = sorted({path for path in listening.asked if self._is_there(path)})
        self.options = sorted(self.kernel.options)

    def _functions(self, draw: random.Random, count: int) -> list[tuple[str, str | None]]:
        view = self.kernel.full()
        assert view is not None
        symbols = view.symbols
        core = [n.decode() for n, m in zip(symbols.names, symbols.modules, strict=True) if m is None]
        theirs = [(n.decode(), m.decode()) for n, m in zip(symbols.names, symbols.modules, strict=True) if m]
        chosen: list[tuple[str, str | None]] = [(name, None) for name in draw.sample(core, min(count, len(core)))]
        chosen += [(name, None) for name, _ in draw.sample(theirs, min(count // 4, len(theirs)))]
        return [*chosen, *draw.sample(theirs, min(count // 4, len(theirs)))]

    def _events(self, draw: random.Random, count: int) -> list[tuple[str, str]]:
        known = sorted(self.kernel.index_events())
        return draw.sample(known, min(count, len(known)))

    def _is_there(self, path: str) -> bool:
        try:
            self.source.read(path)
        except ProbeScoutError:
            return False
        return True

    def answers(self, k: Kernel) -> Iterator[tuple[tuple[str, str], judge.Outcome]]:
        """(target, attach type) to outcome."""
        k.full()
        for name, module in self.names:
            traits = function_traits.function_traits(k, name, module)
            for attach in for_kind(FUNCTION):
                yield (f"{module}:{name}" if module else name, attach), judge.judge(k, attach, traits)
        k.index_events()
        for category, name in self.events:
            traits_of = function_traits.event_traits(k, category, name)
            for attach in for_kind(TRACEPOINT):
                yield (f"{category}:{name}", attach), judge.judge(k, attach, traits_of)

    def changes(self) -> list[Change]:
        """Every file that an answer hangs on, denied and missing; every option, turned round."""
        files = [Change(kind, path) for path in self.read for kind in ("denied", "missing")]
        return files + [Change("option", option) for option in self.options]

    def changed(self, change: Change) -> Source:
        """The tree after one change."""
        if change.kind == "denied":
            return Changed(self.source, denied=(change.what,))
        if change.kind == "missing":
            return Changed(self.source, missing=(change.what,))
        raw = self.source.read(CONFIG)
        line = f"{change.what}=y\n".encode()
        off = f"# {change.what} is not set\n".encode()
        other = raw.replace(line, off) if line in raw else raw.replace(off, line) if off in raw else raw + line
        return Changed(self.source, replaced={CONFIG: other})

    def faults(self, change: Change) -> list[Fault]:
        """What one change turned into its opposite without a reason."""
        allowed = {
            rule
            for (kind, head), rules in ALLOWED.items()
            if kind == change.kind and change.what.startswith(head)
            for rule in rules
        }
        found = []
        for (target, attach), after in self.answers(Kernel(self.changed(change))):
            before = self.full[target, attach]
            if {before.answer, after.answer} != {"yes", "no"}:
                continue
            rules = tuple(rule.id for rule in (after if after.fired else before).fired)
            if not (rules[0] in allowed and (after.fired or change.kind == "option")):
                found.append(Fault(change, target, attach, before.answer, after.answer, rules))
        return found
