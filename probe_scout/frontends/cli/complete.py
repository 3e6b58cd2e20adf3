"""Completion with real names: `probe-scout __complete`, and the scripts that shells load.

Two forms: `__complete WORD [--root PATH]` prints names; `__complete -- WORDS…` is what the scripts
call: the words of the line up to the cursor, without the command's own name. One suggestion a
line, at most 200, errors silent: a shell that is completing has nowhere to show them. A single line
`:files` asks the script for file names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import ProbeScoutError
from . import streams
from .request import (
    ANSWERS,
    COLORS,
    FORMATS,
    KINDS,
    LEADING_FLAGS,
    LEADING_VALUES,
    LEVELS,
    MATRIX_FORMATS,
    SHELLS,
    command_first,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..session import OpenKernel

LIMIT = 200
FILES = ":files"

_CHOICES = {"--format": FORMATS, "--color": COLORS, "--answer": ANSWERS, "--kind": KINDS, "--fail-on": LEVELS}
_COMMON = ("--root", "--json", "--format", "--color", "--help")
OPTIONS: dict[str, tuple[str, ...]] = {
    "check": (
        "--modules",
        "--type",
        "--all-types",
        "--any",
        "--verbose",
        "--quiet",
        "--from",
        "--target",
        "--pid",
        "--as-me",
        "--caps",
        "--unprivileged",
        "--vmlinux",
        "--debug",
        *_COMMON,
    ),
    "inline": ("--modules", "--debug", "--all", "--class", *_COMMON),
    "lint": (
        "--modules",
        "--root",
        "--libbpf",
        "--program",
        "--requires",
        "--output",
        "--json",
        "--format",
        "--color",
        "--help",
    ),
    "features": ("--modules", "--caps", "--unprivileged", "--vmlinux", *_COMMON),
    "kfunc": ("--modules", "--type", "--caps", "--unprivileged", "--vmlinux", *_COMMON),
    "context": ("--modules", "--type", "--caps", "--unprivileged", "--vmlinux", *_COMMON),
    "survey": ("--json", "--format", "--color", "--help"),
    "scan": (
        *("--modules", "--type", "--answer", "--not", "--arg", "--returns", "--coverage", "--sort", "--limit"),
        "--pid",
        "--caps",
        "--unprivileged",
        *_COMMON,
    ),
    "tracepoint": ("--modules", "--reads", "--fields", *_COMMON),
    "audit": (
        *("--owner", "--target", "--net", "--no-net", "--diff", "--fail-on", "--watch", "--bpftool", "--allow"),
        *("--accept-unread", "--quiet", *_COMMON),
    ),
    "verify": ("--type", "--dry", "--limit", "--as-me", *_COMMON),
    "diff": ("--modules", "--type", "--kind", "--all", *(o for o in _COMMON if o != "--root")),
    "stub": (
        "--modules",
        "--lang",
        "--attach",
        "--core",
        "--program",
        "--package",
        "--name",
        "--debug",
        "--out",
        *_COMMON,
    ),
    "matrix": ("--modules", "--root", "--output", "--json", "--format", "--color", "--help"),
    "report": ("--modules", "--page", "--root", "--out", "--help"),
    "fleet": (
        "--modules",
        "--store",
        "--type",
        "--answer",
        "--jobs",
        "--parquet",
        "--json",
        "--format",
        "--color",
        "--help",
    ),
    "rules": ("--json", "--format", "--color", "--help"),
    "doctor": ("--modules", "--for", *_COMMON),
    "snapshot": (
        "--modules",
        "--out",
        "--from",
        "--with-code",
        "--keep-addresses",
        "--force",
        "--user-file",
        "--part",
        "--script",
        *_COMMON,
    ),
    "completion": ("--help",),
    "mcp": ("--help",),
}
TAKES_VALUE = (
    *("--root", "--type", "--kind", "--format", "--color", "--answer", "--vmlinux", "--limit", "--out", "-o"),
    *("--lang", "--attach", "--debug", "--class", "--reads", "--from"),
    *("--owner", "--target", "--diff", "--fail-on", "--watch", "--allow", "--accept-unread", "--libbpf"),
    *("--output", "--store", "--jobs", "--package", "--name", "--modules", "--part", "--parquet", "--page"),
    *("--not", "--arg", "--returns", "--coverage", "--sort", "--caps", "--for", "--user-file", "--pid"),
)
_TAKES_FILE = ("--root", "--vmlinux", "--debug", "--out", "-o", "--diff", "--from", "--store", "--for", "--user-file")

Open = Callable[[str, "str | None"], "OpenKernel"]


def takes_value(command: str) -> tuple[str, ...]:
    """Options of a command that a value follows: --program is a name to lint, and a switch to stub."""
    return (*TAKES_VALUE, "--program") if command == "lint" else TAKES_VALUE


def main(args: Sequence[str], open_kernel: Open) -> int:
    """Print the suggestions for a line that is being typed; always 0."""
    try:
        found = suggestions(args, open_kernel)
    except (ProbeScoutError, OSError):
        found = []
    if found:
        streams.write(found[:LIMIT])
    return 0


def suggestions(args: Sequence[str], open_kernel: Open) -> list[str]:
    """The suggestions for either form. Raises what open_kernel raises."""
    if args[:1] == ["--"]:
        return _line(list(args[1:]) or [""], open_kernel)
    words, root = [], ""
    rest = iter(args)
    for word in rest:
        if word == "--root":
            root = next(rest, "")
        elif word.startswith("--root="):
            root = word.removeprefix("--root=")
        else:
            words.append(word)
    return _names(words[-1] if words else "", root, open_kernel)


def _line(words: list[str], open_kernel: Open) -> list[str]:
    *before, word = words
    before = command_first(before)
    if not before or before[0] not in OPTIONS:
        return _before_command(before, word)
    command, last = before[0], before[-1]
    if last in takes_value(command):
        return _value(last, word, "", command)
    if word.startswith("-"):
        option, equals, value = word.partition("=")
        if equals:
            return _value(option, value, option + "=", command)
        return _starting(word, OPTIONS.get(command, ()))
    if command == "diff":
        return _diff(before[1:], word, open_kernel)
    if command in ("survey", "lint", "matrix", "report"):
        return [FILES]
    if command == "fleet":
        from .fleet import ACTIONS

        return _starting(word, ACTIONS) if len(before) == 1 else [FILES]
    if command == "completion":
        return _starting(word, SHELLS)
    if command == "rules":
        return _starting(word, _rule_ids())
    if command in ("check", "scan", "inline", "stub") and word.startswith(("/", "./", "../")) and ":" not in word:
        return [FILES]
    if command in ("check", "scan", "verify", "inline", "context"):
        return _names(word, _root(before), open_kernel)
    if command == "stub":
        root = _root(before)
        found = [name.removeprefix("tp:") for name in _names("tp:" + word, root, open_kernel)]
        return found or _names(word, root, open_kernel)
    if command == "tracepoint":
        return [name.removeprefix("tp:") for name in _names("tp:" + word, _root(before), open_kernel)]
    return []


def _before_command(before: list[str], word: str) -> list[str]:
    """A command, or an option in front of it."""
    if before and before[-1] in LEADING_VALUES:
        return _value(before[-1], word, "")
    if any(w[:1] != "-" for i, w in enumerate(before) if not i or before[i - 1] not in LEADING_VALUES):
        return []  # no such command
    option, equals, value = word.partition("=")
    if equals and option in LEADING_VALUES:
        return _value(option, value, option + "=")
    return _starting(word, (*OPTIONS, *LEADING_VALUES, *LEADING_FLAGS, "--version", "--help"))


def _diff(before: Sequence[str], word: str, open_kernel: Open) -> list[str]:
    """Two roots, then names of the second one."""
    words = [
        w for place, w in enumerate(before) if w[:1] != "-" and (not place or before[place - 1] not in TAKES_VALUE)
    ]
    return [FILES] if len(words) < 2 else _names(word, "" if words[1] == "live" else words[1], open_kernel)


def _value(option: str, word: str, prefix: str, command: str = "") -> list[str]:
    if option == "--output":
        form, equals, _ = word.partition("=")
        return [FILES] if equals else [prefix + one + "=" for one in _starting(form, MATRIX_FORMATS)]
    if option == "--format" and command in ("matrix", "lint"):
        return [prefix + one for one in _starting(word, MATRIX_FORMATS)]
    if option in _TAKES_FILE:
        return [FILES]
    if option == "--type":
        from ...model.attach import NAMES

        done, comma, word = word.rpartition(",")
        return [prefix + done + comma + name for name in _starting(word, NAMES)]
    if option in ("--lang", "--attach"):
        from ...model.stub import LANGUAGES, STUB_ATTACH

        return [prefix + name for name in _starting(word, LANGUAGES if option == "--lang" else STUB_ATTACH)]
    if option == "--class":
        from ...formats.dwarf.classes import CLASSES

        return [prefix + name for name in _starting(word, CLASSES)]
    choices = _CHOICES.get(option, ())
    return [prefix + choice for choice in _starting(word, choices)]


def _root(words: Sequence[str]) -> str:
    root = ""
    for place, word in enumerate(words):
        if word == "--root" and place + 1 < len(words):
            root = words[place + 1]
        elif word.startswith("--root="):
            root = word.removeprefix("--root=")
    return root


def _rule_ids() -> tuple[str, ...]:
    from .pages import finding_pages, rule_pages

    return tuple(page.id for page in (*rule_pages(), *finding_pages()))


def _starting(word: str, choices: Sequence[str]) -> list[str]:
    return [choice for choice in choices if choice.startswith(word)]


def _names(word: str, root: str, open_kernel: Open) -> list[str]:
    return list(open_kernel(root, None).names(word, LIMIT))


def script(shell: str) -> str:
    """The completion script of bash, zsh or fish. Raises UsageError for another shell."""
    from ...model.asked import one_of

    return _SCRIPTS[one_of(shell, SHELLS, "shell")]


_SCRIPTS = {
    "bash": """\
# probe-scout completion for bash: eval "$(probe-scout completion bash)"
_probe_scout() {
    local line="${COMP_LINE:0:COMP_POINT}" cur prefix
    local -a words found
    read -r -a words <<< "$line"
    case "$line" in *[[:space:]]) words+=("") ;; esac
    cur="${words[${#words[@]}-1]}"
    mapfile -t found < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
    COMPREPLY=()
    if [ "${found[0]-}" = ":files" ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]#=}")
        compopt -o filenames 2>/dev/null
        return
    fi
    # bash splits words at : and = and wants only the part after the last of them
    prefix=""
    case "$COMP_WORDBREAKS" in *:*) case "$cur" in *:*) prefix="${cur%"${cur##*:}"}" ;; esac ;; esac
    case "$cur" in -*=*) prefix="${cur%%=*}=" ;; esac
    local name
    for name in "${found[@]}"; do COMPREPLY+=("${name#"$prefix"}"); done
}
complete -F _probe_scout probe-scout""",
    "zsh": """\
#compdef probe-scout
# probe-scout completion for zsh: eval "$(probe-scout completion zsh)"
_probe_scout() {
    local -a found
    found=("${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ "${found[1]-}" == ":files" ]]; then
        [[ "$PREFIX" == -*=* ]] && compset -P '*='
        _files
        return
    fi
    compadd -Q -- "${(@)found:#}"
}
if [[ "${funcstack[1]-}" == "_probe_scout" ]]; then
    _probe_scout "$@"
else
    compdef _probe_scout probe-scout
fi""",
    "fish": """\
# probe-scout completion for fish: probe-scout completion fish | source
function __probe_scout_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -a words (commandline --current-token --cut-at-cursor)
    set -l found ($words[1] __complete -- $words[2..-1] 2>/dev/null)
    if test "$found[1]" = ":files"
        __fish_complete_path (string replace -r '^-.*=' '' -- (commandline --current-token --cut-at-cursor))
    else
        printf '%s\\n' $found
    end
end
complete --command probe-scout --no-files --arguments '(__probe_scout_complete)'""",
}
