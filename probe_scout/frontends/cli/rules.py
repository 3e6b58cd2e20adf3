"""`rules`: the rules and findings as lists and pages."""

from __future__ import annotations

from ...errors import UsageError
from . import output, streams
from .output import YES
from .request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass


def run(request: Request) -> int:
    from ..render import explain
    from .pages import rule_pages

    pages = rule_pages()
    is_one = False
    if request.names:
        from .pages import finding_pages

        pages += finding_pages()
        group = request.names[0].removesuffix("*").removesuffix(".") + "."
        found = [page for page in pages if page.id == request.names[0]]
        is_one = bool(found)
        found = found or [page for page in pages if page.id.startswith(group)]
        if not found:
            import difflib

            near = difflib.get_close_matches(request.names[0], [page.id for page in pages], 4, 0.4)
            near = near or [page.id for page in pages if request.names[0] in page.id][:8]
            hint = f"did you mean {' or '.join(near)}" if near else "probe-scout rules lists them"
            raise UsageError(f"no rule {request.names[0]!r}: {hint}")
        pages = found
    if request.format == "table":
        style = output.style(request)
        if is_one:
            streams.write(explain.rule_lines(pages[0], style))
        else:
            from ..render import table

            streams.write(table.plain(*explain.rule_rows(pages), style))
            if not request.names:
                from .pages import finding_pages

                groups = dict.fromkeys(page.gate for page in finding_pages())
                words = f"Findings that refuse nothing are listed by probe-scout rules GROUP: {', '.join(groups)}."
                streams.write(["", *style.wrap(words, 0)])
    elif not output.as_json(request, "rules", explain.RuleList(tuple(pages)), pages):
        output.table(request, *explain.rule_rows(pages))
    return YES
