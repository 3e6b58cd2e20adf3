"""The HTML page: whole, without network, and names of others stay text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from probe_scout.frontends.render.markup import Markup, el, escape
from probe_scout.frontends.render.page import html
from probe_scout.model.hooks import Hook
from probe_scout.model.matrix import SIGNS, Cell, Column, FieldPlace, MatrixReport, Other, RungVerdict, Timeline
from probe_scout.model.report import Coverage, KernelInfo

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus='alert(1)",
    "</style></title><img src=x onerror=alert(1)>",
    "&lt;b&gt;",
    "javascript:alert(1)",
    "n" * 10_000,
    "\x00\x1b[31m\udcff\u202e",
]
VOID = {"meta", "input", "br", "img", "link"}


class Read(HTMLParser):
    """Elements with attributes, checked to be closed in order, and the text."""

    def __init__(self):
        super().__init__()
        self.elements, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(text):
    found = Read()
    found.feed(text)
    found.close()
    assert found.open == []
    return found


def report(names, releases=("6.1", "7.3")):
    """A cell of each state and each text in every place that takes one."""
    states = list(SIGNS)
    hooks = tuple(Hook(name, (f"fentry/{name}", name), name, "may") for name in names)
    columns = tuple(
        Column(f"{one}/x", KernelInfo(one, one, one, "snapshot", one), one, one if place else "")
        for place, one in enumerate(releases)
    )
    cells = []
    for h, name in enumerate(names):
        for k in range(len(releases)):
            rung = RungVerdict(0, name, name, "no", name, True, name, name)
            seen = Coverage("partial", "dwarf", True, ((name, 8),), missed=1)
            state = states[(h + k) % 5]
            way = (name, name, 0, "partial", "dwarf", 1) if state in ("attaches", "misses", "instead") else ()
            cells.append(
                Cell(h, k, state, "no", *way)._replace(
                    errno=name, says=name, because=(name,), rungs=(rung,), others=(Other(name, name, name),),
                    coverage=seen, prototype=name,
                )
            )  # fmt: skip
    return MatrixReport(columns, hooks, tuple(cells))


def test_names_of_others_stay_text():
    harmless = read(html(report(["a", "b", "c", "d", "e", "f", "g", "h"]), "probe-scout"))
    found = read(html(report(HOSTILE), HOSTILE[0]))
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in harmless.elements]
    assert [sorted(names) for _, names in found.elements] == [sorted(names) for _, names in harmless.elements]
    assert any(HOSTILE[0] in text for text in found.text)
    assert "\x00" not in "".join(found.text)
    html(report(HOSTILE), "").encode()


def test_a_hostile_release_stays_text():
    plain, hostile = (read(html(report(["a"], (one, "x")), "")) for one in ("6.1", HOSTILE[3]))
    assert [tag for tag, _ in plain.elements] == [tag for tag, _ in hostile.elements]


def test_nothing_is_loaded_and_only_its_own_style_and_script_run():
    text = html(report(["vfs_read"]), "probe-scout")
    found = read(text)
    assert not any({"src", "action", "style"} & set(attributes) for _, attributes in found.elements)
    assert all(attributes["href"].startswith("#") for _, attributes in found.elements if "href" in attributes)
    assert not any(name.startswith("on") for _, attributes in found.elements for name in attributes)
    assert re.search(r"(https?:)?//[a-z]|@import|url\(", text) is None
    policy = next(a["content"] for _, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")
    for tag in ("style", "script"):
        body = text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_every_cell_leads_to_its_reasons():
    found = read(html(report(["a", "b", "c"], ("1", "2", "3")), ""))
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for _, attributes in found.elements if "href" in attributes]
    assert set(links) <= set(ids)
    cells = [attributes for tag, attributes in found.elements if tag == "a" and "cell" in attributes.get("class", "")]
    assert len(cells) == 9


def test_states_differ_by_sign_and_word():
    text = html(report(["a", "b", "c", "d", "e"]), "")
    assert all(f">{sign}</span>" in text for sign in SIGNS.values())
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_cells_of_one_kind_share_their_reasons():
    cells = tuple(Cell(0, k, "refused", "no", errno="EINVAL") for k in range(300))
    columns = tuple(Column(f"r{k}", KernelInfo(str(k), "", "", "", "")) for k in range(300))
    found = read(html(MatrixReport(columns, (Hook("a", ("a",)),), cells), ""))
    assert sum(attributes.get("class") == "reason" for _, attributes in found.elements) == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_escaped_where_it_becomes_markup(text):
    assert not set(escape(text)) & set("<>\"'\x00")
    assert read(el("p", text, title=text)).elements[0][0] == "p"
    assert escape(Markup("<b>")) == "<b>"


def test_a_field_that_moved_is_marked_by_a_sign():
    first, second = FieldPlace(8, 4, "value"), FieldPlace(12, 4, "value")
    line = Timeline("a:<b>", ("yes", "yes", "yes", "no", "unknown"), (("<f>", (first, first, second, None, None)),))
    text = html(report(["a"], tuple("12345")), "", (line,))
    read(text)
    assert text.count("≠ ") == 1
    assert "&lt;f&gt;" in text
    assert ("no such event" in text, "unknown" in text) == (True, True)
