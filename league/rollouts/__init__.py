"""Matches played stage by stage into episode trees, transcripts and results."""

from league.rollouts.matches import make_match, match_id
from league.rollouts.play import Player, play
from league.rollouts.results import outcomes_of, play_unseen, result_of
from league.rollouts.transcripts import transcript

__all__ = ["Player", "make_match", "match_id", "outcomes_of", "play", "play_unseen", "result_of", "transcript"]
