"""Gates and rules: one gate mirrors one kernel function, its rules stand in the kernel's order.

A rule is a pure function of `Traits` and the kernel's features with its errno, what it needs, and the
feature without which a kernel does not have the rule. Features are probed by kernel/features.py in symbols, BTF or the
configuration, never by the release number.
"""

from __future__ import annotations

from ..model.verdict import NO, UNKNOWN, YES
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol
else:
    Protocol = object


class KernelFeatures(Protocol):
    """The kernel as rules see it: feature(name) is True, False, or None where it is not known."""

    def feature(self, name: str) -> bool | None: ...


class Errno(NamedTuple):
    """A rule refuses with another errno than its own; None where the errno depends on what was not read."""

    name: str | None


class Judgement(NamedTuple):
    """What one gate says. `errno` is None for yes and unknown, and for a *no* whose errno depends on what was not read.

    `rule` is the id that decided, `says` its sentence; for unknown, what was not read.
    """

    answer: str
    errno: str | None
    rule: str
    says: str


ACCEPTED = Judgement(YES, None, "", "")
REGISTRY: dict[str, Rule] = {}


class Rule:
    """One reason for which a gate refuses.

    `fires` is true where it refuses. Rules of gates that `Gate.judge` walks may also say what was not read (a text),
    or refuse with another `Errno`.
    """

    __slots__ = (
        "_page",
        "decides",
        "errno",
        "feature",
        "fires",
        "gate",
        "id",
        "known",
        "needs",
        "types",
        "unless",
    )

    def __init__(
        self,
        gate: Gate,
        name: str,
        fires: Callable[[Any, Any], bool | str | Errno],
        errno: str,
        decides: str,
        needs: tuple[str, ...],
        feature: str,
        unless: str,
        known: str,
    ) -> None:
        self.gate, self.id, self.fires, self.errno = gate, f"{gate.name}.{name}", fires, errno
        self.decides, self.needs, self.feature, self.unless, self.known = decides, needs, feature, unless, known
        self.types: tuple[str, ...] = ()  # attach types whose path holds this rule: told by PATHS

        self._page = ""

    @property
    def page(self) -> str:
        """What `rules ID` shows: the docstring of the rule. Made when asked for, since a `check` shows few of them."""
        if not self._page:
            self._page = _dedent(self.fires.__doc__ or "")
        return self._page

    @property
    def says(self) -> str:
        """The rule's one sentence."""
        return self.page.partition("\n")[0]

    @property
    def source(self) -> str:
        """The kernel file that decides."""
        return self.gate.source


def _dedent(text: str) -> str:
    return "\n".join(line[4:] if line.startswith("    ") else line for line in text.strip().splitlines())


class Gate:
    """One kernel function that may refuse, with its rules in order.

    `known_by`: the feature without which these rules are not all that this kernel's architecture asks; what they do not
    refuse is unknown then.
    """

    __slots__ = ("entry", "known_by", "name", "rules", "source")

    def __init__(self, name: str, source: str, entry: str, known_by: str = "") -> None:
        self.name, self.source, self.entry, self.known_by = name, source, entry, known_by
        self.rules: list[Rule] = []

    def rule(
        self,
        name: str,
        *,
        errno: str,
        decides: str,
        needs: tuple[str, ...] = (),
        feature: str = "",
        unless: str = "",
        known: str = "every kernel covered",
        types: tuple[str, ...] = (),
    ) -> Callable[[Callable[[Any, Any], bool | str | Errno]], Rule]:
        """Register a rule behind the others of this gate.

        `needs` are facts; one that is unread keeps the rule from being asked. `feature` must be
        true for the rule to exist in this kernel, `unless` is a feature that must be false. `types` are attach types
        for a gate that stands in no path.
        """

        def register(fires: Callable[[Any, Any], bool | str | Errno]) -> Rule:
            rule = Rule(self, name, fires, errno, decides, needs, feature, unless, known)
            rule.types = types
            if rule.id in REGISTRY:
                raise ValueError(f"rule id {rule.id} is taken")
            REGISTRY[rule.id] = rule
            self.rules.append(rule)
            return rule

        return register

    def form(self, rule: Rule) -> Callable[[Callable[[Any, Any], bool | str | Errno]], Rule]:
        """Register another architecture's form of a rule: id, errno and page are those of `rule`."""

        def register(fires: Callable[[Any, Any], bool | str | Errno]) -> Rule:
            name = rule.id.partition(".")[2]
            form = Rule(self, name, fires, rule.errno, rule.decides, rule.needs, rule.feature, rule.unless, rule.known)
            form._page, form.types = rule.page, rule.types
            self.rules.append(form)
            return form

        return register

    def judge(self, traits: Any, features: Any, is_settled_by_any: bool = False) -> Judgement:
        """What this gate alone says: the first rule that refuses, or that could not be asked.

        `is_settled_by_any`: a rule that refuses behind one that could not be asked refuses all the same. Errno and id
        are then its own, so every rule of the gate must have one errno.
        """
        unread = ACCEPTED
        for rule in self.rules:
            said = rule.fires(traits, features)
            if isinstance(said, str):
                if unread is ACCEPTED:
                    unread = Judgement(UNKNOWN, None, rule.id, said)
                if not is_settled_by_any:
                    return unread
            elif said:
                return Judgement(NO, said.name if isinstance(said, Errno) else rule.errno, rule.id, rule.says)
        return unread

    def reordered(self, *first: Rule) -> Gate:
        """The same gate with some of its rules ahead of all others: for kernels that asked them earlier."""
        gate = Gate(self.name, self.source, self.entry, self.known_by)
        gate.rules = [*first, *(rule for rule in self.rules if rule not in first)]
        return gate

    def part(self, *names: str) -> Gate:
        """The same gate with some of its rules: for paths that enter the kernel function half-way."""
        gate = Gate(self.name, self.source, self.entry, self.known_by)
        wanted = {f"{self.name}.{name}" for name in names}
        gate.rules = [rule for rule in self.rules if rule.id in wanted]
        if len(gate.rules) != len(wanted):
            raise ValueError(f"{self.name} lacks one of {', '.join(names)}")
        return gate
