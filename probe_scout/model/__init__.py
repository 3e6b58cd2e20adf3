"""The nouns: attach types, targets, facts, verdicts, reports. No input or output, no imports of ours."""
