"""Trace events: lists, records, raw arguments."""
