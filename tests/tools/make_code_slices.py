"""Write a snapshot's code/slices from the kernel's own image and modules.

python tests/tools/make_code_slices.py --image vmlinuz --modules lib/modules/RELEASE --snapshot FOLDER -o OUT
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from probe_scout.arch import x86_64
from probe_scout.errors import ProbeScoutError
from probe_scout.formats import code_slices
from probe_scout.formats.elf import kernel_image
from probe_scout.kernel import module_text
from probe_scout.kernel.kernel import Kernel
from probe_scout.sources import open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, required=True, help="vmlinuz or vmlinux of the snapshot's kernel")
    parser.add_argument("--modules", type=Path, help="folder with the kernel's .ko files, packed or not")
    parser.add_argument("--snapshot", required=True, help="the snapshot, folder or archive")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    raw = options.image.read_bytes()
    elf = kernel_image.vmlinux_of(raw, str(options.image)) if kernel_image.is_bzimage(raw) else raw
    image = kernel_image.KernelImage(elf, str(options.image))
    files = sorted(options.modules.rglob("*.ko*")) if options.modules else []
    kernel = Kernel(open_source(options.snapshot))
    try:
        made = module_text.of_kernel(kernel, image, ((str(p), p.read_bytes()) for p in files))
    except ProbeScoutError as error:
        sys.exit(str(error))
    options.output.write_bytes(made)
    found = [one for group in code_slices.table(made).values() for one in group]
    print(f"{image.banner() or 'no banner'}\n{len(found)} slices, {len(made)} bytes")
    for word, amount in Counter(describe(one) for one in found).most_common():
        print(f"{amount:7} {word}")


def describe(one: code_slices.Slice) -> str:
    """Where it is, its suffix, its first instruction and what the tables say."""
    what = ".cold" if ".cold" in one.name else "suffix" if "." in one.name else "plain"
    where = "module" if one.module else "vmlinux"
    return f"{where} {what:6} {x86_64.entry_instruction(one.code).kind} {' '.join(one.sites)}"


if __name__ == "__main__":
    main()
