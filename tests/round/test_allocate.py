"""Shared matches go where they gain most, within floor and cap."""

from collections import Counter

import numpy as np

from league.matchmaking import Pairing, RuleContext
from league.matchmaking.gain import GainPerToken
from league.payoffs.channel_gains import ChannelGains
from league.payoffs.competence import Competence
from league.payoffs.view import PayoffView
from league.round.allocate import share_matches
from league.types import Version

EXPERT, STUDENT = Version("expert", 0), Version("student", 0)
DOMAINS = ("sums", "words", "texts", "logic")


def offers(gains: ChannelGains, competence: Competence = Competence()):
    def context(task: str, channel: str, taught: bool) -> RuleContext:
        return RuleContext(PayoffView(), task, 1, gains=gains, competence=competence, channel=channel, taught=taught)

    taught = [Pairing(EXPERT, STUDENT, domain) for domain in DOMAINS]
    alone = [Pairing(STUDENT, STUDENT, domain) for domain in DOMAINS]
    return {
        "worked": (context("worked", "worked_replies", True), taught),
        "practice": (context("practice", "own_samples", False), alone),
    }


def learned() -> ChannelGains:
    """Worked replies raised words from 0 to 1 with 4,000 tokens; everything else that was tried gained nothing."""
    found = ChannelGains()
    for domain in DOMAINS:
        for source in (("expert", "worked_replies"), ("", "own_samples")):
            for step in range(8):
                up = step / 8 if (domain, source[0]) == ("words", "expert") else 0.0
                found = found.observed("student", domain, 50 * up, 50).paid(
                    "student", domain, source, sampled=250, trained=250
                )
    return found


def shares(gains: ChannelGains, *, floor: float, cap: float, count: int = 400) -> Counter:
    rules = {task: GainPerToken(floor) for task in ("worked", "practice")}
    drawn = share_matches(offers(gains), rules, count, cap=cap, rng=np.random.default_rng(0))
    assert len(drawn) == count
    return Counter((task, pairing.domain) for task, pairing in drawn)


def test_matches_go_to_the_best_gain_with_a_floor_for_the_others() -> None:
    found = shares(learned(), floor=0.2, cap=1.0)
    assert found["worked", "words"] > 0.5 * 400
    assert len(found) == 8, "the floor reaches every task in every domain"


def test_no_domain_eats_the_budget() -> None:
    found = shares(learned(), floor=0.0, cap=0.4)
    by_domain = Counter({d: sum(n for (_, domain), n in found.items() if domain == d) for d in DOMAINS})
    assert max(by_domain.values()) == 160 == by_domain["words"]


def test_a_mastered_domain_has_no_room_left() -> None:
    """Words answered right 60 times of 60: however much was gained there, the others get more of the matches."""
    mastered = Competence().add([(STUDENT, "words", 60, 60)])
    rules = {task: GainPerToken(0.0) for task in ("worked", "practice")}
    drawn = share_matches(offers(learned(), mastered), rules, 400, cap=1.0, rng=np.random.default_rng(0))
    assert sum(pairing.domain == "words" for _, pairing in drawn) < 400 / len(DOMAINS)


def test_without_knowledge_everybody_gets_some() -> None:
    assert min(shares(ChannelGains(), floor=0.0, cap=1.0).values()) > 15


def test_one_domain_alone_has_no_cap() -> None:
    context, pairings = offers(ChannelGains())["worked"]
    drawn = share_matches(
        {"worked": (context, pairings[:1])}, {"worked": GainPerToken()}, 5, cap=0.2, rng=np.random.default_rng(0)
    )
    assert len(drawn) == 5


def test_nobody_to_meet_is_no_match() -> None:
    context, _ = offers(ChannelGains())["worked"]
    assert (
        share_matches({"worked": (context, [])}, {"worked": GainPerToken()}, 5, cap=0.5, rng=np.random.default_rng(0))
        == []
    )
