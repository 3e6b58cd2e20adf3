"""From a name to traits, and from outcomes to verdicts with evidence."""
