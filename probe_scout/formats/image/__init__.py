"""A kernel image that was never booted, read as the files that the booted kernel would show."""
