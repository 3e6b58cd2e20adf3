"""A fleet, for programs: judge snapshots, one after the other or in several processes, and keep what they say."""

from __future__ import annotations

from ..commands import fleet
from ..commands.fleet import hosts
from ..errors import ProbeScoutError, UsageError
from ..model.fleet import Added, AddReport
from ..model.report import ScanRow
from . import session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..sources.fleet_store import Store


def judge(root: str, modules: str = "") -> fleet.Judged | str:
    """Every answer for the functions of one kernel; a sentence where it cannot be asked. Pure: fit for any pool.

    `modules` are taken as loaded in a kernel that was not booted, as for `open_kernel`; others are left as they are.
    """
    import gc

    gc.disable()  # as for scan
    try:
        kernel = session.open_kernel(root, modules=_modules_for(root, modules))
        report = kernel.scan("*")
        found = fleet.judged(
            report.kernel, bool(kernel.partial()), (row for row in report.rows if isinstance(row, ScanRow))
        )
        gaps = [gap for gap in report.unread if gap.fact == "kallsyms" and gap.kind != "not_recorded"]
        if gaps or not found.rows:
            return f"{root}: no function is listed" + (f": {gaps[0].why}" if gaps else "")
        return found
    except ProbeScoutError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or root}: {error.strerror or error}"


def add(
    store: Store,
    roots: Sequence[str],
    version: str,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
    pool: Callable[[Sequence[str]], Iterable[tuple[str, fleet.Judged | str]]] | None = None,
    modules: str = "",
) -> AddReport:
    """Judge and keep. A snapshot that cannot be read is an error of its own row; the others are kept.

    `pool` judges elsewhere: from roots to pairs of a root and what `judge` says of it, in any order, with the same
    `modules`. A build that this version has judged before with them is left as it is. Raises Broken where the store
    cannot be written.
    """
    import time

    rules = fleet.rules_state(version)
    loaded = _judged_with(rules, modules)
    states = {root: loaded if _modules_for(root, modules) else rules for root in roots}
    done: dict[str, Added] = {}
    for root in roots:
        if (known := _host(store, root) or _known(store, root, states[root])) is not None:
            done[root] = known
    wanted = [root for root in roots if root not in done]
    for number, (root, found) in enumerate(pool(wanted) if pool else _judged(wanted, jobs, modules)):
        if progress is not None:
            progress(number + 1, len(wanted))
        if isinstance(found, str):
            done[root] = Added(root, "error", says=found)
            continue
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        kernel = found.kernel
        try:
            was_there = fleet.keep(store, found, states[root], now)
        except UsageError as error:
            done[root] = Added(root, "error", kernel.release, says=str(error))
            continue
        done[root] = Added(root, "again" if was_there else "added", kernel.release, kernel.build_id, len(found.rows))
    return AddReport(store.path, tuple(done[root] for root in roots))


def _host(store: Store, root: str) -> Added | None:
    """Keeps what a snapshot tells of its host; the row of one that tells nothing else, None for what is judged too.

    Raises Broken where the store cannot be written.
    """
    is_part = False
    try:
        kernel = session.open_kernel(root)
        is_part = kernel.part() == "host"
        rows = kernel.attached() if root else []
        info = kernel.info()
        fleet.key(info)
    except (ProbeScoutError, OSError) as error:
        return Added(root, "error", says=str(error)) if is_part else None
    if not is_part and not rows:
        return None
    was_there = hosts.keep(store, hosts.Sent(_name(root), info, tuple(rows)))
    if not is_part:
        return None
    says = f"{len(rows)} attachments"
    return Added(root, "host again" if was_there else "host", info.release, info.build_id, 0, says)


def _name(root: str) -> str:
    """A host has the name of the file that it sent."""
    return root.rstrip("/").rpartition("/")[2].partition(".tar")[0]


def _known(store: Store, root: str, state: str) -> Added | None:
    """The row of a snapshot whose build is kept already, judged by this version; None for what must be judged."""
    try:
        kernel = session.open_kernel(root)
        info = kernel.info()
        row = store.kept(fleet.key(info)) if info.build_id else None
        partial = bool(kernel.partial()) if row is not None else False
    except (ProbeScoutError, OSError):
        return None  # said when it is judged
    if row is None:
        return None
    if partial and not row[5]:
        return Added(root, "kept", row[1], row[2], row[4], "a whole snapshot of this build is kept already")
    if row[6] == state and partial == bool(row[5]):
        return Added(root, "kept", row[1], row[2], row[4])
    return None


def _judged_with(rules: str, modules: str) -> str:
    """What judged, and which modules it took as loaded: other modules give other functions. Raises UsageError."""
    import zlib

    from ..kernel import loaded_modules

    listed = loaded_modules.wanted(modules)
    return f"{rules} modules {zlib.crc32(repr(listed).encode()):08x}" if modules else rules


def _modules_for(root: str, modules: str) -> str:
    """The list that a root is opened with: a booted kernel says itself which modules are loaded."""
    from ..kernel import from_image

    return modules if modules and from_image.is_image(root) else ""


def _judged(roots: Sequence[str], jobs: int, modules: str) -> Iterator[tuple[str, fleet.Judged | str]]:
    """Each root with what came of it, in the order of coming."""
    if jobs <= 1 or len(roots) <= 1:
        for root in roots:
            yield root, judge(root, modules)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    with ProcessPoolExecutor(min(jobs, len(roots))) as pool:
        waiting = {pool.submit(judge, root, modules): root for root in roots}
        for future in as_completed(waiting):
            try:
                yield waiting[future], future.result()
            except BrokenProcessPool:
                yield waiting[future], f"{waiting[future]}: the process that judged it was ended"
