"""How good every live agent is alone in each domain, as the league believes it now.

These counts gate its teaching. Not an exam: old answers fade, and training answers are among them. A run of a version
that did not count is unknown.
"""

from collections.abc import Mapping
from typing import Any

from league.payoffs.competence import Competence
from league.reporting.queries.estimates import as_arrays
from league.reporting.views import Estimate, Matrix
from league.types import Version

ONE_SIDED = 0.975
"""Of each bound, so that the interval has 95%."""


def competence_matrix(state: Mapping[str, Any]) -> Matrix | None:
    """Live agents × domains: posterior mean of accuracy with its 95% interval.

    None where nothing was counted.
    """
    stored = state.get("competence")
    live = [Version.parse(member["version"]) for member in state.get("population", {}).get("members", ())]
    if not stored or not live:
        return None
    found = Competence.from_json(stored)
    domains = list(dict.fromkeys(domain for version, domain in found.cells if version in set(live)))
    rows = [version for version in live if any(found.counts(version, domain)[1] for domain in domains)]
    if not rows:
        return None
    values_RC, low_RC, high_RC, n_RC = as_arrays(
        [[_estimate(found, version, domain) for domain in domains] for version in rows]
    )
    return Matrix(
        "Accuracy alone, as believed now",
        "share of right answers, unaided",
        rows=tuple(version.agent for version in rows),
        cols=tuple(domains),
        values=values_RC,
        scale="share",
        low=low_RC,
        high=high_RC,
        n=n_RC,
        row_axis="agent",
        col_axis="domain",
        key="competence",
    )


def _estimate(found: Competence, version: Version, domain: str) -> Estimate | None:
    _, answers = found.counts(version, domain)
    if not answers:
        return None
    return Estimate(found.mean(version, domain), *found.bounds(version, domain, ONE_SIDED), n=round(answers))
