"""What a user can get wrong: every case is one message, and nothing is written.

The messages are of the UserError family (exit code 2).
"""

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml

from league.config import parse_config, try_parse_config
from league.errors import ConfigError, Foreign, LeagueError, ModelUnavailable, RunFolderError, UserError
from league.evaluation.on_demand import exam_now, play_once
from league.loop import train
from league.model.folder import check_model
from league.preflight.checks import prepare, prepare_file
from league.runtime.export import choose, export_agents
from league.store.reader import RunReader
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny, tiny_config

WORDS = {
    "agents": {"rocky": {"role": "scripted", "says": {"rock": 1}}, "pat": {"role": "scripted", "says": {"paper": 1}}},
    "domains": {},
    "tasks": {"game": {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}},
    "league__rounds": 1,
}
"""A league that needs no model."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def refused(model: Path, runs: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        prepare(parse_config(yaml.safe_dump(tiny_config(model, runs, **changes)), "test"), progress=lambda line: None)
    assert not (runs / "tiny").exists(), "nothing may be written"
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ other people's code
def test_whatever_foreign_code_raises_is_a_users_error() -> None:
    class Own(Exception):
        pass

    for error in (Own("x"), SystemExit(3), StopIteration(), MemoryError(), SyntaxError("y")):
        with pytest.raises(UserError, match=f"the thing: {type(error).__name__}"), Foreign("the thing"):
            raise error
    for ours in (LeagueError("z"), KeyboardInterrupt()):
        with pytest.raises(type(ours)), Foreign("the thing"):
            raise ours


@pytest.mark.parametrize(
    "kind",
    ["json:loads", "os:path", "league.errors:UserError", "league.types:Match", ":X", ".x:Y", "no_such:X", "json:nope"],
)
def test_a_task_kind_that_is_no_task(model: Path, tmp_path: Path, kind: str) -> None:
    message = refused(model, tmp_path, tasks__contest={"kind": kind, "matches": 1})
    assert "tasks.contest.kind: task kind" in message and kind in message


@pytest.mark.parametrize(
    "text",
    ["raise RuntimeError('boom')", "def (:", "raise SystemExit(0)", "class Own(Exception): ...\nraise Own('boom')"],
)
def test_a_module_that_cannot_be_imported(
    model: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    agents = {
        "ada": {"role": "student"},
        "max": {"role": "student"},
        "sid": {"role": "scripted", "script": "odd_module:f"},
    }
    task = {"kind": "odd_module:X", "matches": 1}
    message = refused(model, tmp_path / "runs", agents=agents, tasks={"odd": task})
    assert "tasks.odd.kind: task kind 'odd_module:X' cannot be imported" in message
    assert "agents.sid: script 'odd_module:f' cannot be imported" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True])
def test_settings_are_finite_numbers(model: Path, tmp_path: Path, value: object) -> None:
    for name in ("length_penalty", "temperature"):
        assert f"tasks.teaching.settings.{name}: expected" in refused(
            model, tmp_path, **{f"tasks__teaching__settings__{name}": value}
        )


# --------------------------------------------------------------------------------------------------- damaged models
@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"architectures": 3}'),
        ("config.json", '{"max_position_embeddings": "many"}'),
        ("config.json", '{"text_config": 3}'),
        ("model.safetensors", "xx"),
        ("model.safetensors", ""),
        ("tokenizer_config.json", "{"),
        ("tokenizer.json", "{"),
    ],
)
def test_a_damaged_model_folder_is_named(tmp_path: Path, file: str, content: str) -> None:
    folder = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    (folder / file).write_text(content)
    assert str(folder / file) in refused(folder, tmp_path / "runs")


def test_cut_weights_are_refused_and_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "model")
    before = check_model(folder)
    (folder / ".league-weights.json").write_text("{")
    assert check_model(folder) == before
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelUnavailable, match="model.safetensors"):
        check_model(folder)


# ------------------------------------------------------------------------------------------------- runs too young
@pytest.fixture(scope="module")
def unbegun(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder without a committed round."""

    class Killed(Nobody):
        def phase(self, league, number: int, text: str) -> None:
            raise KeyboardInterrupt

    config = tiny(model, tmp_path_factory.mktemp("runs"))
    with pytest.raises(KeyboardInterrupt):
        train(prepare(config), Killed())
    return config.folder


def test_nothing_can_be_asked_of_a_run_without_a_round(unbegun: Path, tmp_path: Path) -> None:
    from league.commands.compare import compare

    with RunReader.read(unbegun) as reader, pytest.raises(RunFolderError, match="no committed round.*league resume"):
        choose(reader, 1, "accuracy", [])
    for ask in (
        lambda: exam_now(unbegun, [], "test", 1),
        lambda: play_once(unbegun, ["adder", "ada"], task=None, domain=None, index=0),
        lambda: compare(unbegun, unbegun),
    ):
        with pytest.raises(RunFolderError, match="no committed round"):
            ask()


def test_a_run_without_domains_sits_no_exam(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from league.commands.compare import compare

    run = train(prepare(tiny(Path("/nowhere"), tmp_path, **WORDS)), Nobody())
    with pytest.raises(UserError, match="no domains"):
        exam_now(run, [], "test", 1)
    compare(run, run)
    assert "no last exam to compare" in capsys.readouterr().out
    with RunReader.read(run) as reader, pytest.raises(UserError, match="no weights to export"):
        export_agents(run, reader, choose(reader, 1, "rating", ["rocky"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["Quick.bak", "123", "yes", "my run", "x #y"])
def test_a_moved_run_folder_opens_under_any_name(unbegun: Path, tmp_path: Path, name: str) -> None:
    from league.runtime.assembly import read_config

    (tmp_path / name).mkdir()
    (tmp_path / name / "config.yaml").write_bytes((unbegun / "config.yaml").read_bytes())
    config = read_config(tmp_path / name, trusted=False)
    assert config.folder == tmp_path / name


# ---------------------------------------------------------------------------------------------- places to write
def test_places_that_cannot_be_written(tmp_path: Path, unbegun: Path) -> None:
    from league.commands.report import report

    (tmp_path / "file").write_text("")
    with RunReader.read(unbegun) as reader:
        for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/x")):
            with pytest.raises(UserError, match=r"file|/proc/x"):
                export_agents(unbegun, reader, [], out)
    with pytest.raises(UserError, match="--tensorboard names an empty folder"):
        report(unbegun, tmp_path / "page.html", tmp_path / "file")
    assert json.loads(json.dumps([path.name for path in tmp_path.iterdir()])) == ["file"]


@pytest.mark.parametrize("place", ["file", "file/below/deeper", "link", "/proc/x", "a\0b", "x" * 300])
def test_a_run_needs_a_place(model: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(tmp_path.iterdir())
    data = tiny_config(model, tmp_path / place, adapter__targets=["q_prj"])
    with pytest.raises(ConfigError) as caught:
        prepare(parse_config(yaml.safe_dump(data), "test"), progress=lambda line: None)
    assert [line.partition(":")[0] for line in caught.value.problems] == ["runs", "adapter.targets"]
    assert "runs=FOLDER" in caught.value.problems[0] and sorted(tmp_path.iterdir()) == before


def test_a_folder_nobody_may_write_to_is_no_place_for_a_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere: what others are told is what the system says when a folder is made."""

    def refusing(path: str, mode: int = 0o777) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.mkdir", refusing)
    with pytest.raises(ConfigError, match=r"runs: no folder can be made in .*Permission denied"):
        prepare(tiny(model, tmp_path / "runs"), progress=lambda line: None)


# ------------------------------------------------------------------------------------------------- one message
def test_shapes_names_values_and_the_model_are_listed_together(tmp_path: Path) -> None:
    data = tiny_config(
        Path("/no/such/model"), tmp_path, learnin={"x": 1}, domains__more={"kind": "chian_sum"}, model__device="mps"
    )
    data["agents"]["max"] = {"role": "studnt"}
    data["agents"]["ada"]["checkpoint"] = "/nope"
    data["tasks"]["odd"] = {"kind": "contst", "matches": 1}
    data["tasks"]["teaching"]["settings"]["explanations"] = 1
    data["tasks"]["exam"] = {"kind": "contest", "matches": 1, "matchmaking": {"pfps": 1}}
    data["league"]["rounds"] = True
    (tmp_path / "odd.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError) as caught:
        prepare_file(tmp_path / "odd.yaml")
    found = caught.value.problems
    for start, hint in {
        "learnin": "'learning'",
        "agents.max.role": "'student'",
        "league.rounds": "number",
        "domains.more": "'chain_sum'",
        "tasks.odd.kind": "'contest'",
        "tasks.teaching.settings.explanations": "at least 2",
        "tasks.exam": "reserved",
        "tasks.exam.": "'pfsp'",
        "model.name": "/no/such/model",
    }.items():
        assert any(line.startswith(start) and hint in line for line in found), (start, hint, found)
    if sys.platform != "darwin":
        assert any(line.startswith("model.device") for line in found)
    assert len(found) == len(set(found)) >= 10


def test_a_wrong_part_is_cut_and_the_rest_kept() -> None:
    data = tiny_config(
        Path("m"), Path("r"), agents__ada={"role": "x", "train": 7, "y": 1}, name=[1], league={"rounds": 0}
    )
    read = try_parse_config(yaml.safe_dump(data), "test")
    assert read.config is not None and set(read.config.agents) == {"adder", "max"} and read.config.name == "unnamed"
    assert len(read.problems) == 5


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model__device": "cuda"}, "model.device: 'cuda'"),
        (
            {"agents__ada__checkpoint": "/nope"},
            "agents.ada.checkpoint: expected a PEFT folder, /nope has no adapter_config.json",
        ),
        ({"adapter__targets": []}, "adapter.targets"),
        ({"adapter__targets": ["q_proj", "k_proj", "q_proj"]}, "adapter.targets: layers are named twice: q_proj"),
        (
            {"agents__ada__adapter": {"targets": ["v_proj", "v_proj"]}},
            "agents.ada.adapter.targets: layers are named twice: v_proj",
        ),
        ({"adapter__targets": ["q_prj"]}, "adapter.targets: the model has no linear layer 'q_prj'"),
        ({"adapter__targets": ["input_layernorm"]}, "adapter.targets: the model has no linear layer 'input_layernorm'"),
        (
            {"adapter__targets": ["self_attn.q_proj"]},
            "adapter.targets: the model has no linear layer 'self_attn.q_proj'",
        ),
        ({"adapter__targets": ["lm_head", ""]}, "adapter.targets: the model has no linear layer 'lm_head'"),
        ({"adapter__alpha": float("inf")}, "adapter.alpha"),
        ({"learning__max_grad_norm": float("inf")}, "learning.max_grad_norm: expected a finite number"),
        ({"league__max_hours": float("inf")}, "league.max_hours: expected a finite number"),
        ({"league__rounds": True}, "league.rounds: expected a number, found True"),
        ({"tasks__contest__matchmaking": {"pfsp": True}}, "tasks.contest.matchmaking.pfsp: expected a number"),
        ({"warmup__expert": {"explain": 0.8, "examples": 0.8}}, "warmup.expert: explain and examples"),
        ({"tasks__contest__situations": {"a": {"individual": 0}}}, "nothing would be rewarded"),
        (
            {"tasks__contest__situations": {"a": {"weight": 1e308}, "b": {"weight": 1e308}}},
            "tasks.contest.situations.a.weight",
        ),
        (
            {"agents": {"ada": {"role": "student"}}, "tasks": {"t": {"kind": "tasks.teaching:Teaching", "matches": 1}}},
            "role 'expert'",
        ),
        (
            {
                "tasks__teaching": {
                    "kind": "tasks.teaching:Teaching",
                    "matches": 1,
                    "settings": {"explanation_tokens": 4000},
                }
            },
            "task 'teaching'",
        ),
        (
            {
                "tasks__work": {
                    "kind": "writing",
                    "matches": 1,
                    "settings": {"max_tokens": 900, "arrangement": "sequential"},
                }
            },
            "task 'work'",
        ),
        ({"tasks__work": {"kind": "coding", "matches": 1, "settings": {"max_tokens": 900, "turns": 2}}}, "task 'work'"),
        ({"tasks__work": {"kind": "matrix_game", "matches": 1, "settings": {"max_tokens": 2000}}}, "task 'work'"),
        ({"agents__ada__system": "word " * 3000}, "context"),
    ],
)
def test_refused_before_anything_is_written(model: Path, tmp_path: Path, changes: dict, expected: str) -> None:
    if expected.startswith("model.device") and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    assert expected in refused(model, tmp_path, **changes)


def test_names_are_text_whatever_yaml_makes_of_them() -> None:
    text = yaml.safe_dump(tiny_config(Path("m"), Path("r")))
    for name in ("2024", "yes", "010", "1e3", "2024-01-01"):
        assert parse_config(text, "x", [f"name={name}"]).name == name
        assert parse_config(text.replace("name: tiny", f"name: {name}"), "x").name == name
        assert name in parse_config(text, "x", [f"agents.{name}={{role: student}}"]).agents
    assert "yes" in parse_config(text.replace("max:", "yes:"), "x").agents


@pytest.mark.parametrize("error", [AttributeError, ImportError, OSError, StopIteration, KeyError, MemoryError])
def test_a_generator_may_raise_anything(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    from tasks.domains.generated import GeneratedDomain

    def broken(self, split, wanted):
        raise error("generator")

    monkeypatch.setattr(GeneratedDomain, "size_hint", broken)
    assert f"domains.sums: the generator fails: {error.__name__}" in refused(model, tmp_path)


# -------------------------------------------------------------------------------------------------- ends of a run
@pytest.mark.parametrize(
    "limit",
    [{"league__max_hours": 1e-7}, {"league__token_budget": 1}, {"league__max_hours": 1e-3, "league__rounds": 2}],
)
def test_a_limit_ends_the_run_with_its_last_exam(
    model: Path, tmp_path: Path, limit: dict, capsys: pytest.CaptureFixture[str]
) -> None:
    from league.commands.compare import compare
    from league.commands.train import stop

    run = train(prepare(tiny(model, tmp_path, **{"league__rounds": 50} | limit)), Nobody())
    with RunReader.read(run) as reader:
        assert (reader.latest_round() or 0) <= 2 and reader.state()["marks"]["end"]["exams"]
    compare(run, run)
    assert "no last exam" not in capsys.readouterr().out
    stop(run)
    assert "nothing to stop" in capsys.readouterr().out and not (run / "stop").exists()


def test_runs_are_listed_and_unknown_contests_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from league.commands.tables import cycles, status

    monkeypatch.chdir(tmp_path)
    status()
    run = train(prepare(tiny(Path("/nowhere"), Path("runs"), **WORDS)), Nobody())
    status()
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("no run in") and said[1] == "runs/tiny: round 1, stopped: all rounds played"
    with pytest.raises(UserError, match="'nope' has no contests"):
        cycles(run, "nope")


def test_cycles_have_one_shape_with_and_without_contests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from league.commands.tables import cycles

    shapes = []
    for number, agents in enumerate((WORDS["agents"], {"rocky": {"role": "scripted", "says": {"rock": 1}}})):
        run = train(prepare(tiny(Path("/nowhere"), tmp_path / str(number), **WORDS | {"agents": agents})), Nobody())
        capsys.readouterr()
        cycles(run, as_json=True, task=None, alpha=0.05)
        shapes.append(set(json.loads(capsys.readouterr().out)))
    assert shapes[0] == shapes[1] and "statistics" in shapes[1]


# ------------------------------------------------------------------------------------------- aliases of aliases
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
"""Nine lines that stand for a billion values."""


@pytest.mark.parametrize("where", ["seed: 3", "explanations: 2", "kind: chain_sum", "pfsp: 1.0"])
def test_a_few_aliases_that_stand_for_billions_are_refused_at_once(where: str) -> None:
    text = yaml.safe_dump(tiny_config(Path("m"), Path("r")))
    assert where in text
    (problem,) = try_parse_config(LAUGHS + text.replace(where, where.partition(" ")[0] + " *a8", 1), "test").problems
    assert "aliases" in problem and "100,000" in problem


def test_aliases_that_mean_themselves_are_refused_and_others_serve() -> None:
    text = yaml.safe_dump(tiny_config(Path("m"), Path("r")))
    for odd in ("explanations: &a [*a]", "explanations: &a {x: *a}"):
        (problem,) = try_parse_config(text.replace("explanations: 2", odd), "test").problems
        assert "aliases" in problem
    (problem,) = try_parse_config(text, "test", ["agents=&a {x: *a}"]).problems
    assert problem.startswith("override") and "not valid YAML" in problem
    shared = text.replace("ada:\n    role: student\n  adder", "ada: &s\n    role: student\n  adder").replace(
        "max:\n    role: student", "max: *s"
    )
    assert "&s" in shared and "*s" in shared
    assert parse_config(shared, "test") == parse_config(text, "test")


# --------------------------------------------------------------------------------------- settings that mean nothing
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tasks__teaching__seats": {"teacher": ["ada"]}}, "tasks.teaching.seats.teacher: 'ada' has no domain"),
        ({"tasks__teaching__roles": ["scripted"]}, "tasks.teaching.roles: experts teach"),
        ({"tasks__teaching__situations": {"team": {"team": 1}}}, "tasks.teaching.situations: a teacher earns"),
        ({"model__threads": 10**6}, "model.threads: input should be less than or equal to 1024"),
    ],
)
def test_a_setting_that_would_mean_nothing_is_refused(
    model: Path, tmp_path: Path, changes: dict, expected: str
) -> None:
    assert expected in refused(model, tmp_path, **changes)


ALL = {"role": "generalist"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"warmup__generalist": {"problems": 3}}, "warmup.generalist: no agent has role 'generalist'; remove it"),
        (
            {"agents__ada": {"role": "student", "branch": "adder", "adapter": {"rank": 3}}},
            "agents.ada.branch: its adapter (rank 3, alpha 16, targets down_proj, gate_proj",
        ),
        (
            {"agents": {"all": ALL}},
            "tasks.teaching: 'all' is the only teacher and the only student; add an expert or a student",
        ),
        ({"agents": {"ada": {"role": "student"}}}, "needs at least one agent with role 'expert' or 'generalist'"),
        ({"agents__adder__branch": "ada", "agents__ada__warmup": {"problems": 10**6}}, "distinct train problems"),
    ],
)
def test_a_warm_up_that_cannot_be_is_refused(model: Path, tmp_path: Path, changes: dict, expected: str) -> None:
    assert expected in refused(model, tmp_path, **changes)


def test_what_runs_of_before_the_generalists_name_is_still_read(model: Path, tmp_path: Path) -> None:
    """Their stored roles lack the new one; in teaching these were, and are, the roles of nobody's choice."""
    roles = ["student", "co-player", "exploiter", "scripted", "remote"]
    prepared = prepare(tiny(model, tmp_path, tasks__teaching__roles=roles, tasks__contest__roles=roles))
    assert prepared.config.agents["ada"].branch is None
    alone = prepare(tiny(model, tmp_path, agents={"all": ALL, "adder": {"role": "expert", "domain": "sums"}}))
    assert set(alone.config.agents) == {"all", "adder"}


def test_who_is_named_teaches_learns_and_is_measured(model: Path, tmp_path: Path) -> None:
    """A co-player with a domain teaches another one, in training and in the measure of Δ.

    There is no expert and no student among the roles.
    """
    agents = {
        "ann": {"role": "co-player", "domain": "sums"},
        "bob": {"role": "co-player"},
        "eve": {"role": "co-player", "domain": "sums"},
    }
    seats = {"teacher": ["ann"], "student": ["bob"]}
    settings = {"explanations": 2, "similar": 1, "answers": 2, "explanation_tokens": 6}
    task = {"kind": "teaching", "matches": 1, "seats": seats, "settings": settings}
    run = train(prepare(tiny(model, tmp_path, agents=agents, tasks={"teaching": task}, league__rounds=1)), Nobody())
    with RunReader.read(run) as reader:
        met = {(m.seats["teacher"].agent, m.seats["student"].agent) for m in reader.matches() if m.task == "teaching"}
        lessons = reader.state()["marks"]["end"]["lessons"]
    assert (
        met == {("ann", "bob")}
        and {row["student"] for row in lessons} >= {"bob@0"}
        and all(row["teacher"][:3] == "ann" for row in lessons)
    )


def test_a_script_that_fails_is_a_users_error(tmp_path: Path) -> None:
    agents = {"rocky": {"role": "scripted", "says": {"rock": 1}}, "odd": {"role": "scripted", "script": "os:getcwd"}}
    with pytest.raises(UserError, match="agents.odd: its script fails: TypeError"):
        train(prepare(tiny(Path("/nowhere"), tmp_path, **WORDS | {"agents": agents})), Nobody())


def test_a_player_answers_to_its_present_version_too(tmp_path: Path) -> None:
    run = train(prepare(tiny(Path("/nowhere"), tmp_path, **WORDS)), Nobody())
    assert play_once(run, ["rocky@0", "pat"], task=None, domain=None, index=0)["seats"] == {
        "row": "rocky@0",
        "col": "pat@0",
    }
    with pytest.raises(UserError, match="did you mean 'rocky@0'"):
        play_once(run, ["rocky@1", "pat"], task=None, domain=None, index=0)


def test_task_names_whose_match_ids_could_clash_are_refused() -> None:
    from league.preflight.checks import _same_match_ids

    assert not list(_same_match_ids(["sums", "sums-hard", "sums2", "other"]))
    for other in ("sums-1", "sums-merge", "sums-test-2"):
        (line,) = _same_match_ids(["sums", other])
        assert line.startswith(f"tasks.{other}:") and "'sums'" in line
