"""One file or folder a command; no command imports another."""
