"""User functions and USDT probes: from a written target to verdicts, limits and dangers."""
