"""The command line: the one home of typer. Nothing imports this room."""
