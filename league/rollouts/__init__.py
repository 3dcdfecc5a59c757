"""WHAT HAPPENED: matches played stage by stage into episode trees, and trees as transcripts."""

from league.rollouts.play import Player, play
from league.rollouts.transcripts import transcript

__all__ = ["Player", "play", "transcript"]
