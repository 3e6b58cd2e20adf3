"""The front door for programs, the command line, and reports as text."""
