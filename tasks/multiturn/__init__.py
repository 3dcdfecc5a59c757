"""What tasks with several turns share: where a match stands, and what is said between turns."""
