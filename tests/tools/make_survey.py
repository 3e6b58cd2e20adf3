"""Write the survey that comes with the package, and the page section that tells how right its predictions are.

python tests/tools/make_survey.py --out probe_scout/probes/inlining/survey/shipped/debian-amd64.survey
    [--unseen FILE | --same-shares] FILE...
python tests/tools/make_survey.py --page docs/inlining.md [--unseen FILE]
python tests/tools/make_survey.py --across FILE...      rows of SHARES for survey/across.py, of another architecture

FILE is a debug file, a folder of them (such as an unpacked debug package), or a survey made by `probe-scout survey`; of
two with the same kernel the later one counts, for each of its files. `--same-shares` keeps the shares of right
predictions that --out has, and fails where a class differs from it: for one that is to tell more of the same builds.

Places of copies are kept as in any survey, but of functions without a symbol only those that have few, and one in
another surveyed kernel, or that probes/explain/known_changes.py knows: names that tools attach to.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from probe_scout.errors import ProbeScoutError
from probe_scout.probes.explain import known_changes
from probe_scout.probes.inlining import survey
from probe_scout.probes.inlining.survey import accuracy, build, cell
from probe_scout.probes.inlining.survey.format import VMLINUX, Share, Table

BEGIN, END = "<!-- {0}: made by tests/tools/make_survey.py -->", "<!-- end of {0} -->"
SAYS = {"yes": "a symbol of the name exists", "no": "no such symbol", "unknown": "not known whether a symbol exists"}
PLACES_OF_FULL_MAX = 8
AGREE = {
    "all": "all kernels say so",
    "most": "all that have it, half or more",
    "few": "all that have it, less than half",
    "divided": "kernels disagree",
    "near": "a near kernel says so",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--unseen", type=Path, action="append", default=[], help="a kernel to predict; repeat it")
    parser.add_argument("--same-shares", action="store_true")
    parser.add_argument("--across", action="store_true")
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    try:
        if options.across:
            for line in across_rows(accuracy.summed(predicted(shipped(), read(options.files)))):
                print(line)
            return
        if options.out is not None:
            old = options.out if options.same_shares else None
            options.out.write_bytes(made(options.files, options.unseen, old))
            print(f"{options.out}: {options.out.stat().st_size} bytes")
        if options.page is not None:
            text = replaced(options.page.read_text(), "accuracy", section(accuracy.leave_one_out(shipped()), told()))
            if options.unseen:
                text = replaced(text, "unseen", unseen(shipped(), read(options.unseen)))
            options.page.write_text(text)
    except ProbeScoutError as error:
        sys.exit(str(error))


def made(paths: list[Path], unseen: list[Path], old: Path | None) -> bytes:
    """A survey of all kernels in these files, with the shares of right predictions. `unseen` are only predicted.

    `old`: a survey of the same kernels, whose shares are kept. Raises ValueError where its classes differ.
    """
    collected = read(paths)
    trim(collected)
    for release, files in collected.kernels.items():
        vmlinux = len(files.get(VMLINUX, ("", {}))[1])
        print(f"{release}: {vmlinux} names in vmlinux, {sum(len(one[1]) for one in files.values())} with all modules")
    if old is not None:
        before = read([old])
        for release, files in before.kernels.items():
            for scope, (build_id, cells) in files.items():
                now = collected.kernels[release][scope]
                different = [name for name, one in cells.items() if _class(now[1].get(name, one)) != _class(one)]
                if now[0] != build_id or cells.keys() != now[1].keys() or different:
                    raise ValueError(f"{release} {scope} is not what {old} has: {build_id} {now[0]} {different[:5]}")
        return collected.encoded(Table(survey.reader(str(old)), str(old)).shares)
    near = [nearby(one) for one in predicted(collected, read(unseen))]
    return collected.encoded(accuracy.summed([*accuracy.leave_one_out(collected), *near]))


def _class(one: cell.Cell) -> cell.Cell:
    return one._replace(places=(), missed=0)


def trim(collected: build.Collected) -> None:
    """Forget the places of functions without a symbol that nobody is likely to ask for."""
    files = [cells for scopes in collected.kernels.values() for _, cells in scopes.values()]
    asked = {name for cells in files for name, one in cells.items() if one.has_symbol}
    asked |= {rung.asked for rung in known_changes.KNOWN_CHANGES}
    for cells in files:
        for name, one in cells.items():
            if one.kind == "full" and one.places and (name not in asked or len(one.places) > PLACES_OF_FULL_MAX):
                cells[name] = one._replace(places=())


def predicted(collected: build.Collected, others: build.Collected) -> list[accuracy.Measured]:
    """Kernels that are not in a survey, predicted from it."""
    both = build.Collected()
    both.kernels = {**collected.kernels, **others.kernels}
    return [accuracy.measure(both, release, list(collected.kernels)) for release in others.kernels]


def across_rows(shares: dict[tuple[str, str, str], Share]) -> list[str]:
    """The sorts of predictions that came true more often than not, as rows of a dict."""
    kept = {key: one for key, one in shares.items() if one.asked >= survey.ASKED_MIN and 2 * one.right >= one.asked}
    return [f"        {tuple(key)}: {tuple(one)}," for key, one in sorted(kept.items())]


def nearby(one: accuracy.Measured) -> accuracy.Measured:
    """Only what was predicted from near kernels."""
    return one._replace(shares={key: share for key, share in one.shares.items() if key[2] == "near"})


def read(paths: list[Path]) -> build.Collected:
    """Everything that files and folders hold. A kernel's own file comes before its modules."""
    collected = build.Collected()
    debug: list[Path] = []
    for path in paths:
        if path.suffix == survey.SUFFIX:
            collected.take(Table(survey.reader(str(path)), str(path)))
        elif path.is_dir():
            debug += [one for one in path.rglob("*") if one.is_file() and is_debug_file(one)]
        else:
            debug.append(path)
    for path in sorted(debug, key=lambda path: (not path.name.startswith("vmlinux"), path)):
        begun = time.process_time()
        one = build.read_file(str(path))
        collected.add(one)
        print(f"{one.release} {one.scope}: {len(one.cells)} names in {time.process_time() - begun:.1f} s")
    return collected


def is_debug_file(path: Path) -> bool:
    return path.name.startswith("vmlinux") or path.name.endswith((".ko", ".ko.debug"))


def shipped() -> build.Collected:
    """The surveys that come with the package."""
    return read([Path(path) for path in survey.paths() if os.path.dirname(path) == survey.SHIPPED])


def replaced(text: str, name: str, section: str) -> str:
    """The page with a section renewed. Raises ValueError if the page has no such section."""
    begin, end = BEGIN.format(name), END.format(name)
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no section {name}")
    return f"{before}{begin}\n{section}{end}{after}"


def told() -> dict[tuple[str, str, str], Share]:
    """The shares that come with the package."""
    return {key: share for table in survey.tables() for key, share in table.shares.items()}


def section(measured: list[accuracy.Measured], shares: dict[tuple[str, str, str], Share]) -> str:
    """Each kernel predicted from the others, and the shares that are told, as Markdown."""
    names = ", ".join(one.release for one in measured)
    lines = [
        f"Each of {names} was predicted from the other {len(measured) - 1}, in vmlinux and all surveyed modules.",
        "",
        *by_label(measured),
        "",
        *by_rule(measured),
        "",
        *by_agreement(shares),
    ]
    return "\n".join(lines) + "\n"


def unseen(collected: build.Collected, others: build.Collected) -> str:
    """Kernels that are not in the survey, predicted from all of it."""
    measured = predicted(collected, others)
    return "\n".join([*by_label(measured), "", *by_rule(measured)]) + "\n"


def by_label(measured: list[accuracy.Measured]) -> list[str]:
    """A row for each predicted class, three columns for each kernel."""
    lines = [
        "| symbol | predicted | " + " | ".join(f"{short(one)}: asked | right | wrong" for one in measured) + " |",
        "|---|---|" + "---:|---:|---:|" * len(measured),
    ]
    for symbol in ("yes", "no"):
        for label in cell.LABELS:
            sums = [total(one.shares, symbol, label) for one in measured]
            if any(share.asked for share in sums):
                cells = [f"{s.asked} | {percent(s.right, s.asked)} | {s.asked - s.right}" for s in sums]
                lines.append(f"| {symbol} | {label} | {' | '.join(cells)} |")
    cells = [f"{one.new.warned} | | {one.new.partial} partial" for one in measured]
    lines.append(f"| yes | nothing: a new name | {' | '.join(cells)} |")
    return lines


def total(shares: dict[tuple[str, str, str], Share], symbol: str, label: str) -> Share:
    """The shares of one label, whatever the agreement."""
    mine = [share for key, share in shares.items() if key[:2] == (symbol, label)]
    return Share(*(sum(numbers) for numbers in zip((0, 0, 0), *mine, strict=True)))


def short(one: accuracy.Measured) -> str:
    """The release without its flavour."""
    return one.release.removesuffix("-amd64").partition("+")[0]


def by_rule(measured: list[accuracy.Measured]) -> list[str]:
    """Rules that warn of missed calls: how many warnings are right, how many partial functions are warned of."""
    lines = [
        "| warns that calls are missed if | "
        + " | ".join(
            f"{short(one)}: warned | right | found of {next(iter(one.rules.values())).partial}" for one in measured
        )
        + " |",
        "|---|" + "---:|---:|---:|" * len(measured),
    ]
    for name in accuracy.RULES:
        rules = [one.rules[name] for one in measured]
        cells = [f"{r.warned} | {percent(r.right, r.warned)} | {percent(r.right, r.partial)}" for r in rules]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def by_agreement(shares: dict[tuple[str, str, str], Share]) -> list[str]:
    """What is told with a prediction: the share for its class and for how far the kernels agree."""
    heads = ("what is known", "predicted", "agreement", "asked", "right", "share", "same class")
    lines = [f"| {' | '.join(heads)} |", "|---|---|---|---:|---:|---:|---:|"]
    for symbol, says in SAYS.items():
        for label in cell.LABELS:
            for agreement, word in AGREE.items():
                share = shares.get((symbol, label, agreement))
                if share is not None:
                    told = percent(share.right, share.asked) if share.asked >= survey.ASKED_MIN else "not given"
                    exact = percent(share.exact, share.asked)
                    lines.append(f"| {says} | {label} | {word} | {share.asked} | {share.right} | {told} | {exact} |")
    return lines


def percent(part: int, whole: int) -> str:
    """A share in tenths of a percent, rounded down: 100.0 % means all."""
    return f"{1000 * part // whole / 10:.1f} %" if whole else "-"


if __name__ == "__main__":
    main()
