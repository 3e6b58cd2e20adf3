"""Bytes to values; opens nothing."""
