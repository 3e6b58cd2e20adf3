"""Bytes of one kernel file in, facts out. No paths are opened here."""
