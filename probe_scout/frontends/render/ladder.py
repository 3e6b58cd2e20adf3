"""The attach points that kernels took, as data for loaders: arrays of (attach type, target) in C, Rust and Go.

Data and no loader code: each library's calls to attach change more often than what is attached to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...model.matrix import MatrixReport

LANGUAGES = ("c", "rust", "go")
Ladder = list[tuple[str, str]]
# Words that are no names: of C, Rust and Go those that begin as such a name may; the prefix keeps most away.
_HEAD = "Made by probe-scout matrix: for each hook what attaches on the kernels that were asked, the best first."


def lines(report: MatrixReport, language: str) -> Iterator[str]:
    """The file. A hook that attaches nowhere has an empty array."""
    named = _named(report)
    form: Callable[[list[tuple[str, str, Ladder]]], Iterator[str]] = {"c": _c, "rust": _rust, "go": _go}[language]
    yield from form(named)


def _named(report: MatrixReport) -> list[tuple[str, str, Ladder]]:
    """For each hook a word that no other has, its name, and its rungs that some kernel took, in their order."""
    found: list[tuple[str, str, Ladder]] = []
    used: set[str] = set()
    for number, hook in enumerate(report.hooks):
        word = "".join(sign if sign.isascii() and sign.isalnum() else "_" for sign in hook.name.lower())[:60]
        while word in used:
            word += "_"
        used.add(word)
        cells = [report.cell(number, place) for place in range(len(report.kernels))]
        taken = sorted({(cell.rung, cell.attach, cell.target) for cell in cells if cell.attach and cell.rung >= 0})
        found.append((word, hook.name, [(attach, _bare(target)) for _, attach, target in taken]))
    return found


def _bare(target: str) -> str:
    """An event as CATEGORY:NAME, a system call by its name."""
    return target.removeprefix("tp:").removeprefix("syscall:")


def _c(named: list[tuple[str, str, Ladder]]) -> Iterator[str]:
    yield f"/* {_HEAD} */"
    yield "#ifndef PROBE_SCOUT_HOOKS_H"
    yield "#define PROBE_SCOUT_HOOKS_H"
    yield "struct probe_scout_rung { const char *attach, *target; };"
    for word, name, ladder in named:
        yield f"/* {_comment(name)} */"
        rows = "".join(f"{{{_quoted(a)}, {_quoted(t)}}}, " for a, t in ladder)
        yield f"static const struct probe_scout_rung hook_{word}[] = {{{rows}{{0, 0}}}};"
    yield "#endif"


def _rust(named: list[tuple[str, str, Ladder]]) -> Iterator[str]:
    yield f"// {_HEAD}"
    for word, name, ladder in named:
        yield f"/// {_comment(name)}"
        rows = ", ".join(f"({_quoted(a, rust=True)}, {_quoted(t, rust=True)})" for a, t in ladder)
        yield f"pub const HOOK_{word.upper()}: &[(&str, &str)] = &[{rows}];"


def _go(named: list[tuple[str, str, Ladder]]) -> Iterator[str]:
    yield f"// {_HEAD}"
    yield "package hooks"
    for word, name, ladder in named:
        yield ""
        yield f"// Hook_{word}: {_comment(name)}"
        rows = ", ".join(f"{{{_quoted(a)}, {_quoted(t)}}}" for a, t in ladder)
        yield f"var Hook_{word} = [][2]string{{{rows}}}"


def _comment(name: str) -> str:
    """A name that cannot end a comment or begin a line of its own."""
    return "".join(sign if sign.isprintable() and sign.isascii() else "?" for sign in name[:200]).replace("*/", "* /")


def _quoted(text: str, rust: bool = False) -> str:
    """A string of these languages; what is not plain ASCII by its bytes (Rust: by its number)."""
    made = ""
    for sign in text:
        if sign in '"\\':
            made += "\\" + sign
        elif sign.isascii() and sign.isprintable():
            made += sign
        elif rust:
            made += f"\\u{{{ord(sign):x}}}"
        else:
            made += "".join(f"\\{byte:03o}" for byte in sign.encode("utf-8", "surrogatepass"))
    return f'"{made}"' if rust else f'"{made}"'.replace("??", "?\\077")  # trigraphs of C
