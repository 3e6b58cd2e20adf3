"""Which modules are taken to be loaded in a kernel that was not booted: `none`, `all`, names, or a list in a file.

Modules that another one needs are loaded before it, as modprobe does (its `depends` in .modinfo); soft dependencies and
what udev would load are not.
"""

from __future__ import annotations

from ..errors import UsageError
from ..formats.text import modules_dep
from ..named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..sources.module_files import ModuleFiles

NONE, ALL = "none", "all"
_LIST_BYTES_MAX = 1 << 20
_ROUNDS_MAX = 64


class Wanted(NamedTuple):
    """What `--modules` says. `is_lenient`: the names are another kernel's, so one that is not here is no mistake."""

    names: tuple[str, ...] = ()
    is_all: bool = False
    is_lenient: bool = False

    def __bool__(self) -> bool:
        return self.is_all or bool(self.names)


def wanted(text: str) -> Wanted:
    """`none`, `all`, names with commas between them, or @FILE. Raises UsageError."""
    if text in ("", NONE):
        return Wanted()
    if text == ALL:
        return Wanted(is_all=True)
    if text.startswith("@"):
        return Wanted(_listed(text[1:]), is_lenient=True)
    names = tuple(_name(each) for each in text.split(",") if each.strip())
    for name in names:
        if not name.replace("_", "").isalnum() or name in (NONE, ALL):
            raise UsageError(
                f"--modules {name!r} is no name of a module; none, all, names with commas or @FILE are taken"
            )
    return Wanted(tuple(dict.fromkeys(names)))


def _name(text: str) -> str:
    return text.strip().replace("-", "_")


def _listed(path: str) -> tuple[str, ...]:
    """The first word of each line. proc/modules and lsmod begin with the module that was loaded last."""
    try:
        with open(path, "rb") as handle:
            raw = handle.read(_LIST_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"--modules @{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(raw) > _LIST_BYTES_MAX:
        raise UsageError(f"--modules @{path}: larger than {_LIST_BYTES_MAX >> 20} MiB, so no list of modules")
    rows = [line.split() for line in raw.decode("utf-8", "replace").splitlines()]
    rows = [row for row in rows if row and not row[0].startswith("#")]
    is_lsmod = bool(rows) and rows[0][:2] == ["Module", "Size"]
    is_proc = any(len(row) >= 6 and row[4] in ("Live", "Loading", "Unloading") for row in rows)
    names = [_name(row[0]) for row in rows[1 if is_lsmod else 0 :]]
    return tuple(dict.fromkeys(reversed(names) if is_lsmod or is_proc else names))


class Chosen(NamedTuple):
    """Files in the order of loading, and names that have none: neither a file nor built in."""

    files: tuple[tuple[str, bytes], ...]
    missing: tuple[str, ...]


def choose(asked: Wanted, files: ModuleFiles, where: str) -> Chosen:
    """The files of the modules and of those they need. Raises UsageError for a name that is no module here."""
    from ..formats.image import modules

    homes = {_name(modules_dep.module_name(path)): path for path in files.paths()}
    if asked.is_all:
        return Chosen(tuple(files.read(tuple(homes.values()))), ())
    built_in = {_name(modules_dep.module_name(line)) for line in _lines(files.text("modules.builtin"))}
    missing = tuple(name for name in asked.names if name not in homes and name not in built_in)
    if missing and not asked.is_lenient:
        raise UsageError(f"--modules: {where} has no module {missing[0]}")
    raws: dict[str, bytes] = {}
    needs: dict[str, tuple[str, ...]] = {}
    todo = [name for name in asked.names if name in homes]
    for _ in range(_ROUNDS_MAX):
        found = dict(files.read([homes[name] for name in todo])) if todo else {}
        raws |= {name: found[homes[name]] for name in todo if homes[name] in found}
        needs |= {name: modules.depends(raws[name], homes[name]) for name in todo if name in raws}
        todo = [each for each in dict.fromkeys(sum(needs.values(), ())) if each in homes and each not in needs]
        if not todo:
            break
    order: dict[str, None] = {}
    for name in asked.names:
        _add(name, needs, order, ())
    return Chosen(tuple((homes[name], raws[name]) for name in order if name in raws), missing)


def _add(name: str, needs: dict[str, tuple[str, ...]], order: dict[str, None], above: tuple[str, ...]) -> None:
    """A module behind those it needs; a circle, which no kernel has, is cut."""
    if name in order or name in above or len(above) > _ROUNDS_MAX:
        return
    for each in needs.get(name, ()):
        _add(each, needs, order, (*above, name))
    order[name] = None


def _lines(raw: bytes | None) -> list[str]:
    return (raw or b"").decode("utf-8", "replace").split()
