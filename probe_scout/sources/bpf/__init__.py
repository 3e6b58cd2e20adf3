"""What is attached, as this machine tells it: bpf(2), perf, netlink, /proc/PID/fd, bpftool."""

SCHEMA = "probe-scout/audit-inputs/1"  # of what attached.py takes, and of the file of a snapshot
PATH = "tool/audit.json"
