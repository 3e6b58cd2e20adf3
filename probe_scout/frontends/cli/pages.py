"""The rules as pages for readers: what `rules` lists and explains, and what completion offers."""

from __future__ import annotations

from ...model.page import RulePage


def rule_pages() -> list[RulePage]:
    """Every rule, gate by gate in the order of the attach types' paths; then those of loads and of instructions."""
    from ...rules import all_rules

    return [
        RulePage(
            id=rule.id,
            errno=rule.errno,
            says=rule.says,
            page=rule.page,
            gate=rule.gate.name,
            source=rule.source,
            decides=rule.decides,
            needs=tuple(rule.needs),
            witness=_seen_by(rule.feature, rule.unless),
            known=rule.known,
            types=rule.types,
        )
        for rule in all_rules()
    ]


def _seen_by(feature: str, unless: str) -> str:
    """What shows that a kernel has the rule, in words; "" for a rule that every kernel has."""
    from ...kernel import features

    present = f"there: {features.says(feature)}" if feature else ""
    absent = f"not there: {features.says(unless)}" if unless else ""
    return "; ".join(part for part in (present, absent) if part)


def finding_pages() -> list[RulePage]:
    """A page for each finding that is no rule, and for each check of `audit`."""
    return _own_pages() + _audit_pages() + _object_pages()


def _object_pages() -> list[RulePage]:
    from ...rules.object_findings import TABLE

    return [
        RulePage(
            id=name,
            errno="",
            says=text.partition(". ")[0].rstrip("."),
            page=text,
            gate=name.partition(".")[0],
            source=source,
            decides=decides,
            needs=(reads,),
            witness="",
            known="libbpf 1.8",
            types=(),
        )
        for name, text, decides, source, reads in TABLE
    ]


def _audit_pages() -> list[RulePage]:
    from ...commands.audit.checks import CHECKS

    return [
        RulePage(
            id=one.id,
            errno="",
            says=one.says.rstrip("."),
            page=one.page,
            gate="audit",
            source=one.source,
            decides=one.decides,
            needs=(one.reads,),
            witness="",
            known="",
            types=tuple(one.types.split()),
        )
        for one in CHECKS
    ]


def _own_pages() -> list[RulePage]:
    from ...commands import finding_pages, limit_pages, user_pages

    return [
        RulePage(
            id=name,
            errno="",
            says=text.partition("\n")[0].rstrip("."),
            page="\n".join(line.strip() for line in text.splitlines()),
            gate=name.partition(".")[0],
            source=source,
            decides=decides,
            needs=(reads,),
            witness="",
            known="",
            types=tuple(types.split()),
        )
        for name, text, decides, source, reads, types in finding_pages.TABLE + limit_pages.TABLE + user_pages.TABLE
    ]
