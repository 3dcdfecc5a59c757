"""Tasks whose agents write together over several turns."""
