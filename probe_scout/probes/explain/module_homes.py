"""Which module that is not loaded may hold a function: modules.dep, and the symbols of the files it names."""

from __future__ import annotations

from . import known_changes
from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .protocol import Lookup

FILES_MAX = 8  # module files opened for one name; each may have to be unpacked


def homes(lookup: Lookup, name: str) -> tuple[tuple[str, bool], ...]:
    """Modules, not loaded here, that define `name`: (module, read), best first.

    `read` is true where the module's own file was read and has the function, false where only the
    table of known homes says so and there is no file to look into. Opens at most `FILES_MAX` files.
    """
    files = lookup.module_files()
    loaded = lookup.modules_loaded()
    known = known_changes.MODULE_HOMES.get(name)
    sure: list[str] = []
    guessed: list[str] = []
    for module in _candidates(name, known, files or {})[:FILES_MAX]:
        if module in loaded or (files is not None and module not in files):
            continue
        symbols = lookup.module_symbols(module)
        if symbols is None:
            if module == known:
                guessed.append(module)
        elif name in symbols:
            sure.append(module)
    return tuple((module, True) for module in sure) + tuple((module, False) for module in guessed)


def _candidates(name: str, known: str | None, files: Iterable[str]) -> list[str]:
    """Modules worth opening: the known home, then those whose name shares the function's first words."""
    words = [word for word in names.stem(name).split("_") if word]
    found = [known] if known else []
    if not words:
        return found
    found.extend(known_changes.MODULE_WORDS.get(words[0], ()))
    near = [module for module in files if module == words[0] or module.startswith(words[0] + "_")]
    # The longest common beginning first: nf_conntrack_in looks into nf_conntrack before nf_tables.
    near.sort(key=lambda module: (-len(_shared(module, name)), len(module), module))
    found.extend(near)
    return list(dict.fromkeys(found))


def _shared(module: str, name: str) -> str:
    """The beginning which a module's name shares with a function's."""
    count = 0
    while count < min(len(module), len(name)) and module[count] == name[count]:
        count += 1
    return name[:count]
