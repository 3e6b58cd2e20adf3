"""ELF files: programs and libraries, their symbols and notes."""
