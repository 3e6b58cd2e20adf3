"""The parts of the documents that are made from the code: man pages, rules, findings, JSON Schemas.

    python docs/reference.py site FOLDER    the documents' sources with these parts, for zensical
    python docs/reference.py man FOLDER     the man pages alone

The wheel has the man pages (docs/man_hook.py); .ci/run builds the site.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shutil
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))

_BLOB = "https://github.com/probe-scout/probe-scout/blob/main/"  # of links that leave docs/


# JSON Schemas


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (2020-12) of each document, from the types of the reports. Keys are the documents' names."""
    from probe_scout import model
    from probe_scout.model.document import SCHEMAS, Document

    for module in pkgutil.iter_modules(model.__path__):
        importlib.import_module(f"{model.__name__}.{module.name}")
    found = {}
    for report in Document.__subclasses__():
        definitions: dict[str, Any] = {}
        body = _object(report, definitions)
        body["properties"] = {"schema": {"const": SCHEMAS[report.COMMAND]}, **body["properties"]}
        body["required"] = ["schema", *body["required"]]
        found[report.COMMAND] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": f"urn:{SCHEMAS[report.COMMAND].replace('/', ':')}",
            "title": f"probe-scout {report.COMMAND} --json",
            **body,
            "$defs": dict(sorted(definitions.items())),
        }
    return dict(sorted(found.items()))


# Fields whose form in a document is not that of the report (a type's `written`).
_WRITTEN = {
    ("Coverage", "inlined_into"): {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"caller": {"type": "string"}, "offset": {"type": "integer"}},
            "required": ["caller", "offset"],
        },
    }
}


def _object(record: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a NamedTuple: every field is there; keys may be added, so others are allowed."""
    base = next(one for one in record.__mro__ if "_fields" in vars(one))
    names = importlib.import_module(record.__module__).__dict__
    hints = get_type_hints(base, {**names, **_typing_only(record.__module__)})
    fields = {
        name: _WRITTEN.get((record.__name__, name)) or _schema(hints[name], definitions) for name in record._fields
    }
    says = " ".join((record.__doc__ or "").split())
    is_said = says and not says.startswith(f"{record.__name__}(")
    return {
        "type": "object",
        **({"description": says} if is_said else {}),
        "properties": fields,
        "required": list(fields),
    }


def _typing_only(module: str) -> dict[str, Any]:
    """Types that a model module names for type checkers alone."""
    text = Path(sys.modules[module].__file__ or "").read_text()
    found: dict[str, Any] = {}
    for name, imported in re.findall(r"^    from \.(\w+) import ([\w, ]+)$", text, re.M):
        other = importlib.import_module(f"probe_scout.model.{name}")
        found.update({one.strip(): getattr(other, one.strip()) for one in imported.split(",")})
    return found


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    plain = {str: "string", int: "integer", bool: "boolean", type(None): "null"}
    if hint in plain:
        return {"type": plain[hint]}
    if hint is Any or hint is object:
        return {}
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(part, definitions) for part in parts]}
    if origin is tuple and parts[-1:] != (Ellipsis,):
        return {"type": "array", "prefixItems": [_schema(part, definitions) for part in parts], "items": False}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(parts[1], definitions)}
    if origin is not None:
        return {"type": "array", "items": _schema(parts[0], definitions)}
    if hasattr(hint, "_fields"):
        if hint.__name__ not in definitions:
            definitions[hint.__name__] = {}
            definitions[hint.__name__] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    raise TypeError(f"no schema for {hint!r}")


# Rules


def rules_page() -> str:
    """Every rule and every finding, by its group, as Markdown."""
    from probe_scout.frontends.cli.pages import finding_pages, rule_pages

    parts = ["# Rules and findings", "", "Which id stands for what: the pages that `probe-scout rules ID` shows.", ""]
    group = ""
    for page in sorted([*rule_pages(), *finding_pages()], key=lambda page: page.id):
        if page.id.partition(".")[0] != group:
            group = page.id.partition(".")[0]
            parts += [f"## {group}", ""]
        parts += [f"### {page.id}", ""]
        parts += [f"{_markdown(paragraph)}\n" for paragraph in page.page.strip().split("\n\n")]
        about = (
            ("Error", f"`{page.errno}`" if page.errno else ""),
            ("Decided by", _markdown(f"{page.decides} ({page.source})" if page.source else page.decides)),
            ("Seen by", _markdown(page.witness)),
            ("Attach types", " ".join(f"`{name}`" for name in page.types)),
        )
        parts += [*(f"- {label}: {text}" for label, text in about if text), ""]
    return "\n".join(parts)


def _markdown(text: str) -> str:
    return re.sub(r"([<>*_`\\])", r"\\\1", text)


# Man pages


def man_pages() -> dict[str, str]:
    """File name to text: probe-scout.1, and a page for each command."""
    import typer

    from probe_scout.frontends.cli.app import app

    group = typer.main.get_command(app)
    commands: dict[str, Any] = group.commands  # type: ignore[attr-defined]
    listed = [_entry(rf"\fBprobe\-scout\-{name}\fR(1)", command.short_help) for name, command in commands.items()]
    see = [f"probe-scout-{name}" for name in commands]
    whole = _page("probe-scout", group, "COMMAND [OPTIONS] [ARGUMENTS]", see, ["." + "SH COMMANDS", *listed])
    pages = {"probe-scout.1": whole}
    for name, command in commands.items():
        words = " ".join(p.metavar or p.name.upper() for p in command.params if p.param_type_name == "argument")
        pages[f"probe-scout-{name}.1"] = _page(
            f"probe-scout-{name}", command, f"{words} [OPTIONS]".strip(), ["probe-scout"], []
        )
    return pages


def _page(title: str, command: Any, words: str, see: list[str], more: list[str]) -> str:
    from probe_scout.model.version import __version__

    text = (command.help or "").strip()
    head, _, rest = text.partition("\n")
    called = title.replace("-", " ", 2) if title.count("-") > 1 else title
    called = called.replace("probe scout", "probe-scout")
    lines = [
        f'.TH {_roff(title.upper())} 1 "" "probe-scout {__version__}" "probe-scout"',
        ".SH NAME",
        f"{_roff(title)} \\- {_roff(head.rstrip('.'))}",
        ".SH SYNOPSIS",
        f"\\fB{_roff(called)}\\fR {_roff(words)}",
        ".SH DESCRIPTION",
        _roff(head),
    ]
    exits = ""
    for paragraph in filter(None, (" ".join(part.split()) for part in rest.split("\n\n"))):
        if paragraph.startswith("Exit code:"):
            exits = paragraph.removeprefix("Exit code:").strip()
            continue
        lines += [".PP", _roff(paragraph)]
    lines += more
    options = [p for p in command.params if p.param_type_name == "option"]
    if options:
        lines.append(".SH OPTIONS")
        for option in options:
            names = ", ".join(f"\\fB{_roff(one)}\\fR" for one in option.opts)
            value = f" \\fI{_roff(option.metavar)}\\fR" if option.metavar and not option.is_flag else ""
            lines.append(_entry(names + value, option.help or ""))
    notes = [line.strip() for line in (command.epilog or "").replace("\b", "").splitlines() if line.strip()]
    exits = exits or next((n.removeprefix("Exit code:").strip() for n in notes if n.startswith("Exit code:")), "")
    if exits:
        lines += [".SH EXIT STATUS", _roff(exits)]
    examples = [line for line in notes if line.startswith("probe-scout ")]
    if examples:
        lines += [".SH EXAMPLES", ".nf", *(_roff(line) for line in examples), ".fi"]
    lines += [".SH SEE ALSO", ",\n".join(f"\\fB{_roff(one)}\\fR(1)" for one in see)]
    return "\n".join(lines) + "\n"


def _entry(head: str, says: str) -> str:
    return f".TP\n{head}\n{_roff(says)}"


def _roff(text: str) -> str:
    """Text as troff takes it: a backslash, a hyphen, and a sign at the start of a line mean something there."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


# The site


def site(folder: Path) -> None:
    """Write the sources of the site into an empty folder: zensical.toml and docs/. Raises FileExistsError."""
    docs = folder / "docs"
    shutil.copytree(HERE, docs, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    shutil.copy(HERE / "site.toml", folder / "zensical.toml")
    readme = (HERE.parent / "README.md").read_text()
    (docs / "index.md").write_text(_links(readme.replace("](docs/", "](")))
    for page in docs.glob("*.md"):
        page.write_text(_links(page.read_text()))
    (docs / "rules.md").write_text(rules_page())
    (docs / "schemas").mkdir()
    for name, schema in schemas().items():
        (docs / "schemas" / f"{name}.json").write_text(json.dumps(schema, indent=1) + "\n")
    listed = "\n".join(f"- [probe-scout/{name}/1](schemas/{name}.json)" for name in schemas())
    (docs / "schemas.md").write_text(
        f"# JSON Schemas\n\nThe documents that `--json` prints. Keys are added and never renamed.\n\n{listed}\n"
    )


def _links(text: str) -> str:
    """Links to files outside docs/ lead to the repository."""
    return re.sub(r"\]\((?:\.\./)?((?:LICENSE|fixtures/|tests/|bench/|probe_scout/)[^)]*)\)", rf"]({_BLOB}\1)", text)


def _write(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in man_pages().items():
        (folder / name).write_text(text)
        yield folder / name


def main(args: list[str]) -> int:
    if len(args) != 2 or args[0] not in ("site", "man"):
        print(__doc__, file=sys.stderr)
        return 2
    if args[0] == "site":
        site(Path(args[1]))
    else:
        print(f"{sum(1 for _ in _write(Path(args[1])))} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
