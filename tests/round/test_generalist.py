"""A generalist, agents that branch from it, and experts that practise their own domain.

In this league `all` learns everything, `adder` branches from it and `carrier` from `adder`, so the warm-up has three
waves.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from league.config import Config
from league.evaluation.teaching_gains import TeachingGain
from league.learning.warmup import warm_up
from league.loop import resume, train
from league.model.bank import AdapterBank
from league.population import Population
from league.preflight.checks import prepare
from league.reporting.queries.exam_results import accuracy_matrix, learners
from league.reporting.queries.run_status import lineage
from league.reporting.queries.teaching_gains import gains_by_explanation
from league.round.measure import Measurement, _teaching_pairs
from league.round.schedule import pairings, schedule_matches
from league.round.strength import task_of
from league.round.warm_up import _curriculum, warm_up_all, waves
from league.runtime import assembly
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

STREAM = np.random.default_rng(0)
"""For the lot that only a crowd needs."""
DOMAINS = {"sums": {"kind": "chain_sum"}, "letters": {"kind": "letter_counting"}}
AGENTS: dict[str, dict] = {
    "carrier": {"role": "expert", "domain": "sums", "branch": "adder", "warmup": {"problems": 2, "first": 6}},
    "adder": {"role": "expert", "domain": "sums", "branch": "all"},
    "speller": {"role": "expert", "domain": "letters"},
    "all": {"role": "generalist"},
    "ada": {"role": "student"},
}
TEACHING = {
    "kind": "teaching",
    "matches": 2,
    "settings": {"explanations": 2, "similar": 1, "answers": 2, "explanation_tokens": 6},
}
PRACTICE = {
    "kind": "tests.leagues:Noise",
    "matches": 3,
    "roles": ["expert"],
    "settings": {"items": 1, "answers": 4, "players": 1},
}
CONTEST = {"kind": "tests.leagues:Noise", "matches": 2, "settings": {"items": 1, "answers": 2}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quarter of all tokens end a reply, so that it is quick."""
    folder = tmp_path_factory.mktemp("model")
    return write_tiny_model(folder, max_position_embeddings=1024, eos_token_id=list(range(2, 67)))


def config(model: Path, runs: Path, **changes: object) -> Config:
    settings: dict[str, object] = {
        "agents": AGENTS,
        "domains": DOMAINS,
        "warmup": {"generalist": {"problems": 3}, "expert": {"problems": 2}, "student": {"problems": 1}},
        "tasks": {"practice": PRACTICE, "teaching": TEACHING, "contest": CONTEST},
        "evaluation__every": 9,
        "league__rounds": 2,
    }
    return tiny(model, runs, **settings | changes)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two rounds."""
    return train(prepare(config(model, tmp_path_factory.mktemp("runs"))), Nobody())


def warmed_up(chosen: Config) -> tuple[AdapterBank, dict[str, int], list[tuple[int, int]], object]:
    """(the bank after the warm-up, tokens, the steps that people heard of, the league)."""
    league, state = assembly.create(prepare(chosen))
    heard: list[tuple[int, int]] = []
    spent = warm_up_all(league, state.population, lambda news: heard.append((news.step, news.steps))).spent
    trained = {agent: spent.trained_by(agent) for agent in spent.trained}
    league.store.close()
    return league.weights(), trained, heard, (league, state)


def weights(bank: AdapterBank, agent: str) -> torch.Tensor:
    return bank.slice(Version(agent, 0)).params_P


# ------------------------------------------------------------------------------------------------- waves, branches
def test_who_branches_waits_for_its_origin() -> None:
    origins = {"c": "b", "a": None, "b": "a", "d": None, "e": "a"}
    assert waves(origins) == [["a", "d"], ["b", "e"], ["c"]]
    assert waves({"x": None, "y": None}) == [["x", "y"]] and waves({}) == []


def test_a_branch_begins_with_its_origins_weights_and_a_fresh_optimizer(model: Path, tmp_path: Path) -> None:
    """Without a warm-up of its own it ends there, to the bit; others are not touched by it."""
    agents = AGENTS | {"adder": AGENTS["adder"] | {"warmup": {"problems": 0}}}
    bank, trained, heard, _ = warmed_up(config(model, tmp_path, agents=agents))
    adder = bank.slice(Version("adder", 0))
    assert torch.equal(weights(bank, "adder"), weights(bank, "all")) and weights(bank, "all").any()
    assert adder.moments_2P is not None and not adder.moments_2P.any() and adder.steps == 0
    assert not torch.equal(weights(bank, "carrier"), weights(bank, "adder"))
    assert trained.keys() == {"carrier", "speller", "all", "ada"}
    assert heard == [(1, 2), (2, 2)]  # one step of 8 in the first wave, none in the second, one in the third


def test_its_own_warm_up_follows_from_there(model: Path, tmp_path: Path) -> None:
    """The last wave by hand: a copy of the origin, warmed up alone on the agent's own phase."""
    bank, trained, _, (league, state) = warmed_up(config(model, tmp_path))
    again = AdapterBank(bank.base)
    again.add(Version("adder", 0), bank.spec(Version("adder", 0)), seed=0, trainable=True)
    again.slice(Version("adder", 0)).params_P.copy_(weights(bank, "adder"))
    again.clone(Version("adder", 0), Version("carrier", 0), trainable=True)
    curriculum = _curriculum(league, state.population, state.population.members["carrier"])
    assert (curriculum.phase.first, curriculum.phase.problems, len(curriculum.domains)) == (6, 2, 1)
    supervised = replace(league.objective(), aggregation="token", entropy=0.0, clip=None)
    spent = warm_up(again.base, again, [curriculum], supervised, league.config.seed)
    assert spent.trained_by("carrier") == trained["carrier"]
    assert torch.equal(weights(again, "carrier"), weights(bank, "carrier"))
    assert not torch.equal(weights(bank, "adder"), weights(bank, "all"))


def test_the_lineage_tells_of_the_branch(run: Path) -> None:
    """Origins come first, as every reader of a lineage expects of parents."""
    with RunReader.read(run) as reader:
        rows = {row.version: row for row in reader.versions() if row.version.step == 0}
        shown = {edge.child: edge for edge in lineage(reader, updates=False)}
    assert {str(v): (row.reason, row.parents) for v, row in rows.items()} == {
        "carrier@0": ("branch", (Version("adder", 0),)),
        "adder@0": ("branch", (Version("all", 0),)),
        "speller@0": ("warm-up", ()),
        "all@0": ("warm-up", ()),
        "ada@0": ("warm-up", ()),
        "base@0": ("base model", ()),
    }
    assert list(rows) == [Version(name, 0) for name in ("ada", "all", "speller", "adder", "carrier", "base")]
    assert shown["adder@0"].parents == ("all@0",) and shown["adder@0"].reason == "branch"


def test_a_stopped_and_resumed_run_is_the_same_run(model: Path, run: Path, tmp_path: Path) -> None:
    """Stopped once before the first commit, in the middle of the waves, and once after round 1."""

    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            if text.startswith("warm-up, step 2 of 3, loss "):
                raise KeyboardInterrupt

    class StopAfterOne(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                request_stop(league.store.folder)

    chosen = config(model, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(chosen), Killed())
    resume(chosen.folder, StopAfterOne())
    with RunReader.read(chosen.folder) as reader:
        assert reader.latest_round() == 1
    resume(chosen.folder, Nobody())
    assert run_digest(chosen.folder) == run_digest(run)


def test_an_origin_may_leave_a_run(model: Path, run: Path, tmp_path: Path) -> None:
    """Who branched from it stays: its `branch` is taken out with the name, and nothing else may change."""
    from league.config.fixed_settings import changed_fixed_settings

    before = config(model, tmp_path)
    left = {name: {**AGENTS[name]} for name in AGENTS if name != "all"}
    del left["adder"]["branch"]
    after = config(model, tmp_path, agents=left)
    assert changed_fixed_settings(before, after) == ()
    del left["carrier"]["branch"]
    (line,) = changed_fixed_settings(before, config(model, tmp_path, agents=left))
    assert line.startswith("agents.carrier.branch: was adder when the run began, is None")
    left["carrier"]["branch"] = "adder"
    left["carrier"]["warmup"] = {"problems": 3}
    (line,) = changed_fixed_settings(before, config(model, tmp_path, agents=left))
    assert line.startswith("agents.carrier.warmup")
    assert prepare(after, new_run=False, progress=lambda line: None)  # the phase of generalists has no agent now


# ------------------------------------------------------------------------------------------------------- generalists
def members_and_tasks(model: Path, runs: Path, **changes: object) -> tuple[Config, Population, dict]:
    """Without weights: who exists, and the tasks."""
    prepared = prepare(config(model, runs, **changes))
    return prepared.config, assembly._new_population(prepared.config, None), dict(prepared.tasks)


def test_a_generalist_teaches_and_is_taught_in_every_domain_but_not_by_itself(model: Path, tmp_path: Path) -> None:
    chosen, population, tasks = members_and_tasks(model, tmp_path)
    found = pairings(tasks["teaching"], chosen.tasks["teaching"], population, STREAM)
    assert sorted((p.row.agent, p.col.agent, p.domain) for p in found) == [
        ("adder", "ada", "sums"),
        ("adder", "all", "sums"),
        ("all", "ada", "letters"),
        ("all", "ada", "sums"),
        ("carrier", "ada", "sums"),
        ("carrier", "all", "sums"),
        ("speller", "ada", "letters"),
        ("speller", "all", "letters"),
    ]
    contests = pairings(tasks["contest"], chosen.tasks["contest"], population, STREAM)
    assert {p.row.agent for p in contests} == {"all", "ada"}


def test_delta_is_measured_in_every_domain_and_with_a_student_that_is_no_teacher(model: Path, tmp_path: Path) -> None:
    """Also where the generalist is the first of those who learn."""
    chosen, population, tasks = members_and_tasks(model, tmp_path)
    turned = dict(reversed(population.members.items()))
    population = Population(turned, {name: (Version(name, 0),) for name in turned})
    for name in turned:
        population = population.changed(name, version=Version(name, 1))
    found = list(_teaching_pairs(chosen.evaluation, chosen.tasks["teaching"], tasks["teaching"], population))
    of_all = {(str(student), domain) for teacher, student, domain in found if teacher.agent == "all"}
    assert of_all == {(student, domain) for student in ("ada@1", "ada@0") for domain in DOMAINS}
    assert {str(student) for teacher, student, _ in found if teacher.agent == "adder"} == {"ada@1", "ada@0", "all@1"}


def test_a_run_measures_the_generalist_like_a_student(run: Path) -> None:
    with RunReader.read(run) as reader:
        state = reader.state()
        table = accuracy_matrix(reader, "end")
        scalars = set(reader.scalar_names())
    assert learners(state) == ["ada", "all"]
    assert table is not None and table.n is not None and set(table.cols) == set(DOMAINS)
    sizes = {name: set(row.tolist()) for name, row in zip(table.rows, table.n, strict=True)}
    assert sizes["all"] == sizes["ada"] == {3.0} and sizes["adder"] == sizes["base"] == {2.0}
    lessons = {(row["teacher"].split("@")[0], row["domain"]) for row in state["marks"]["end"]["lessons"]}
    assert {("all", "sums"), ("all", "letters"), ("adder", "sums"), ("speller", "letters")} <= lessons
    assert {"accuracy/all/sums", "accuracy/all/letters", "reward/generalist"} <= scalars


def test_a_teacher_of_several_domains_counts_each_explanation_once() -> None:
    """Items of two domains share the numbers of their matches, but neither explanation nor problem.

    Δ is 1 − 0 in sums and 0 − 1 in letters: two explanations, not one of mean 0.
    """

    def gain(domain: str, control: float, taught: float) -> TeachingGain:
        return TeachingGain(Version("all", 1), Version("ada", 1), domain, (control,), (taught,), (0.0,))

    both = (gain("sums", 0.0, 1.0), gain("letters", 1.0, 0.0))
    measured = Measurement((), both, ())
    exams = [{"version": "ada@1", "domain": "sums", "split": "test", "correct": "1"}]
    marks = {"marks": {"end": measured.to_json() | {"exams": exams}}}
    assert gains_by_explanation(marks, "end", held_out=False) == [1.0, -1.0]
    assert measured.scalars()["delta/all/ada@1"] == 0.0 == measured.scalars()["teaching/delta"]
    assert Measurement((), both[:1], ()).scalars()["delta/all/ada@1"] == 1.0


# ------------------------------------------------------------------------------------------------- experts alone
def test_an_expert_practises_its_own_domain_only(model: Path, tmp_path: Path) -> None:
    chosen, population, tasks = members_and_tasks(model, tmp_path)
    found = pairings(tasks["practice"], chosen.tasks["practice"], population, STREAM)
    assert [(p.row.agent, p.col.agent, p.domain) for p in found] == [
        ("adder", "adder", "sums"),
        ("carrier", "carrier", "sums"),
        ("speller", "speller", "letters"),
    ]
    everyone = chosen.tasks["practice"].model_copy(update={"roles": ("expert", "student")})
    assert [
        p.domain for p in pairings(tasks["practice"], everyone, population, STREAM) if p.row.agent == "ada"
    ] == sorted(DOMAINS)
    named = chosen.tasks["practice"].model_copy(update={"seats": {"player-1": ("adder",)}})
    assert [p.domain for p in pairings(tasks["practice"], named, population, STREAM)] == sorted(DOMAINS)
    two = chosen.tasks["contest"].model_copy(update={"roles": ("expert",)})
    met = {(p.row.agent, p.col.agent, p.domain) for p in pairings(tasks["contest"], two, population, STREAM)}
    assert {("adder", "speller", domain) for domain in DOMAINS} <= met


def test_practice_trains_experts_and_they_are_judged_as_teachers(model: Path, run: Path, tmp_path: Path) -> None:
    with RunReader.read(run) as reader:
        practised = {
            (match.seats["player-1"].agent, key.split("/")[0])
            for match in reader.matches()
            if match.task == "practice"
            for key in match.problems or ()
        }
        updated = {row.version.agent for row in reader.versions() if row.reason == "update"}
    assert practised and practised <= {("carrier", "sums"), ("adder", "sums"), ("speller", "letters")}
    assert {agent for agent, _ in practised} <= updated
    league, state = assembly.create(prepare(config(model, tmp_path, learning__teacher_learning_rate=1e-4)))
    league.store.close()
    members = state.population.members
    assert {name: task_of(league, member) for name, member in members.items()} == {
        "carrier": "teaching", "adder": "teaching", "speller": "teaching", "all": "contest", "ada": "contest",
    }  # fmt: skip
    assert {name: member.hyper.learning_rate for name, member in members.items()} == {
        "carrier": 1e-4, "adder": 1e-4, "speller": 1e-4, "all": 0.01, "ada": 0.01,
    }  # fmt: skip
    first = min(int(p.index) for match in schedule_matches(league, state, 1)[1] for p in match.problems)
    assert league.config.warmed_up == 8 <= first


# ----------------------------------------------------------------------------------------------------------- many
def test_sixty_four_agents(model: Path, tmp_path: Path) -> None:
    """One generalist, three experts from it and sixty students from one student: two waves."""
    agents = {
        "all": {"role": "generalist"},
        **{f"e{i}": {"role": "expert", "domain": "sums", "branch": "all", "train": False} for i in range(3)},
        "s0": {"role": "student"},
        **{f"s{i}": {"role": "student", "branch": "s0", "warmup": {"problems": 0}} for i in range(1, 60)},
    }
    tasks = {"teaching": TEACHING}
    bank, trained, heard, (league, state) = warmed_up(config(model, tmp_path, agents=agents, tasks=tasks))
    assert len(bank.versions()) == 64 and trained.keys() == {"all", "e0", "e1", "e2", "s0"} and len(heard) == 2
    assert all(torch.equal(weights(bank, f"s{i}"), weights(bank, "s0")) for i in range(1, 60))
    assert torch.equal(weights(bank, "e0"), weights(bank, "all")) is False
    found = pairings(league.tasks["teaching"], league.config.tasks["teaching"], state.population, STREAM)
    assert len(found) == 3 * 61 + 2 * 60
