"""What is compared between two audits, and in which order it is told."""

from __future__ import annotations

import json

import pytest

from probe_scout.commands.audit import allow, changes
from probe_scout.frontends.render import json as json_of
from probe_scout.model.audit import Attachment, Loaded, ProgramRef
from probe_scout.model.audit_diff import ProgramState

from .conftest import inputs


@pytest.fixture
def report(audited):
    empty = audited(inputs())

    def make(*attachments, loaded=(), boot="b1"):
        return empty._replace(attachments=attachments, loaded=loaded, boot=boot)

    return make


def on(target, module=None, number=1, kind="tracing", programs=(), **more):
    return Attachment("fentry", target, module, 0, ProgramRef(number, kind, "p", "aa"), programs=programs, **more)


def told(before, after):
    return [(one.change, one.target, one.module) for one in changes.between(before, after).changes]


def test_changes_are_in_the_order_of_their_places(report):
    """What has no module comes first; what did not change is passed over."""
    after = report(on("z"), on("same"), on("a", "Abc"), on("a"), on("c"))
    assert told(report(on("same"), on("b")), after) == [
        ("appeared", "a", None),
        ("appeared", "a", "Abc"),
        ("gone", "b", None),
        ("appeared", "c", None),
        ("appeared", "z", None),
    ]


def test_a_program_of_another_type_at_the_same_place_is_no_other_place(report):
    """Loaded programs have no place, so there the type is a part of it."""
    assert told(report(on("a", kind="tracing")), report(on("a", kind="kprobe"))) == []
    both = [Loaded(ProgramRef(1, kind, "p", "aa"), (), ()) for kind in ("xdp", "kprobe")]
    found = changes.between(report(loaded=(both[0],)), report(loaded=(both[1],))).changes
    assert {(one.change, one.prog_type) for one in found} == {("gone", "xdp"), ("appeared", "kprobe")}


def test_the_type_of_the_program_is_told(report):
    (one,) = changes.between(report(), report(on("a"), on("a", number=2, kind=None))).changes
    assert one.prog_type == "tracing"
    (one,) = changes.between(report(on("a")), report()).changes
    assert one.prog_type == "tracing"


@pytest.mark.parametrize(
    ("one", "other", "is_later"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z", False),  # two clocks, each rounded
        ("2026-01-01T00:00:02Z", "2026-01-01T00:00:00Z", False),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:03Z", True),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", True),  # with a zone and without one
        ("2026-01-01T00:00:00Z", "yesterday", True),
        ("yesterday", "yesterday", False),
        (None, "2026-01-01T00:00:00Z", False),
    ],
)
def test_how_far_apart_load_times_are(one, other, is_later):
    assert changes._is_later(one, other) is is_later


@pytest.mark.parametrize(
    ("boot", "change"),
    [("b1", []), ("b2", []), (None, ["replaced"])],
)
def test_an_id_is_given_once_a_boot(report, boot, change):
    """Within one a later time is a clock that was set; of an unknown boot it is another program."""
    times = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    before, after = (on("a")._replace(prog=ProgramRef(1, "tracing", "p", "aa", time)) for time in times)
    assert [one[0] for one in told(report(before), report(after, boot=boot))] == change


def test_what_differs_between_unequal_numbers_of_programs():
    one, other, third = (ProgramState(number, tag, None, 0) for number, tag in ((1, "aa"), (2, "aa"), (3, "bb")))
    assert changes._differs((one,), (other, third)) == ("id",)
    assert changes._differs((one, third), (other,)) == ("id",)
    assert changes._differs((one,), (third,)) == ("tag", "id")


def test_an_earlier_document_says_what_the_report_said(report):
    """Programs of a struct_ops, pins, and what an allow list leaves out of both sides."""
    many = Attachment("struct_ops", "x", programs=(ProgramRef(1, None, "a", "aa"), ProgramRef(2, None, "b", "bb")))
    loaded = [Loaded(ProgramRef(5, "xdp", "a", "aa"), (), ("/pin/a",)), Loaded(ProgramRef(6, "xdp", "b", "bb"), (), ())]
    before = report(many, on("pinned", pins=("/pin/x",)), on("left"), loaded=tuple(loaded))
    document = json.loads(json_of.document("audit", before))
    assert changes.since(document, before).changes == ()
    for lines, gone in (
        ("", {"x", "pinned", "left", "a", "b"}),
        ("pin=/pin/*", {"x", "left", "b"}),
        ("attach=loaded", {"x", "pinned", "left"}),
    ):
        found = changes.since(document, report(), allow.lines(lines.splitlines(), "list")).changes
        assert {one.target or one.prog_name for one in found} == gone
    third = many._replace(programs=(many.programs[0], ProgramRef(3, None, "b", "cc")))
    (one,) = changes.since(document, before._replace(attachments=(third, *before.attachments[1:]))).changes
    assert (one.change, one.differs, [each.id for each in one.programs_gone]) == ("replaced", ("tag", "id"), [2])
