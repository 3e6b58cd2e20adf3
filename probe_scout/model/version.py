"""The version, as a package index and `--version` tell it; the build reads it here."""

__version__ = "0.1.0"
