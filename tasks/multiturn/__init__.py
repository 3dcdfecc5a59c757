"""Tasks whose agents write together over several turns: their course, feedback, and where a play stands."""
