"""One kernel, as far as it was read."""
