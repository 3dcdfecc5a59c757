"""HELD-OUT MEASUREMENT: exams, teaching gains, cross-play, single matches. Never trained on."""
