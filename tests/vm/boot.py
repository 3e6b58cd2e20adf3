"""Boot a fetched kernel under QEMU, run one command in it as root, and hand back how it ended.

No KVM (PROBE_SCOUT_KVM=1 turns it on): plain QEMU is slower and works in every container. Five virtio-serial
ports carry stdout, stderr, control (uptime at the command, exit status), the tar of /out and the live stream.
A panic ends the guest at once: oops=panic, panic=-1 (reboot) and -no-reboot.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import archives, cache
from .kernels import KERNELS
from .machines import NATIVE
from .problems import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .machines import Machine

TIME_LIMIT = 124
LAB_ERROR = 125
PANIC = 126
# rcu_expedited keeps detaching fast. watchdog_thresh: a slow machine is no lockup.
COMMAND_LINE = "panic=-1 oops=panic loglevel=4 rcupdate.rcu_expedited=1 audit=0 watchdog_thresh=60"
PORTS = ("stdout", "stderr", "control", "out", "live")
TURN_S = 0.05
# From the status to the end of QEMU; a guest that cannot power off has answered all the same.
POWER_OFF_S = 20.0
TERMINATE_S = 5.0
SCRATCH = "probe-scout-lab-"
# A folder that was made a moment ago may not be locked yet.
SCRATCH_SECONDS_MIN = 60.0


class Ended(NamedTuple):
    """How a boot ended.

    `status` is the command's own, or TIME_LIMIT, LAB_ERROR (QEMU did not run), PANIC (the guest ended without a
    status). `command_at_s` is the guest's uptime when the command started, None if it did not; `wall_s` is
    this machine's time from start to end of QEMU, `cpu_s` the processor's (of other children that ended, too,
    where several boot at once in one process). `console` is what the kernel printed; `notes` are one sentence
    each: modules that were not there or were refused, files of /out that could not be written.
    """

    status: int
    stdout: str
    stderr: str
    command_at_s: float | None
    wall_s: float
    console: str
    notes: tuple[str, ...] = ()
    cpu_s: float = 0.0


def run(
    kernel: str,
    command: Sequence[str],
    *,
    share: Mapping[str, str | Path] | None = None,
    out: Path | None = None,
    modules: Sequence[str] = (),
    append: Sequence[str] = (),
    env: Sequence[str] = (),
    timeout_s: float = 600,
    memory_mb: int = 2048,
    cpus: int = 1,
    live: Path | None = None,
    kaslr: bool = False,
    cwd: str = "/",
    tool: bool = False,
    programs: Sequence[str] = (),
    without: Sequence[str] = (),
    echo: bool = False,
) -> Ended:
    """Boot `kernel` (a name of the table, fetched before) and run `command` in it.

    share: guest path to file or folder here, a copy. out: receives what the guest wrote below /out. env: NAME=VALUE.
    live: receives at once what the guest writes to the file named in $LAB_LIVE. tool: probe-scout of this checkout
    is there. programs: of this machine with their libraries (bpftool, bpftrace, perf). without: of debugfs, tracefs,
    bpf, securityfs, cgroup2, those not to mount. echo: stdout and stderr also appear here as they come.

    Raises LabError before anything is started: kernel not fetched, a program not installed, a file not there.
    On any exception, ^C too, the guest is killed first. No file is left behind; a lab that was killed leaves its
    folder to the next one.
    """
    cached = cache.get(kernel)
    job = archives.Job(
        command, {g: Path(h) for g, h in (share or {}).items()}, modules, env, cwd, programs, without
    )  # fmt: skip
    on = machine_of(kernel)
    qemu = program_of(on)
    parts = [archives.base(on), *([archives.tool(on)] if tool else [])]
    with scratch_folder() as work:
        missing = archives.write_job(work / "job", cached, job)
        with open(work / "initrd", "wb") as whole:
            for part in (*parts, work / "job"):
                with open(part, "rb") as file:
                    shutil.copyfileobj(file, whole, archives.READ_BYTES)
        (work / "job").unlink()
        files = {name: work / name for name in PORTS}
        if live is not None:
            files["live"] = live.absolute()
        for file_path in files.values():
            file_path.touch()
        line = " ".join([f"console={on.console}", COMMAND_LINE, on.append, *([] if kaslr else ["nokaslr"]), *append])
        words = [qemu, *machine(memory_mb, cpus, on), "-kernel", str(cached.vmlinuz), "-initrd", str(work / "initrd")]
        words += ["-append", line, *ports(work / "console", files)]
        started, cpu_before_s = time.monotonic(), _children_cpu_s()
        is_late, code = _watch(words, work, timeout_s, echo)
        wall_s, cpu_s = time.monotonic() - started, _children_cpu_s() - cpu_before_s
        notes = [f"{kernel} has no module {name}" for name in missing]
        if out is not None:
            notes += _unpack(files["out"], out)
        return ended(work, is_late, code, wall_s, notes)._replace(cpu_s=cpu_s)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one boot, locked while it is used. Folders of labs that were killed are removed."""
    for old in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*/lock"):
        try:
            with open(old) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - old.stat().st_mtime > SCRATCH_SECONDS_MIN:
                    shutil.rmtree(old.parent, ignore_errors=True)
        except OSError:
            continue  # in use, somebody else's, or gone by now
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as folder, open(Path(folder) / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(folder)


def machine_of(kernel: str) -> Machine:
    """The architecture of a name of the table; kernels that were compiled here have this machine's."""
    return KERNELS[kernel].arch if kernel in KERNELS else NATIVE


def machine(memory_mb: int, cpus: int, on: Machine = NATIVE) -> list[str]:
    """QEMU's words for the machine.

    PROBE_SCOUT_ICOUNT=1: the guest's clock counts instructions, one a nanosecond, whatever else this machine does.
    """
    board = list(on.board)
    if os.environ.get("PROBE_SCOUT_KVM") == "1" and on is NATIVE:
        board = ["-machine", "q35", "-accel", "kvm", "-cpu", "host"]
    elif os.environ.get("PROBE_SCOUT_ICOUNT") == "1":
        board += ["-icount", "shift=0,sleep=off"]
    if on.firmware:
        board += ["-bios", str(_installed(on.firmware))]
    return [
        *(*board, "-m", str(memory_mb), "-smp", str(cpus)),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
    ]


def _installed(path: str) -> Path:
    """A file of QEMU's packages: installed, or below the folder in which $PROBE_SCOUT_QEMU says they were unpacked."""
    return Path(os.environ.get("PROBE_SCOUT_QEMU") or "/") / path


def program_of(on: Machine) -> str:
    """QEMU's program for a machine. Raises LabError where it is not installed."""
    unpacked = _installed(f"usr/bin/{on.qemu}") if os.environ.get("PROBE_SCOUT_QEMU") else None
    return str(unpacked) if unpacked is not None and unpacked.exists() else program(on.qemu)


def ports(console: Path, files: Mapping[str, Path]) -> list[str]:
    """QEMU's words for the serial console and one virtio-serial port for each file."""
    words = ["-chardev", f"file,id=console,path={_escaped(console)}", "-serial", "chardev:console"]
    words += ["-device", "virtio-serial-pci,max_ports=8"]
    for name, path in files.items():
        words += ["-chardev", f"file,id={name},append=on,path={_escaped(path)}"]
        words += ["-device", f"virtserialport,chardev={name},name=lab.{name}"]
    return words


def _escaped(path: Path) -> str:
    """A comma in a value is written twice for QEMU."""
    return str(path).replace(",", ",,")


def _watch(words: list[str], work: Path, timeout_s: float, echo: bool) -> tuple[bool, int]:
    """Run QEMU to its end or the time limit: whether it was the limit, and QEMU's exit code.

    QEMU is in a session of its own: ^C is this program's, which ends the guest. If this program is killed, the
    guest ends with it.
    """
    setpriv = shutil.which("setpriv")
    if setpriv:
        words = [setpriv, "--pdeathsig", "KILL", "--", *words]
    deadline = time.monotonic() + timeout_s
    streams = [_Echo(work / "stdout", 1), _Echo(work / "stderr", 2)] if echo else []
    is_late = is_told = False
    with open(work / "qemu", "wb") as complaints:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=complaints, stderr=complaints, start_new_session=True
        )
    try:
        while True:
            try:
                process.wait(TURN_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    is_late = not is_told
                    break
            else:
                break
            finally:
                for stream in streams:
                    stream.turn()
            if not is_told and "status" in control(work):
                is_told = True
                deadline = time.monotonic() + POWER_OFF_S
    finally:
        code = _end(process)
        for stream in streams:
            stream.turn()
    return is_late, code


def _end(process: subprocess.Popen[bytes]) -> int:
    """The exit code of QEMU, which is ended first if it still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(TERMINATE_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
    return process.wait()


class _Echo:
    """Writes what a growing file holds to a descriptor of this program."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._at = 0

    def turn(self) -> None:
        with open(self._path, "rb") as file:
            file.seek(self._at)
            while piece := file.read(1 << 16):
                self._at += len(piece)
                while piece:
                    piece = piece[os.write(self._descriptor, piece) :]


def control(work: Path) -> dict[str, str]:
    """The guest's last word for each key: up, status; not_loaded is collected by `ended`."""
    lines = _text(work / "control").split("\n")[:-1]
    return dict(line.split("=", 1) for line in lines if "=" in line)


def ended(work: Path, is_late: bool, code: int, wall_s: float, notes: Sequence[str] = ()) -> Ended:
    """What the files of a boot tell. `code` is QEMU's own."""
    told = control(work)
    lines = _text(work / "control").splitlines()
    notes = [*notes, *(line.partition("=")[2] for line in lines if line.startswith("not_loaded="))]
    console = _text(work / "console")
    if "status" in told:
        status = int(told["status"])
    elif is_late:
        status = TIME_LIMIT
    elif code and not console:
        status = LAB_ERROR
        notes.append(f"QEMU ended with {code}: {_text(work / 'qemu').strip()}")
    else:
        status = PANIC
    up = float(told["up"]) if "up" in told else None
    return Ended(status, _text(work / "stdout"), _text(work / "stderr"), up, wall_s, console, tuple(notes))


def _text(path: Path) -> str:
    """A file's text; bytes that are no UTF-8 survive (surrogateescape). Empty if there is none."""
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""


def _unpack(tar: Path, out: Path) -> list[str]:
    """What the guest wrote below /out, also where the tar was cut off; sentences for what could not be had."""
    out.mkdir(parents=True, exist_ok=True)
    if not tar.stat().st_size:
        return []
    try:
        with tarfile.open(tar) as archive:
            for member in archive:
                archive.extract(member, out, filter="tar")
    except (tarfile.TarError, OSError, EOFError) as error:
        return [f"/out did not come back whole: {error}"]
    return []


def interrupt_on_signals() -> None:
    """SIGTERM ends the guest as ^C does; ^C also where a shell started this program with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
