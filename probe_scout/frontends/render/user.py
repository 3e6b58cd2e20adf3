"""The file and the places of a user function or a USDT probe, as lines for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...model.user_report import UserArgument, UserPlace, UserSite

_SHOWN_SITES = 8
_SHOWN_RETURNS = 12
_SOURCES = {
    "dynsym": ".dynsym",
    "symtab": ".symtab",
    "minidebug": ".gnu_debugdata",
    "debug": "the debug file",
    "pclntab": ".gopclntab",
    "usdt": ".note.stapsdt",
    "offset": "",
}


def place_lines(place: UserPlace, style: Style, labelled: Callable[[str, str, Style], Iterator[str]]) -> Iterator[str]:
    """File, sites with their arguments, processes, return instructions; `labelled` puts a label before a text."""
    build = f", build id {place.build_id[:16]}" if place.build_id else ""
    language = ", Go" if place.language == "go" else ""
    language = f", {place.build_version}" if place.build_version else language
    yield from labelled("file", f"{place.file} ({place.machine}{language}{build}){_mapped(place)}", style)
    label = "at"
    for site in place.sites[:_SHOWN_SITES]:
        yield from labelled(label, _site(site, len(place.sites) > 1), style)
        label = ""
        for argument in site.arguments:
            yield from style.wrap(_argument(argument), 15, 13)
    yield from _results(place, style, labelled)
    if len(place.sites) > _SHOWN_SITES:
        yield from labelled("", f"and {len(place.sites) - _SHOWN_SITES} more", style)
    if place.return_offsets and place.language == "go":
        shown = " ".join(f"{at:#x}" for at in place.return_offsets[:_SHOWN_RETURNS])
        more = len(place.return_offsets) - _SHOWN_RETURNS
        yield from labelled("returns", f"RET at {shown}" + (f" and {more} more" if more > 0 else ""), style)


def _argument(argument: UserArgument) -> str:
    where = argument.where or {"none": "no bytes: it is not passed"}.get(argument.kind, "location unknown")
    refused = f"; {'; '.join(argument.refused_by)}" if argument.refused_by else ""
    return f"{argument.name} {argument.type} {where}{refused}"


def _results(place: UserPlace, style: Style, labelled: Callable[[str, str, Style], Iterator[str]]) -> Iterator[str]:
    """What comes back, by which convention, and where the types are from; or why no argument is known."""
    for result in place.results:
        yield from style.wrap(f"returns {_argument(result).removeprefix('return ')}", 15, 13)
    if place.convention:
        yield from style.wrap(f"by {place.convention}; types from {place.debug_file}", 15, 13)
    if place.arguments_unread is not None:
        yield from labelled("unknown", f"arguments: {place.arguments_unread.why}", style)
        if place.arguments_unread.cure:
            yield from style.wrap(place.arguments_unread.cure, 15, 13)


def _mapped(place: UserPlace) -> str:
    if place.mapped_by is None:
        return ""
    count = len(place.mapped_by)
    return f"; {count} process{'' if count == 1 else 'es'} map it" if count else "; no process maps it now"


def _site(site: UserSite, several: bool) -> str:
    name = f"{site.symbol}{'@' + site.version if site.version else ''}"
    where = "not in the file" if site.offset is None else f"{site.offset:#x}"
    source = _SOURCES.get(site.source, site.source)
    parts = [f"{where} {name}".strip(), f"{site.size} bytes" if site.size else "", source]
    parts.append("IFUNC resolver" if site.kind == "ifunc" else "")
    parts.append(f"refused: {site.refused}" if site.refused else "")
    parts.append(f"misread as a {site.misread}" if site.misread else "")
    parts.append(f"counter at {site.ref_ctr_offset:#x}" if site.ref_ctr_offset is not None else "")
    parts.append("the asked location" if several and site.chosen and site.source != "usdt" else "")
    return ", ".join(part for part in parts if part)
