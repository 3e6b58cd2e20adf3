"""The pages in headless Chromium: nothing is loaded, nothing complains, and they serve keyboard and screen reader.

The lane `browser` (`pytest -m browser`); the group `browser` of pyproject.toml and a chromium are needed.
"""

from __future__ import annotations

import os
import shutil

import pytest

from probe_scout.frontends.many_kernels import matrix, timelines
from probe_scout.frontends.render.page import html
from probe_scout.frontends.render.page_more import audit_html, diff_html
from probe_scout.frontends.session import open_kernel
from probe_scout.model.audit import BROKEN, Attachment, AuditFinding, AuditReport, Owner, ProgramRef
from probe_scout.model.hooks import Hook
from probe_scout.model.report import KernelInfo
from tests.conftest import ROOT

pytestmark = pytest.mark.browser

KERNELS = [
    str(ROOT / "fixtures" / "kernels" / f"debian-{one}-amd64.tar.xz") for one in ("6.1.176", "6.12.107", "7.3.4")
]
HOSTILE = ('<script>alert(1)</script>"', "</style><img src=x onerror=alert(1)>", "'\"&lt;", "x" * 10_000)
HOOKS = [
    *(Hook(name, (name,)) for name in ("vfs_read", "do_execve", "vfs_fsync_range", "tp:sched:sched_switch")),
    *(Hook(name, ("fentry/tcp_v4_connect",), source=name[:300]) for name in HOSTILE),
]


def _matrix():
    report = matrix(HOOKS, KERNELS)
    return html(report, "probe-scout", timelines(report))


def _audit():
    prog = ProgramRef(7, "tracing", HOSTILE[0], "00")
    finding = AuditFinding("audit.x", BROKEN, HOSTILE[1], HOSTILE[0])
    rows = (
        Attachment("fentry", HOSTILE[1], prog=prog, owners=(Owner(1, HOSTILE[0], 3),), findings=(finding,)),
        *(Attachment("fentry", "vfs_read", prog=prog) for _ in range(30)),
    )
    report = AuditReport(KernelInfo("6.12", "ab" * 20, "x86_64", "snapshot", ""), rows, (), "scanned", ())
    return audit_html([("a", report, ""), (HOSTILE[0], None, HOSTILE[1])], "probe-scout")


def _diff():
    return diff_html(open_kernel(KERNELS[0]).diff(open_kernel(KERNELS[2]), "tcp_*"), "probe-scout")


PAGES = {"matrix": _matrix, "audit": _audit, "diff": _diff}


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    program = os.environ.get("PROBE_SCOUT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        pytest.skip("chromium is not installed, and PROBE_SCOUT_CHROMIUM names none")
    with api.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, make in PAGES.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(make(), encoding="utf-8", errors="backslashreplace")
    return found


@pytest.fixture
def opened(browser, files):
    """opened(name, scheme) is a page and what it said or asked for."""
    pages = []

    def make(name, scheme="light", script=True):
        context = browser.new_context(
            color_scheme=scheme, java_script_enabled=script, viewport={"width": 1300, "height": 900}
        )
        page = context.new_page()
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: said.append(asked.url) if not asked.url.startswith("file:") else None)
        page.goto(files[name].as_uri())
        pages.append(context)
        return page, said

    yield make
    for context in pages:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_said_and_nothing_is_asked_for(name, opened):
    page, said = opened(name)
    page.wait_for_load_state("networkidle")
    assert said == []
    assert page.locator("img, iframe, object, link[rel=stylesheet]").count() == 0
    assert page.locator("script").count() == (1 if name == "matrix" else 0)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name, scheme, opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page, _ = opened(name, scheme)
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found] == []


def test_the_keyboard_leads_everywhere(opened):
    page, _ = opened("matrix")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    page.keyboard.type("do_exec")
    assert page.locator(".matrix tbody tr:visible").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".matrix tbody tr:visible").count() == len(HOOKS)
    page.locator("a.cell").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('tr').dataset.name") == "do_execve"
    page.keyboard.press("Enter")
    assert page.locator(".reason:visible").count() == 1
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className").startswith("cell")


def test_states_are_told_in_words_too(opened):
    page, _ = opened("matrix")
    text = page.locator("a.cell").first.inner_text()
    assert "attaches" in page.locator("a.cell").first.text_content()
    assert text.strip()[0] in "✓◐→✕?"
    page.locator("#filters input[value=attaches]").uncheck()
    assert page.locator(".dim").count() > 0


def test_without_script_cells_still_lead_to_their_reasons(opened):
    page, _ = opened("matrix", script=False)
    assert not page.locator("#filters").is_visible()
    page.locator("a.cell").nth(1).click()
    assert page.locator(".reason:visible").count() == 1


def test_on_paper_all_reasons_follow(opened):
    page, _ = opened("matrix")
    page.emulate_media(media="print")
    assert page.locator(".reason:visible").count() == page.locator(".reason").count() > 3


def test_hostile_names_are_text(opened):
    page, said = opened("matrix")
    names = page.locator(".matrix tbody .name").all_text_contents()
    assert HOSTILE[0] in names
    assert HOSTILE[1] in names
    assert said == []


def test_trampolines_show_how_full_they_are(opened):
    page, _ = opened("audit")
    assert page.locator("meter").first.get_attribute("value") == "30"
    assert "30 of 38" in page.locator("section").first.inner_text()
