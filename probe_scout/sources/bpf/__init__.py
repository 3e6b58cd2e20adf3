"""What is attached, as this machine tells it: bpf(2), perf, netlink, /proc/PID/fd, bpftool."""
