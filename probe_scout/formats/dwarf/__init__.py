"""DWARF debug information, read for one question: where is the code of a function, and where are its inlined copies."""
