"""Ask the running kernel itself: load the smallest program, attach it, detach it.

By bpf(2) and perf_event_open(2) through ctypes; nothing is compiled, pinned or written to tracefs. Everything
that is attached belongs to a file descriptor of one short-lived child process, so it goes when that ends.
"""
