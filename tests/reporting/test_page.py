"""The HTML report and the model card: self-contained, safe, and true to their input."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from league.reporting.text.html import render, svg, verdicts
from league.reporting.text.model_card import Card, CardExam, base_name, licence_of, model_card
from league.reporting.views import (
    CertifiedCycles,
    Estimate,
    Gain,
    LadderRow,
    LineageEdge,
    Matrix,
    Panel,
    Report,
    Series,
    Status,
)
from tests.reporting.test_transcripts import HOSTILE, match

STATUS = Status("quickstart", "finished", round=12, rounds=12, matches=90, versions=30, seconds=600.0)


def gain(value: float, low: float, high: float) -> Gain:
    return Gain(
        "students",
        "all",
        Estimate(0.2, 0.15, 0.25, 200),
        Estimate(0.2 + value, 0.3, 0.5, 200),
        Estimate(value, low, high, 200),
    )


def full_report(name: str = "alice") -> Report:
    values = np.array([[np.nan, 0.7], [0.3, np.nan]])
    names = (name, "bob")
    panel = Panel("gcd", "accuracy", (Series(name, (0, 5), (0.2, 0.4), (0.1, 0.3), (0.3, 0.5)),), bounds=(0.0, 1.0))
    return Report(
        STATUS,
        headline=gain(0.2, 0.1, 0.3),
        gains=[gain(0.2, 0.1, 0.3), gain(-0.1, -0.2, -0.05)],
        teaching=Estimate(3.0, -1.0, 7.0),
        matrices=[Matrix("Win rate", "rate", rows=names, cols=names, values=values, scale="winrate")],
        ladder=[LadderRow("overall", name, role="student", mu=25.0, sigma=2.0, games=9)],
        rating_history=[panel],
        cycles=CertifiedCycles(names, (), cycles=(), pairs=1, statistics={"cyclic share": None}),
        structure=[panel],
        masses=[panel],
        curves=[panel],
        lineage=[LineageEdge(f"{name}@0", (), 0, "created")],
        transcripts=[match(HOSTILE, HOSTILE)],
        config="name: x\n# <script>alert(2)</script>\n",
        versions="torch 2",
        agents=names,
    )


class Scan(HTMLParser):
    """Collects tags, and every attribute that could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.dangerous: list[tuple[str, str | None]] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for key, value in attrs:
            if key == "id" and value:
                self.ids.append(value)
            if key.startswith("on") or (
                key in ("src", "href", "xlink:href", "action") and value and not value.startswith(("#", "data:image/"))
            ):
                self.dangerous.append((key, value))


def scan(page: str) -> Scan:
    found = Scan()
    found.feed(page)
    return found


def test_many_gains_are_folded_and_few_are_not() -> None:
    page = full_report()
    assert "every domain" not in render(page)
    many = [
        replace(gain(0.2, 0.1, 0.3), agent=f"agent{i}", domain=domain) for i in range(20) for domain in ("gcd", "all")
    ]
    folded = render(replace(page, gains=many))
    first, rest = folded.split("<summary>every domain</summary>")
    assert first.count('<td class="left">all</td>') == 20 and "gcd</td>" not in first
    assert rest.count('<td class="left">all</td>') == rest.count('<td class="left">gcd</td>') == 20


def test_page_is_self_contained_and_hostile_text_stays_text() -> None:
    page = render(full_report("<b>&evil"))
    found = scan(page)
    assert not {"script", "img", "iframe", "link", "object", "b"} & set(found.tags)
    assert found.dangerous == []
    assert "&lt;script&gt;alert(1)" in page and "&lt;script&gt;alert(2)" in page
    assert "\x1b" not in page and "\x00" not in page and "\u202e" not in page
    assert "default-src 'none'" in page
    page.encode("utf-8")


def test_every_section_is_filled_and_ids_are_unique() -> None:
    page = render(full_report())
    found = scan(page)
    assert found.tags.count("svg") == 8
    assert len(found.ids) == len(set(found.ids))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', page))
    assert references <= set(found.ids)


def test_an_empty_run_gives_a_page_that_says_so() -> None:
    page = render(Report(STATUS))
    assert "no held-out measurement" in page and "No transcript was kept" in page and "<svg" not in page


def test_verdict_rests_on_the_interval() -> None:
    def first(value: float, low: float, high: float) -> tuple[str, str]:
        return verdicts(Report(STATUS, headline=gain(value, low, high)))[0]

    assert first(0.2, 0.1, 0.3)[0] == "good" and "+20.0 [+10.0, +30.0] percentage points" in first(0.2, 0.1, 0.3)[1]
    assert first(0.02, -0.1, 0.3)[0] == "open" and "not shown" in first(0.02, -0.1, 0.3)[1]
    assert first(-0.2, -0.3, -0.1)[0] == "bad"
    tone, sentence = verdicts(full_report())[1]
    assert tone == "open" and "no effect shown" in sentence


def test_a_gain_only_with_the_training_pair_is_flagged() -> None:
    def flags(held_out: Estimate) -> list[tuple[str, str]]:
        return [
            v
            for v in verdicts(Report(STATUS, teaching=Estimate(20, 15, 25), teaching_held_out=held_out))
            if "held-out student" in v[1]
        ]

    assert flags(Estimate(1, -4, 6))[0][0] == "bad" and "collusion" in flags(Estimate(1, -4, 6))[0][1]
    assert flags(Estimate(17, 12, 22))[0][0] == "open"
    assert flags(Estimate(10, 6, 14))[0][0] == "open"  # weaker, but there


def test_same_report_same_bytes() -> None:
    assert render(full_report()) == render(full_report())


def test_svg_escapes_names() -> None:
    from league.reporting.figures.heatmaps import heatmap

    picture = svg(
        heatmap(Matrix("<t>", "&", rows=("<a>",), cols=("</svg>",), values=np.array([[0.5]]), scale="share")), "x"
    )
    assert (
        picture.startswith("<svg")
        and picture.count("</svg>") == 1
        and "<a>" not in picture
        and "metadata" not in picture
    )


CARD = Card(
    agent="alice",
    step=12,
    role="student",
    base="HuggingFaceTB/SmolLM2-135M-Instruct",
    exam=CardExam([("gcd", Estimate(0.41, 0.36, 0.46, 200))]),
    ratings=[LadderRow("overall", "alice", role="student", mu=25.0, sigma=2.0, games=90)],
    lineage=[LineageEdge("alice@0", (), 0, "created"), LineageEdge("alice@12", ("alice@0",), 12, "update")],
    prompt="You are a student.\n```\n# not a heading",
    run="quickstart",
)


def test_model_card_says_what_was_measured_and_how_to_load() -> None:
    from huggingface_hub import ModelCard

    text = model_card(CARD)
    card = ModelCard(text)
    assert (
        card.data.license == "apache-2.0"
        and card.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
        and card.data.library_name == "peft"
    )
    assert "| gcd | 41.0% | 36.0–46.0% | 200 |" in text
    assert 'PeftModel.from_pretrained(base, "THIS_FOLDER")' in text
    assert "from alice@0" in text and "````text" in text


def test_a_card_says_how_many_updates_lie_between_two_versions() -> None:
    """`ada@4 (update from ada@1)` would say that three updates were one."""
    steps = [
        LineageEdge("ada@1", (), 0, "created"),
        LineageEdge("ada@4", ("ada@1",), 3, "update"),
        LineageEdge("ada@5", ("ada@4",), 3, "snapshot"),
        LineageEdge("ada@6", ("ada@5",), 4, "update"),
    ]
    text = model_card(replace(CARD, lineage=steps))
    assert "ada@4 (3 updates from ada@1)" in text and "ada@5 (snapshot from ada@4)" in text
    assert "ada@6 (update from ada@5)" in text


def test_model_card_names_no_local_path(tmp_path: Path) -> None:
    for base in (
        str(tmp_path / "SmolLM2-135M-Instruct"),
        "~/models/SmolLM2-135M-Instruct",
        r"C:\models\SmolLM2-135M-Instruct",
        "./m/SmolLM2-135M-Instruct",
    ):
        text = model_card(Card("a", 1, "student", base, None))
        assert str(tmp_path) not in text and "models" not in text and base_name(base) == "SmolLM2-135M-Instruct"
        assert "base_model" not in text  # a folder's name is no hub id
    assert licence_of("Qwen/Qwen2.5-3B") == "other" and licence_of("unheard/of") == "other"


def test_merged_model_loads_without_peft() -> None:
    text = model_card(Card("a", 1, "student", "Qwen/Qwen3-1.7B", None, merged=True))
    assert "peft" not in text.lower() and "library_name: transformers" in text
