"""Configurations: everything wrong is listed at once, before anything is written.

Each line has the dotted path and the nearest valid name.
"""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from league.config import Config, load_config, parse_config, yaml_values
from league.config.reading import try_parse_config
from league.errors import ConfigError, UserError
from league.preflight.channels import channel_problems
from league.preflight.checks import prepare
from tasks import make_task
from tasks.domains import make_domain
from tests.conftest import write_tiny_model
from tests.leagues import tiny, tiny_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
GOOD = yaml.safe_dump(tiny_config(Path("model"), Path("runs")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def problems_of(text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "test", overrides)
    return caught.value.problems


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_parses(path: Path) -> None:
    from league.preflight.checks import _names

    config = load_config(path)
    assert parse_config(config.dump(), "dumped") == config
    assert _names(config) == []


def test_the_private_league_of_the_page_on_teaching_can_be_played() -> None:
    """Every range of worked solutions is an agent's own, and students get none."""
    page = (Path(__file__).parents[2] / "docs/teaching.md").read_text(encoding="utf-8")
    (text,) = [block for block in page.split("```yaml\n")[1:] if block.startswith("name: private")]
    config = parse_config(text.split("```")[0], "docs/teaching.md")
    phases = {name: config.warmup_of(name) for name in config.agents}
    ranges = [
        (agent.domain, set(range(phases[name].first, phases[name].end)))
        for name, agent in config.agents.items()
        if not phases[name].answers_only
    ]
    assert len(ranges) == 3 and phases["ada"].answers_only and config.warmed_up == 276
    assert all(a[0] != b[0] or not a[1] & b[1] for place, a in enumerate(ranges) for b in ranges[:place])


def test_the_channels_of_the_page_on_teaching_have_something_to_learn_from() -> None:
    page = (Path(__file__).parents[2] / "docs/teaching.md").read_text(encoding="utf-8")
    (text,) = [block for block in page.split("```yaml\n")[1:] if block.startswith("name: channels")]
    config = parse_config(text.split("```")[0], "docs/teaching.md")
    domains = {name: make_domain(each.kind) for name, each in config.domains.items()}
    tasks = {name: make_task(each.kind, name, each.settings, domains) for name, each in config.tasks.items()}
    assert list(channel_problems(config, tasks)) == []
    on = config.learning.channels
    assert on.worked_replies and on.lessons and on.distillation and on.pasts and config.league.shared_matches == 6


def test_all_problems_at_once_with_path_and_nearest_name() -> None:
    data = tiny_config(Path("model"), Path("runs"))
    data["learning"]["learning_rte"] = 1
    data["agents"]["ada"]["role"] = "studnt"
    data["agents"]["adder"]["domain"] = "sum"
    data["league"]["rounds"] = "many"
    data["tasks"]["contest"]["matches"] = -1
    data["domans"] = {}
    found = problems_of(yaml.safe_dump(data))
    expected = {
        "learning.learning_rte": "learning_rate", "agents.ada.role": "student", "agents.adder.domain": "'sums'",
        "league.rounds": "integer", "tasks.contest.matches": "greater", "domans": "'domains'",
    }  # fmt: skip
    for path, hint in expected.items():
        assert any(line.startswith(f"{path}:") and hint in line for line in found), (path, found)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("learning.learning_rate=0", "greater than 0"),
        ("learning.learning_rate=.nan", "learning.learning_rate"),
        ("learning.learning_rate=[1]", "learning.learning_rate"),
        ("league.rounds=0", "greater than or equal to 1"),
        ("agents={}", "population is empty"),
        ("tasks={}", "at least one task"),
        ("agents.ada.train=maybe", "agents.ada.train"),
        ("agents.Ada={role: student}", "lower-case"),
        ("agents.base={role: student}", "reserved"),
        ("agents.sid={role: scripted}", "says"),
        ("name=../escape", "name"),
        ("nonsense", "key.sub=value"),
        ("name.x=1", "not a section"),
        ("league.rounds=[", "not valid YAML"),
        ("domains={}", "not a domain"),
        (
            "agents.all={role: generalist, domain: sums}",
            "agents.all.domain: an agent with role 'generalist' learns and",
        ),
        ("agents.ada.branch=adr", "agents.ada.branch: 'adr' is not another agent of this run; did you mean 'adder'?"),
        ("agents.ada.branch=ada", "agents.ada.branch: 'ada' is not another agent of this run"),
        ("agents.ada={role: student, branch: adder, checkpoint: x}", "not from both; remove one of them"),
        ("agents.sid={role: scripted, says: {a: 1}, branch: ada}", "agents.sid.branch: an agent with role 'scripted'"),
        ("agents.sid={role: scripted, says: {a: 1}, warmup: {}}", "agents.sid.warmup: an agent with role 'scripted'"),
        ("agents.ada.warmup={problms: 3}", "agents.ada.warmup.problms: unknown key; did you mean 'problems'?"),
        ("warmup.student={problems: 3, first: -1}", "warmup.student.first"),
        ("warmup.student={problems: 3, answers_only: true, explain: 0.1}", "a bare answer explains nothing"),
    ],
)
def test_impossible_values(override: str, expected: str) -> None:
    assert any(expected in line for line in problems_of(GOOD, override))


def test_branches_lead_to_weights_and_not_in_a_circle() -> None:
    circle = (
        "agents.ada.branch=max",
        "agents.max.branch=adder",
        "agents.adder.branch=ada",
        "agents.eve={role: student}",
    )
    found = problems_of(GOOD, *circle, "agents.eve.branch=ada")
    assert "agents.ada.branch: ada ← max ← adder ← ada is a circle; let one of them begin by itself" in found
    assert len([line for line in found if "circle" in line]) == 3 == len(found)
    scripted = "agents.sid={role: scripted, says: {a: 1}}"
    assert problems_of(GOOD, scripted, "agents.ada.branch=sid") == (
        "agents.ada.branch: 'sid' has role 'scripted' and no weights to begin from; name another agent",
    )


def test_whose_warm_up_an_agent_has_and_where_they_all_end() -> None:
    """An agent's own phase replaces its role's. Matches begin behind the farthest, skipped phases do not count."""
    own = ["agents.all={role: generalist}", "agents.max.warmup={problems: 5, first: 20}"]
    roles = ["warmup.generalist={problems: 7}", "warmup.student={problems: 3, first: 2}", "warmup.expert={problems: 4}"]
    config = parse_config(GOOD, "x", [*own, *roles])
    found = {name: config.warmup_of(name) for name in config.agents}
    assert {name: (phase.first, phase.problems) for name, phase in found.items()} == {
        "adder": (0, 4), "ada": (2, 3), "all": (0, 7), "max": (20, 5),
    }  # fmt: skip
    assert config.warmed_up == 25
    assert parse_config(GOOD, "x", [own[0], *roles]).warmed_up == 7
    assert parse_config(GOOD, "x", [own[0], *roles, "warmup.student={first: 90}"]).warmed_up == 7


@pytest.mark.parametrize(
    "text",
    ["", "[]", "3", "a: b: c", "{", "x: 2026-99-99", "name: a\nname: b", "\x00", "&a [*a]", "!!python/object:os.x {}"],
)
def test_not_a_config(text: str) -> None:
    assert problems_of(text)


LISTS = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in pairwise("abcdefghij")
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{b}: &{b} {{<<: [{','.join(['*' + a] * 10)}]}}\n" for a, b in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    "text",
    [
        LISTS,
        f"{LISTS}agents: *j\nname: *j",
        "agents: &a {x: *a}",
        "name: x\nagents: " + "{a: " * 60 + "1" + "}" * 60,
        "tasks: {t: {kind: contest, matches: 1, settings: &s {items: *s}}}",
        "seed: 0x" + "f" * 400,
        "name: !!binary aGVsbG8=",
        'agents: {a: {role: scripted, says: {"\\ud800": 1}}}',
    ],
)
def test_what_is_endless_or_no_plain_value_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    assert any(line.startswith("not valid YAML") for line in problems_of(text))
    assert time.process_time() - began < 5


def test_merge_keys_that_multiply_are_refused_or_read_as_something_small_at_once() -> None:
    """Up to PyYAML 6.0.3 the pairs to merge multiply: 10⁹ here. From 6.0.4 on equal pairs are merged once."""
    began = time.process_time()
    try:
        values = yaml_values.parse_yaml(MERGES)
    except ValueError as error:
        assert yaml_values.TOO_LARGE in str(error)
    else:
        assert values == {name: {"x": 1} for name in "abcdefghij"}
    assert problems_of(MERGES)
    assert time.process_time() - began < 5


def test_an_override_changes_one_agent_where_two_share_an_alias() -> None:
    text = (
        "name: x\ndomains: {d: {kind: chain_sum}}\nagents: {a: &m {role: student}, b: *m}\n"
        "tasks: {t: {kind: contest, matches: 1}}"
    )
    read = parse_config(text, "x", ["agents.a.role=co-player"])
    assert {name: agent.role for name, agent in read.agents.items()} == {"a": "co-player", "b": "student"}


def test_scientific_notation_is_a_number() -> None:
    assert parse_config(GOOD, "x", ["learning.learning_rate=1e-3"]).learning.learning_rate == 1e-3


def test_a_missing_file_and_a_binary_one(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "binary.yaml"):
        with pytest.raises(UserError, match="cannot read"):
            load_config(path)


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*Config.model_fields, "kind", "role", "x"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_yaml_is_a_config_or_a_config_error(data: object) -> None:
    try:
        parse_config(yaml.safe_dump(data), "fuzz")
    except ConfigError as error:
        assert error.problems


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_config_or_a_config_error(text: str) -> None:
    try:
        parse_config(text, "fuzz")
    except ConfigError as error:
        assert error.problems


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        ["agents.ada.role", "league.rounds", "domains.sums", "tasks", "agents.ada", "model", "seed", "a.b.c"]
    ),
    st.text(max_size=12),
)
def test_any_override_is_taken_or_refused(key: str, value: str) -> None:
    try:
        parse_config(GOOD, "fuzz", [f"{key}={value}"])
    except ConfigError as error:
        assert error.problems


def _places(section: dict[str, object], parents: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted paths of every key of a config, sections before what they hold."""
    for key, value in section.items():
        yield ".".join((*parents, key))
        if isinstance(value, dict):
            yield from _places(value, (*parents, key))


def test_a_value_of_any_shape_at_any_place_is_taken_or_refused() -> None:
    """`agents.ada.domain.x=1` makes a mapping of what should be a name, and a mapping cannot be looked up."""
    whole = yaml.safe_load(parse_config(GOOD, "test").dump())
    for place in _places(whole):
        for override in (f"{place}=[1]", f"{place}={{a: {{b: 1}}}}"):
            read = try_parse_config(GOOD, "test", [override])
            assert read.problems or read.config is not None, override
    assert problems_of(GOOD, "agents.ada.domain.x=1") == (
        "agents.ada.domain: input should be a valid string, found {'x': 1}",
    )


# ---------------------------------------------------------------------------------------------------- preflight
def refused(model: Path, runs: Path, **changes: object) -> str:
    with pytest.raises(UserError) as caught:
        prepare(tiny(model, runs, **changes), progress=lambda line: None)
    assert not (runs / "tiny").exists(), "nothing may be written"
    return str(caught.value)


def test_names_of_other_layers(model: Path, tmp_path: Path) -> None:
    message = refused(
        model,
        tmp_path,
        domains={"sums": {"kind": "chain_sums"}},
        tasks__contest={"kind": "contst", "matches": 1},
        tasks__teaching__settings={"explanatons": 3},
        tasks__teaching__matchmaking={"pfps": 1.0},
    )
    for hint in ("'chain_sum'", "'contest'", "'explanations'", "'pfsp'"):
        assert hint in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"domains__sums__level": 99}, "level 1 to"),
        ({"tasks__teaching__settings": {"explanations": 1}}, "explanations"),
        ({"tasks__contest__settings": {"items": "many"}}, "items"),
        ({"evaluation__final_problems": 10**5}, "distinct test problems"),
        ({"tasks__contest__matches": 10**9}, "less than or equal to 1000000"),
        ({"adapter__targets": ["q_prj"]}, "'q_proj'"),
        ({"model__name": "/no/such/folder"}, "/no/such/folder"),
        ({"tasks__teaching__settings": {"explanation_tokens": 4000}}, "context"),
    ],
)
def test_impossible_runs(model: Path, tmp_path: Path, changes: dict, expected: str) -> None:
    assert expected in refused(model, tmp_path, **changes)


def test_no_chat_template(tmp_path: Path) -> None:
    bare = write_tiny_model(tmp_path / "bare", template=None, max_position_embeddings=1024)
    assert "chat template" in refused(bare, tmp_path / "runs")


def test_a_generator_that_fails(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.domains.generated import GeneratedDomain

    def broken(self, split, wanted):
        raise ZeroDivisionError("generator")

    monkeypatch.setattr(GeneratedDomain, "size_hint", broken)
    assert "domains.sums: the generator fails: ZeroDivisionError" in refused(model, tmp_path)
