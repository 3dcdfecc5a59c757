"""Texts, near-duplicate clusters and splits."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from league.errors import DataError, UserError
from league.model import hub
from tasks.coding import problems as coding
from tasks.writing import sources
from tasks.writing.clusters import clusters, shingles
from tasks.writing.sources import Passage, divide, hub_rows, problems_of, prose
from tasks.writing.task import Writing

LINE = "the quick brown fox jumps over the lazy dog near the river bank at dawn"


def test_near_duplicates_share_a_cluster():
    changed = LINE.replace("dawn", "dusk")
    other = "a wholly different sentence about parsing dates in the headers of mail messages"
    assert clusters([LINE, other, changed]) == [[0, 2], [1]]
    # 15 words have 13 shingles; a changed last word costs one: J = 12 / 14.
    assert len(shingles(LINE) & shingles(changed)) == 12 and len(shingles(LINE)) == 13


def test_clusters_are_transitive_and_a_threshold_matters():
    a = "one two three four five six seven eight"
    b = "three four five six seven eight nine ten"
    c = "five six seven eight nine ten eleven twelve"
    assert clusters([a, b, c], threshold=0.5) == [[0, 1, 2]]
    assert clusters([a, b, c], threshold=0.9) == [[0], [1], [2]]


@given(st.lists(st.text("abc ", max_size=30), max_size=12))
@settings(max_examples=50, deadline=None)
def test_every_text_is_in_exactly_one_cluster(texts):
    assert sorted(index for cluster in clusters(texts) for index in cluster) == list(range(len(texts)))


@pytest.mark.parametrize("source", ["docstrings", "topics"])
def test_local_sources_have_disjoint_splits_that_no_cluster_crosses(source):
    found = problems_of(source)
    texts = {split: [problem.question for problem in problems] for split, problems in found.items()}
    assert len(texts["train"]) > 200 and min(len(members) for members in texts.values()) >= 20
    home = {text: split for split, members in texts.items() for text in members}
    assert len(home) == sum(map(len, texts.values()))
    everything = list(home)
    assert all(len({home[everything[i]] for i in cluster}) == 1 for cluster in clusters(everything))
    for split, problems in found.items():
        assert [problem.index for problem in problems] == list(range(len(problems)))
        assert all(problem.domain == source and problem.split == split for problem in problems)


def test_a_text_keeps_its_split_when_others_come_and_go():
    passages = [Passage(f"{LINE} {i} " + " ".join(f"w{i}{j}" for j in range(30))) for i in range(60)]
    whole = {p.question: s for s, ps in divide("x", passages).items() for p in ps}
    half = {p.question: s for s, ps in divide("x", passages[::2]).items() for p in ps}
    assert set(whole.values()) == {"train", "validation", "test"} and all(
        whole[text] == split for text, split in half.items()
    )


def test_prose_leaves_code_and_tables_out():
    docstring = (
        "Do a thing.\nIn two lines.\n\n>>> do()\n1\n\n- first\n- second\n\n"
        "name: value\nother: value\n\nAnd a last word."
    )
    assert prose(docstring) == "Do a thing. In two lines. And a last word."


def test_problems_of_a_match_start_again_after_the_last():
    task = Writing("w", items=2)
    count = len(problems_of("docstrings")["test"])
    assert len(task.problems("test", 0)) == 2
    assert task.problems("test", count) == task.problems("test", 0)
    assert task.problems("train", 3) != task.problems("train", 4)


def test_unknown_and_empty_sources_are_errors(monkeypatch):
    with pytest.raises(UserError, match="did you mean 'docstrings'"):
        problems_of("docstring")
    monkeypatch.setitem(sources.SOURCES, "void", sources.Source("void", "none", lambda: []))
    with pytest.raises(DataError, match="no texts for train, validation, test"):
        problems_of("void")


def test_a_hub_out_of_reach_is_a_data_error_that_names_the_remedy(monkeypatch):
    from huggingface_hub import HfApi

    def unreachable(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr(hub, "unreachable", lambda *_, **__: "no hub")
    with pytest.raises(DataError, match="'trl-lib/tldr' is out of reach: no hub; use source 'docstrings' or 'topics'"):
        list(hub_rows("trl-lib/tldr", "train", ("prompt",)))
    monkeypatch.setattr(hub, "unreachable", lambda *_, **__: None)
    monkeypatch.setattr(HfApi, "list_repo_files", unreachable)
    with pytest.raises(DataError, match="use source 'docstrings' or 'topics'"):
        list(hub_rows("trl-lib/tldr", "train", ("prompt",)))
    with pytest.raises(DataError, match=r"\(ConnectionError\): use source 'humaneval' or 'local-1'"):
        coding.problems_of("coophumaneval")
    monkeypatch.setattr(HfApi, "list_repo_files", lambda *args, **kwargs: ["default/test/0000.parquet"])
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *args, **kwargs: "nowhere")
    with pytest.raises(DataError, match="no split 'train'"):
        list(hub_rows("trl-lib/tldr", "train", ("prompt",)))


def test_an_error_of_the_http_library_is_a_hub_out_of_reach(monkeypatch):
    """The hub's client lets them pass; they are no OSError, and were an internal error."""
    import socket

    monkeypatch.setattr(hub, "unreachable", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for name in ("huggingface_hub.constants", "huggingface_hub.hf_api"):
        monkeypatch.setattr(f"{name}.ENDPOINT", address, raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with pytest.raises(DataError, match=r"out of reach \(ConnectError\): use source 'docstrings' or 'topics'"):
        list(hub_rows("trl-lib/tldr", "train", ("prompt",)))


def test_hub_rows_become_passages(monkeypatch):
    rows = {
        "train": [{"prompt": " post ", "completion": " short "}] * 3,
        "test": [{"prompt": "other", "completion": "o"}],
    }
    monkeypatch.setattr(sources, "hub_rows", lambda repository, split, columns: iter(rows[split]))
    assert list(sources._tldr())[::3] == [Passage("post", "short"), Passage("other", "o")]
    abstracts = {"train": [{"abstract_text": ["One.", "Two."]}], "val": [{"abstract_text": "Three. "}]}
    monkeypatch.setattr(sources, "hub_rows", lambda repository, split, columns: iter(abstracts[split]))
    assert list(sources._arxiv()) == [Passage("One. Two."), Passage("Three.")]
