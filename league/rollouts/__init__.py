"""Matches played stage by stage into episode trees, transcripts and results."""

from league.rollouts.matches import make_match, outcomes_of, result_of, voids_of
from league.rollouts.play import Player, play, play_unseen, with_instructions
from league.rollouts.replay_records import ReplayKeeper
from league.rollouts.transcripts import transcript

__all__ = [
    "Player",
    "ReplayKeeper",
    "make_match",
    "outcomes_of",
    "play",
    "play_unseen",
    "result_of",
    "transcript",
    "voids_of",
    "with_instructions",
]
