"""Which module that is not loaded may hold a function: modules.dep, and the symbols of the files it names."""

from __future__ import annotations

from . import symbol_names as names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .protocol import Lookup

FILES_MAX = 8  # module files opened for one name; each may have to be unpacked
# Functions of common tracers and the module whose file defines them. Checked against the file where there is one.
MODULE_HOMES = {
    "md_flush_request": "md_mod",
    "nvme_setup_cmd": "nvme_core",
    "nvme_submit_user_cmd": "nvme_core",
    "scsi_dispatch_cmd": "scsi_mod",
    "nfs_file_read": "nfs",
    "nfs_file_write": "nfs",
    "nfs4_file_open": "nfsv4",
    "vmx_vcpu_run": "kvm_intel",
    "svm_vcpu_run": "kvm_amd",
    "ip_vs_in": "ip_vs",
    "ipt_do_table": "ip_tables",
    "nf_nat_inet_fn": "nf_nat",
    "wg_xmit": "wireguard",
    "vxlan_xmit": "vxlan",
    "e1000_xmit_frame": "e1000",
    "serio_raw_drv_exit": "serio_raw",
}
# First words of function names -> modules to look into, for names that no table knows.
MODULE_WORDS = {
    "9p": ("9p",),
    "bond": ("bonding",),
    "br": ("bridge",),
    "dm": ("dm_mod",),
    "drm": ("drm",),
    "ip6t": ("ip6_tables",),
    "ipt": ("ip_tables",),
    "iwl": ("iwlwifi",),
    "kvm": ("kvm",),
    "md": ("md_mod",),
    "mlx5e": ("mlx5_core",),
    "mlx5": ("mlx5_core",),
    "nf": ("nf_conntrack", "nf_nat", "nf_tables"),
    "nfs": ("nfs", "nfsv4"),
    "nfs4": ("nfsv4",),
    "nft": ("nf_tables",),
    "nvme": ("nvme_core", "nvme"),
    "ovl": ("overlay",),
    "p9": ("9pnet",),
    "rpc": ("sunrpc",),
    "sata": ("libata",),
    "ata": ("libata",),
    "scsi": ("scsi_mod",),
    "sd": ("sd_mod",),
    "snd": ("snd", "snd_pcm"),
    "svc": ("sunrpc",),
    "svm": ("kvm_amd",),
    "usb": ("usbcore",),
    "v9fs": ("9p",),
    "virtblk": ("virtio_blk",),
    "virtnet": ("virtio_net",),
    "vmx": ("kvm_intel",),
    "wg": ("wireguard",),
    "xhci": ("xhci_hcd",),
}


def homes(lookup: Lookup, name: str) -> tuple[tuple[str, bool], ...]:
    """Modules, not loaded here, that define `name`: (module, read), best first.

    `read` is true where the module's own file was read and has the function, false where only the
    table of known homes says so and there is no file to look into. Opens at most `FILES_MAX` files.
    """
    files = lookup.module_files()
    loaded = lookup.modules_loaded()
    known = MODULE_HOMES.get(name)
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
    found.extend(MODULE_WORDS.get(words[0], ()))
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
