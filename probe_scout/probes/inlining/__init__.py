"""Whether a probe sees every call."""
