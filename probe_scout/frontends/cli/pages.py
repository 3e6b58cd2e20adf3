"""The rules as pages for readers: what `rules` lists and explains, and what completion offers."""

from __future__ import annotations

from ..render.explain import RulePage


def rule_pages() -> list[RulePage]:
    """Every rule, gate by gate in the order of the attach types' paths; then those of a record's fields."""
    from ...rules import PATHS, all_rules

    types: dict[str, dict[str, None]] = {}
    for attach, path in PATHS.items():
        for gate in path:
            for rule in gate.rules:
                types.setdefault(rule.id, {})[attach] = None
    pages = [
        RulePage(
            id=rule.id,
            errno=rule.errno,
            says=rule.says,
            page=rule.page,
            gate=rule.gate.name,
            source=rule.source,
            decides=rule.decides,
            needs=tuple(rule.needs),
            witness=_witness(rule.witness, rule.unless),
            known=rule.known,
            types=tuple(types.get(rule.id, ())),
        )
        for rule in all_rules()
    ]
    return pages + _field_pages()


def _field_pages() -> list[RulePage]:
    from ...rules.tracepoint_access import RULES

    return [
        RulePage(
            id=rule.id,
            errno=rule.errno or "",
            says=rule.says,
            page=rule.says + ".",
            gate="tracepoint_access",
            source="",
            decides=rule.decides,
            needs=("events",),
            witness="",
            known="every kernel covered",
            types=("tp",),
        )
        for rule in RULES
    ]


def _witness(witness: str, unless: str) -> str:
    """What shows that a kernel has the rule, in words; "" for a rule that every kernel has."""
    from ...kernel import features as witnesses

    present = f"there: {witnesses.says(witness)}" if witness else ""
    absent = f"not there: {witnesses.says(unless)}" if unless else ""
    return "; ".join(part for part in (present, absent) if part)
