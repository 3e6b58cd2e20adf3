"""What compiled objects ask of a kernel, without a kernel: `lint --requires`."""

from __future__ import annotations

from ..named_tuple import NamedTuple
from .document import Document


class Need(NamedTuple):
    """One demand. `kind` is one of KINDS; `name` as the kernel writes it; `demand`: what of it, for types.

    `always`: also where everything that the program tests for before it uses it (bpf_core_field_exists, bpf_ksym_exists
    and their like) is there, and where nothing of it is. Else the program has a way around it.
    """

    kind: str
    name: str
    always: bool = True
    demand: str = ""


KINDS = (
    *("program_type", "attach_type", "attach_point", "field", "type", "enumerator", "helper", "kfunc", "variable"),
    *("symbol", "config", "map_type", "struct_ops", "feature", "license"),
)


class AttachPoint(NamedTuple):
    """What a section names, as `check` takes it: attach type and target."""

    type: str
    target: str


class ProgramNeeds(NamedTuple):
    """One program: its own demands. Those of its object (`ObjectNeeds.requires`) are on top: it is loaded as one."""

    name: str
    section: str
    type: str
    attach_type: str
    autoload: bool
    attach_point: AttachPoint | None
    requires: tuple[Need, ...]


class MapNeeds(NamedTuple):
    """A map. `set_by_loader`: sizes that the object leaves to its loader."""

    name: str
    type: str
    key_bytes: int
    value_bytes: int
    max_entries: int
    set_by_loader: tuple[str, ...] = ()


class ObjectNeeds(NamedTuple):
    """One object. `opens`: "" or why libbpf refuses the file itself, on every kernel."""

    path: str
    sha256: str
    license: str
    opens: str
    requires: tuple[Need, ...]
    maps: tuple[MapNeeds, ...]
    programs: tuple[ProgramNeeds, ...]


class _RequiresReport(NamedTuple):
    objects: tuple[ObjectNeeds, ...]
    skipped: tuple[tuple[str, str], ...] = ()


class RequiresReport(Document, _RequiresReport):
    """`probe-scout lint --requires`."""

    __slots__ = ()
    COMMAND = "lint-requires"
