"""When a run ends: its number of rounds, its tokens, its hours, whichever comes first."""

from league.runtime.assembly import League


def reached(league: League, number: int) -> str | None:
    """Which of its limits ends the run with round `number`, in words, or None."""
    limits = league.config.league
    if number >= limits.rounds:
        return "all rounds played"
    if limits.token_budget and sum(league.tokens.values()) >= limits.token_budget:
        return f"token budget of {limits.token_budget} spent"
    if limits.trained_tokens and league.tokens["trained"] >= limits.trained_tokens:
        return f"trained on {limits.trained_tokens} tokens"
    if limits.max_hours and sum(league.clock.values()) >= 3600 * limits.max_hours:
        return f"{limits.max_hours} hours spent"
    return None


def used(league: League) -> float:
    """The share of the nearest limit in tokens or hours that is spent, 0…1; 0 where there is none.
    Rounds are not counted here."""
    limits = league.config.league
    shares = [0.0]
    if limits.token_budget:
        shares.append(sum(league.tokens.values()) / limits.token_budget)
    if limits.trained_tokens:
        shares.append(league.tokens["trained"] / limits.trained_tokens)
    if limits.max_hours:
        shares.append(sum(league.clock.values()) / (3600 * limits.max_hours))
    return min(1.0, max(shares))
