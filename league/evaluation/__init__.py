"""HELD-OUT MEASUREMENT: exams, teaching gains, cross-play, and single matches on request. Nothing here is trained on."""
