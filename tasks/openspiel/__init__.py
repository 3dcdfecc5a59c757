"""Two-player games of OpenSpiel, played through text.

Which games and what a player reads, the match, and exact figures about how they were played.
"""
