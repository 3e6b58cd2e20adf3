"""Puts the man pages into the wheel (share/man/man1), made from the command line's own help."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """hatchling's hook of a wheel; an editable install has no use for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        sys.path[:0] = [self.root, str(Path(self.root) / "docs")]
        import reference

        folder = Path(mkdtemp(prefix="probe-scout-man-"))
        for name, text in reference.man_pages().items():
            (folder / name).write_text(text)
            build_data["shared_data"][str(folder / name)] = f"share/man/man1/{name}"
