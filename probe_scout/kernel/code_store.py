"""What machine code of one kernel could be had: code excerpts of a snapshot, an image, the tables of an image."""

from __future__ import annotations

from ..errors import Malformed, ProbeScoutError, SourceError
from .events import Events

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..formats.arm64_image import FlatImage
    from ..formats.code_slices import Slice
    from ..formats.elf.kernel_image import KernelImage
    from ..sources.source import Source
    from .arm64_module import ModuleFile
    from .patch_sites import Arm64Tables, Tables

SLICES = "code/slices"


class Store:
    """What code of one kernel could be had."""

    __slots__ = (
        *("image", "image_tried", "init_bases", "init_bugs", "live", "modules", "_body", "_slices"),
        *("arm64", "arm64_modules", "stale", "tables", "tables_tried", "why"),
    )

    def __init__(self, k: Events) -> None:
        self._body: bytes | None = None
        self._slices: dict[tuple[str | None, str], tuple[Slice, ...]] | None = None
        self.image: KernelImage | FlatImage | None = None
        self.arm64: Arm64Tables | None = None
        self.arm64_modules: dict[str, ModuleFile | None] = {}
        self.image_tried = False
        self.tables: Tables | None = None
        self.tables_tried = False
        self.init_bases: list[tuple[int, str]] | None = None
        self.init_bugs: dict[str, frozenset[int]] = {}
        self.live = k.source.describe().kind == "live"
        self.why = ""
        self.stale: frozenset[tuple[str | None, str]] = frozenset()
        self.modules: dict[str, dict[str, tuple[Slice, ...]] | None] = {}
        from ..formats import code_slices

        try:
            self._body = code_slices.unpacked(k.read(SLICES))
        except (SourceError, Malformed) as error:
            self.why = str(error)
        if self._body is not None and code_slices.says_stale(self._body):
            self.stale = frozenset(
                owner
                for owner, found in (self.slices or {}).items()
                if any(code_slices.STALE in one.sites for one in found)
            )

    @property
    def has_slices(self) -> bool:
        """A snapshot with code excerpts; the machine itself is asked directly."""
        return self._body is not None and not self.live

    @property
    def slices(self) -> dict[tuple[str | None, str], tuple[Slice, ...]] | None:
        """Every slice of the snapshot, by (module, name); None where there are none or they make no sense."""
        if self._slices is None and self._body is not None:
            from ..formats import code_slices

            try:
                self._slices = code_slices.table_unpacked(self._body)
            except Malformed as error:
                self.why, self._body = str(error), None
        return self._slices

    def slices_of(self, module: str | None, name: str) -> tuple[Slice, ...]:
        """The slices of one symbol, without looking at the lines of others where they were not read anyway."""
        if self._slices is not None or self._body is None:
            return (self._slices or {}).get((module, name), ())
        from ..formats import code_slices

        try:
            return code_slices.find_unpacked(self._body, module, name)
        except Malformed as error:
            self.why, self._body = str(error), None
            return ()

    def image_bytes(self, k: Events) -> list[tuple[str, bytes]]:
        """Path and bytes of the image named by the user, else of the running kernel's in /boot, packed as it is."""
        release = k.release()
        raws = [] if k.image is None else [("the image named", k.image)]
        if k.image is None and self.live:
            for path in (
                f"boot/vmlinuz-{release}",
                f"usr/lib/modules/{release}/vmlinuz",
                f"lib/modules/{release}/vmlinuz",
            ):
                try:
                    raws.append((path, k.source.read(path)))
                    break
                except SourceError as error:
                    if not raws and (error.kind == "denied" or path.startswith("boot")):
                        self.why = f"no image of this kernel: {error}"
                    continue
        return raws

    def open_image(self, k: Events) -> KernelImage | FlatImage | None:
        """The kernel image named by the user or found in /boot, if its build-id is this kernel's."""
        if self.image_tried:
            return self.image
        self.image_tried = True
        for path, raw in self.image_bytes(k):
            try:
                ours = k.build_id()
                image = _image(k, raw, path, ours)
                if ours and image.build_id and image.build_id != ours:
                    self.why = f"{path} is of another build ({image.build_id[:12]}, this kernel is {ours[:12]})"
                    continue
                self.image = image
            except (Malformed, ProbeScoutError) as error:
                self.why = str(error)
        return self.image


def _image(k: Events, raw: bytes, path: str, build_id: str) -> KernelImage | FlatImage:
    """What an image is, by its first bytes. Raises Malformed."""
    from ..formats.elf import kernel_image

    if raw[:2] == b"\x1f\x8b" and k.arch() == "aarch64":
        raw = kernel_image.unpack(raw, path, kernel_image.UNPACKED_BYTES_MAX)
    if raw[56:60] == b"ARM\x64" or raw[4:8] == b"zimg":
        from ..formats import arm64_image

        symbols = k.kallsyms() or b""
        from ..formats.text import kallsyms

        text, stext = (kallsyms.find(symbols, name) for name in ("_text", "_stext"))
        offset = stext[0].address - text[0].address if text and stext else None
        return arm64_image.FlatImage(raw, path, offset, build_id)
    return kernel_image.KernelImage(kernel_image.vmlinux_of(raw, path) if kernel_image.is_bzimage(raw) else raw, path)


class Code(Events):
    """A kernel whose code may be read: all that text.py asks."""

    def __init__(self, source: Source, *, image: bytes | None = None) -> None:
        super().__init__(source, image=image)
        self.code_store: Store | None = None

    def code_why(self) -> str:
        """Why no code was found, "" if nothing was tried."""
        return self.code_store.why if self.code_store is not None else ""
