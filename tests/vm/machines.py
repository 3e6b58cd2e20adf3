"""The architectures of guests: how QEMU is called, where Debian has its packages, how the prober is built.

amd64 guests are made of this machine's own programs; the others of unpacked packages (foreign.py).
"""

from __future__ import annotations

from typing import NamedTuple


class Machine(NamedTuple):
    """One architecture. `debian` is Debian's word; `uname` what `uname -m` prints there; `triple` the compiler's.

    `board` are QEMU's words for machine and processor without KVM; `console` is the serial port's name in Linux;
    `append` are words of the kernel's command line that only this architecture has. `firmware` is a file that QEMU
    needs (-bios), below / or $PROBE_SCOUT_QEMU. `suite`, `gcc` and `python` are Debian's, of what the guest is made of;
    without `python` the tool is not there.
    """

    debian: str
    uname: str
    triple: str
    board: tuple[str, ...]
    console: str
    append: str
    firmware: str = ""
    suite: str = "bookworm"
    gcc: str = "12"
    python: str = "3.11"

    @property
    def qemu(self) -> str:
        """The program."""
        return f"qemu-system-{self.uname}"


MACHINES = {
    machine.debian: machine
    for machine in (
        # la57=off: five-level tables cost a third of the speed without KVM.
        Machine(
            "amd64",
            "x86_64",
            "x86_64-linux-gnu",
            ("-machine", "q35", "-accel", "tcg,tb-size=512", "-cpu", "max,la57=off"),
            "ttyS0",
            "tsc=reliable no_timer_check",
        ),
        # neoverse-n1: LSE atomics, neither pointer authentication nor BTI; "max" takes half as long again to boot.
        Machine(
            "arm64",
            "aarch64",
            "aarch64-linux-gnu",
            ("-machine", "virt,gic-version=3", "-accel", "tcg,tb-size=512", "-cpu", "neoverse-n1"),
            "ttyAMA0",
            "",
        ),
        Machine(
            "riscv64",
            "riscv64",
            "riscv64-linux-gnu",
            ("-machine", "virt", "-accel", "tcg,tb-size=512", "-cpu", "rv64"),
            "ttyS0",
            "",
            "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.bin",
            "trixie",  # bookworm has no riscv64
            "14",
            "",
        ),
    )
}
NATIVE = MACHINES["amd64"]
