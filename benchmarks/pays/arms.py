"""The arms of every regime, as configurations of `league train`.

All arms of a seed start from the same adapters (`start`), spend the same number of tokens (sampled and trained on), and
sit the same exam. What differs is how the tokens are spent. What the regimes are is in `regimes.py`.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

from benchmarks.pays.regimes import Regime

Config = dict[str, Any]

SKIPPED = 160
"""Training problems that no match asks: all that anybody has learned a solution of."""
BUDGET = 24_000
"""Tokens of an arm, sampled and trained on."""
MEASURE_NOTHING = {
    "every": 100_000,
    "problems": 1,
    "final_problems": 1,
    "teaching_matches": 0,
    "final_teaching_matches": 0,
    "held_out_student": False,
}
PRACTICE = {"kind": "contest", "matches": 8, "settings": {"players": 1, "items": 1, "answers": 8, "temperature": 0.6}}
WORKED = {
    "kind": "worked_replies",
    "matches": 2,
    "settings": {"items": 16, "answers": 1, "student_items": 3, "temperature": 0.3},
}
TEACHING = {
    "kind": "teaching",
    "matches": 4,
    "settings": {"explanations": 2, "similar": 3, "answers": 3, "explanation_tokens": 48, "temperature": 0.6},
}
SUPERVISED = {"batch": 16, "learning_rate": 1e-3, "explain": 0.1, "examples": 0.1}
"""How the all-data adapter learns solutions."""
OWN_ANSWERS = {"answers": 2, "temperature": 0.6, "items": 4, "student_items": 1}
"""A match in which the student's last snapshot is its teacher."""
BY_GAIN = {"gain": 0.5, "uniform": 0.5}
TEXTS = {"own_samples": False, "learning_rate": 1e-3, "replay": {"share": 0.75}}
"""How arms that learn texts learn them: each once when it is new, and then from memory."""


def _common(name: str, regime: Regime, seed: int, runs: Path) -> Config:
    config: Config = {
        "name": name,
        "seed": seed,
        "runs": str(runs),
        "model": {"threads": 1},
        "domains": {
            alias: {"kind": kind} | ({"level": level} if level > 1 else {})
            for alias, (kind, level) in regime.domains.items()
        },
        "evaluation": dict(MEASURE_NOTHING),
        "league": {"rounds": 1, "snapshot_every": 100_000, "transcripts_per_round": 1},
    }
    if regime.rank != 8:
        config["adapter"] = {"rank": regime.rank, "alpha": 2.0 * regime.rank}
    return config


def start(regime: Regime, seed: int, runs: Path) -> Config:
    """The experts and a student, by supervised warm-up alone."""
    config = _common(f"warm-{_prefix(regime.start)}{seed}", regime, seed, runs)
    config["agents"] = {domain: {"role": "expert", "domain": domain} for domain in regime.domains} | {
        "student": {"role": "student"}
    }
    config["warmup"] = {
        "expert": {"problems": regime.solutions, "batch": 8, "learning_rate": 1e-3, "explain": 0.2},
        "student": {"problems": regime.shared, "batch": 12, "learning_rate": 1e-3, "examples": 0.25},
    }
    config["tasks"] = {"practice": deepcopy(PRACTICE) | {"matches": 1}}
    return config


def pooled(regime: Regime, seed: int, runs: Path) -> Config:
    """One adapter on all solutions of all experts."""
    config = _common(f"pool-{_prefix(regime.general)}{seed}", regime, seed, runs)
    config["agents"] = {"generalist": {"role": "student"}}
    config["warmup"] = {"student": SUPERVISED | {"problems": regime.solutions}}
    config["tasks"] = {"practice": deepcopy(PRACTICE) | {"matches": 1}}
    return config


def _prefix(folder: str) -> str:
    """What tells the runs of one folder of adapters from those of another: nothing, or "crowded-"."""
    return f"{folder.removeprefix('start-')}-" if folder != "start" else ""


# ------------------------------------------------------------------------------------------------------ arms
def arm(regime: Regime, name: str, seed: int, *, work: Path, budget: int = BUDGET) -> Config:
    """The configuration of one trained arm."""
    config = _common(f"{regime.name}-{name}-{seed}", regime, seed, work / "runs")
    config["league"] |= {"rounds": 100_000, "token_budget": budget, "skip_problems": SKIPPED}
    config["warmup"] = {"expert": {"problems": 0}}
    config["learning"] = {"learning_rate": 2e-4, "minibatches": 2}
    begin = regime.adapter(regime.begins, seed, work)
    config["agents"] = {"student": {"role": "student", "checkpoint": str(begin)}}
    experts = {
        domain: {
            "role": "expert",
            "domain": domain,
            "train": False,
            "checkpoint": str(regime.adapter(domain, seed, work)),
        }
        for domain in regime.domains
    }
    OF_REGIME.get((regime.name, name), ARMS[name])(config, experts)
    if name == "more_supervised":
        config["warmup"]["student"]["problems"] = regime.solutions
    return config


def _own_samples(config: Config, experts: Config) -> None:
    config["tasks"] = {"practice": deepcopy(PRACTICE)}


def _selected(config: Config, experts: Config) -> None:
    _own_samples(config, experts)
    config["tasks"]["practice"]["settings"] |= {"probes": 2}
    config["tasks"]["practice"]["matchmaking"] = dict(BY_GAIN)


def _rejection(config: Config, experts: Config) -> None:
    """The student's last snapshot is its teacher: verified answers of its own."""
    config["agents"]["student"]["role"] = "generalist"
    config["tasks"] = {"worked": deepcopy(WORKED) | {"matchmaking": dict(BY_GAIN)}}
    config["tasks"]["worked"]["settings"] |= OWN_ANSWERS
    config["learning"]["channels"] = {
        **deepcopy(TEXTS),
        "worked_replies": {"gate": False},
        "pasts": True,
    }
    config["league"] |= {"snapshot_every": 1, "snapshots_kept": 1}


def _as_it_was(config: Config, experts: Config) -> None:
    """Explanations in context, contests, MAGRPO: nothing of them is learned without the example."""
    config["agents"] |= {name: {**expert, "train": True} for name, expert in experts.items()}
    config["learning"]["teacher_learning_rate"] = 5e-5
    config["tasks"] = {"teaching": deepcopy(TEACHING), "practice": deepcopy(PRACTICE) | {"matches": 4}}


def _worked(config: Config, experts: Config, **settings: object) -> None:
    config["agents"] |= experts
    config["tasks"] = {"worked": deepcopy(WORKED) | {"matchmaking": dict(BY_GAIN)}}
    config["learning"]["channels"] = {**deepcopy(TEXTS), "worked_replies": {}, **settings}


def _channels(config: Config, experts: Config) -> None:
    """Worked replies first; when the student has come far enough, its experts also distil its own replies."""
    _worked(config, experts, distillation={"bridge": 0.2}, pasts=True, own_samples=True)
    config["league"] |= {"snapshot_every": 4, "snapshots_kept": 2}


def _public(config: Config, experts: Config) -> None:
    """The all-data adapter as a generalist: its experts, its own past and practice compete for every match by gain."""
    _channels(config, experts)
    config["agents"]["student"]["role"] = "generalist"
    config["learning"]["channels"]["worked_replies"] = {"gate": "others"}
    taught, by_gain = ["student"], {"matchmaking": {"gain": 1.0}, "rules": {"gain": {"floor": 0.25}}, "matches": 0}
    experienced = deepcopy(WORKED) | deepcopy(by_gain) | {"seats": {"teacher": list(experts), "student": taught}}
    own = deepcopy(WORKED) | deepcopy(by_gain) | {"seats": {"teacher": taught, "student": taught}}
    own["settings"] |= OWN_ANSWERS
    practice = deepcopy(PRACTICE) | deepcopy(by_gain) | {"roles": ["generalist"]}
    config["tasks"] = {"worked": experienced, "own": own, "practice": practice}
    config["league"] |= {"shared_matches": 4, "snapshot_every": 1, "snapshots_kept": 1}


def _more_supervised(config: Config, experts: Config) -> None:
    """The data once more: the supervised learning that made the all-data adapter, one more pass."""
    config["warmup"]["student"] = dict(SUPERVISED)
    config["tasks"] = {"practice": deepcopy(PRACTICE) | {"matches": 1}}
    config["league"] |= {"rounds": 1}


def _no_pasts(config: Config, experts: Config) -> None:
    _channels(config, experts)
    config["learning"]["channels"]["pasts"] = False


def _no_replay(config: Config, experts: Config) -> None:
    """Each reply is learned twice in its round, and never again."""
    _channels(config, experts)
    config["learning"]["channels"] |= {"replay": None, "epochs": 2}


def _no_gate(config: Config, experts: Config) -> None:
    _worked(config, experts, worked_replies={"gate": False})


def _random(config: Config, experts: Config) -> None:
    _worked(config, experts)
    config["tasks"]["worked"]["matchmaking"] = {"uniform": 1.0}


def _lessons(config: Config, experts: Config) -> None:
    config["agents"] |= experts
    config["tasks"] = {"teaching": deepcopy(TEACHING) | {"matchmaking": dict(BY_GAIN)}}
    config["learning"]["channels"] = {**deepcopy(TEXTS), "lessons": {}}


def _distilled(config: Config, experts: Config, bridge: float) -> None:
    config["agents"] |= experts
    config["tasks"] = {"practice": deepcopy(PRACTICE)}
    config["tasks"]["practice"]["settings"] |= {"answers": 4}
    config["learning"]["channels"] = {"distillation": {"bridge": bridge, "gate": False}, "own_samples": False}


def _wrong(config: Config, experts: Config) -> None:
    """Every expert works in the next domain: the control for whatever teaching does besides teaching."""
    names = list(experts)
    shifted = dict(zip(names, [*names[1:], names[0]], strict=True))
    _no_gate(config, {name: {**expert, "domain": shifted[name]} for name, expert in experts.items()})


ARMS: dict[str, Any] = {
    "magrpo": _own_samples,
    "magrpo_selected": _selected,
    "rejection": _rejection,
    "league_as_it_was": _as_it_was,
    "league": _channels,
    "more_supervised": _more_supervised,
    "worked_only": _worked,
    "lessons_only": _lessons,
    "distillation_only": lambda config, experts: _distilled(config, experts, 0.2),
    "distillation_cold": lambda config, experts: _distilled(config, experts, 0.0),
    "no_gate": _no_gate,
    "no_pasts": _no_pasts,
    "no_replay": _no_replay,
    "random_teacher": _random,
    "wrong_domain": _wrong,
}
"""Name → how the tokens are spent. Arms without training (start, experts, pooled, merge) only sit the exam."""
OF_REGIME: dict[tuple[str, str], Any] = {("public", "league"): _public}
"""(regime, arm) → its own way, where a regime has one."""
ABLATIONS = (
    "worked_only",
    "lessons_only",
    "distillation_only",
    "distillation_cold",
    "no_gate",
    "no_pasts",
    "no_replay",
    "random_teacher",
)
