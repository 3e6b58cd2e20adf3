"""Typed targets to source text: one file for each language, and `layout`, `arguments` that all share.

Nothing here reads a kernel: reports and types come in, text goes out. The text depends on nothing else, so
the same question gives the same bytes.
"""
