"""Lists that the kernel keeps for probes, its configuration, and lockdown."""

from __future__ import annotations

from .. import arch as machines
from ..errors import Malformed
from ..model import facts
from .identity import Identity
from .reading import BLACKLIST, INJECTION, LOCKDOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.text.btf_ids import BtfIdSets
    from ..formats.text.kprobe_blacklist import Blacklist
    from ..sources.source import Source


_ENTRIES = frozenset(("x86_64", "aarch64"))  # whose blacklist ends with the text of entries


class Lists(Identity):
    """BTF id sets, the kprobe blacklist, the error-injection list, CONFIG options, lockdown."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self._loaders[facts.KPROBE_BLACKLIST] = self.blacklist
        self._loaders[facts.ERROR_INJECTION] = self.injectable
        self._loaders[facts.CONFIG] = lambda: self.config("CONFIG_BPF_SYSCALL")
        self._loaders[facts.LOCKDOWN] = self.lockdown
        self._ids: BtfIdSets | None = None
        self._blacklist: Blacklist | None = None
        self._injection: dict[str, str] | None = None
        self._config: tuple[str, bytes] | None = None
        self._config_is_cut: bool | None = None

    def ids(self) -> BtfIdSets:
        """The kernel's BTF id sets; `visible` false marks BTF_IDS as unread."""
        if self._ids is None:
            from ..formats.text import btf_ids

            raw = self.kallsyms()
            known = self._known(raw)
            self._ids = known.ids() if known is not None else None
            if self._ids is None:
                self._ids = btf_ids.table(raw) if raw is not None else btf_ids.BtfIdSets(False, {})
        return self._ids

    def blacklist(self) -> Blacklist | None:
        """The kprobe blacklist; None if unread."""
        if self._blacklist is None:
            found = self._try(facts.KPROBE_BLACKLIST, (BLACKLIST,))
            if found is not None:
                from ..formats.text import kprobe_blacklist

                try:
                    self._blacklist = self._whole_blacklist(kprobe_blacklist.table(found[1]), len(found[1]))
                except Malformed as error:
                    self.mark_malformed(facts.KPROBE_BLACKLIST, error)
        return self._blacklist

    def _whole_blacklist(self, found: Blacklist, size: int) -> Blacklist:
        """The list, if it has the last area that boot adds to it. Raises Malformed.

        kernel/kprobes.c populate_kprobe_blacklist ends with arch_populate_kprobe_blacklist, which adds the text of
        entries up to its end (arch/x86/kernel/kprobes/core.c, arch/arm64/kernel/probes/kprobes.c); modules come behind.
        What of them is missing nothing tells, nor what is where addresses are hidden.
        """
        raw = self.kallsyms() if self._is_copy() and not found.hidden else None
        if raw is not None and self.arch() in _ENTRIES and b" arch_populate_kprobe_blacklist\n" in raw:
            at = raw.find(b" __entry_text_end\n")
            line = raw[raw.rfind(b"\n", 0, at) + 1 : at].partition(b" ")[0] if at >= 0 else b""
            end = int(line, 16) if line.isalnum() else 0
            if end and not found.covers(end - 1):
                raise Malformed(BLACKLIST, size, "the text of entries (the list is cut off)", "its end")
        return found

    def injectable(self) -> dict[str, str]:
        """Functions in the error-injection list with their kind; empty where the feature is not built."""
        if self._injection is None:
            self._injection = {}
            # Not built, there is no such list (lib/error-inject.c): empty, and not unread.
            if self.feature("error_injection"):
                found = self._try(facts.ERROR_INJECTION, (INJECTION,))
                if found is not None:
                    from ..formats.text import error_injection

                    self._injection = {name: kind for (name, _), kind in error_injection.table(found[1]).items()}
        return self._injection

    def _find_arch(self) -> str:
        found = super()._find_arch()
        options = ((arch, row.option) for arch, row in machines.ARCHITECTURES.items())
        if found == "unknown":
            return next((arch for arch, option in options if self.config(option) == "y"), found)
        return found

    def config(self, option: str) -> str | None:
        """The value of a CONFIG_ option ("y", "m", …), "" if it is not set, None if no configuration can be read."""
        if self._config is None:
            release = self.release()
            paths = (
                "proc/config.gz",
                f"boot/config-{release}",
                f"usr/lib/modules/{release}/config",
                f"lib/modules/{release}/config",
                "boot/config",
            )
            self._config = self._try(facts.CONFIG, paths) or ("", b"")
        path, raw = self._config
        if not path:
            return None
        from ..formats.text import kconfig

        try:
            if self._config_is_cut is None:
                self._config_is_cut = kconfig.is_cut_off(raw)
            if self._config_is_cut and not kconfig.is_named(raw, option):
                self.mark_malformed(
                    facts.CONFIG,
                    Malformed(path, len(raw), "its last menu, Kernel hacking (the file is cut off)", "its end"),
                    "copy the whole file",
                )
                return None
            return kconfig.find(raw, option) or ""
        except Malformed as error:
            self.mark_malformed(facts.CONFIG, error)
            self._config = ("", b"")
            return None

    def option(self, *options: str) -> bool | None:
        """True if all options are set; None if the configuration cannot be read."""
        values = [self.config(option) for option in options]
        if None in values:
            return None
        return all(value not in ("", "n") for value in values)

    def built(self, symbols: tuple[str, ...], *options: str) -> bool | None:
        """A feature is built: by its global functions, else by the configuration.

        A slice may have been cut before these functions were asked for: there the configuration has a word too.
        """
        by_symbol = self.has_symbol(*symbols)
        if by_symbol or (by_symbol is False and not self.is_cut()):
            return by_symbol
        return self.option(*options)

    def lockdown(self) -> str | None:
        """none, integrity or confidentiality; None if it cannot be told."""
        found = self._try(facts.LOCKDOWN, (LOCKDOWN,))
        if found is not None:
            from ..formats.text import security

            return security.lockdown(found[1])
        # Without the LSM security_locked_down has nothing to call (security/lockdown/lockdown.c lock_kernel_down).
        if self.option("CONFIG_SECURITY_LOCKDOWN_LSM") is False or self.has_symbol("lock_kernel_down") is False:
            self._unread[facts.LOCKDOWN] = None
            return "none"
        return None
