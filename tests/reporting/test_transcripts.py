"""Transcripts of hostile models: nothing that was said becomes markup, code or a terminal escape.

In any of the three forms.
"""

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from league.errors import DataError
from league.reporting.text.transcripts import clean, fence, inline, parse, transcript_markdown, transcript_text

HOSTILE = (
    "```\n</code></pre><script>alert(1)</script>\n````\n\x1b[31mred\x07\x00\x9b2J "
    "\u202egnp.exe [bold]x[/bold] {{7*7}}\r\nend\u2028x\ud800"
)


def match(reply: str = "4", prompt: str = "2 + 2?") -> dict[str, Any]:
    return {
        "match": "m1",
        "round": 3,
        "task": "teaching",
        "seats": {"teacher": "gcd@3", "student": "alice@3"},
        "problems": [{"key": "gcd/train/1", "question": prompt, "answer": "4"}],
        "turns": [
            {
                "path": "",
                "tag": "control",
                "seat": "student",
                "about": 0,
                "prompt": [{"role": "user", "content": prompt}],
                "replies": [{"text": reply, "reward": 1.0, "advantage": 0.5, "finish": "length"}],
            }
        ],
        "metrics": {"delta": 0.25},
    }


def test_everything_said_is_there() -> None:
    text = transcript_markdown(match())
    for part in (
        "gcd@3",
        "2 + 2?",
        "control about problem 0",
        "reward \\+1, advantage \\+0\\.5, cut at the token limit",
        "| delta | 0.25 |",
    ):
        assert part in text, part


@given(st.text())
def test_clean_leaves_no_control_character(text: str) -> None:
    found = clean(text)
    assert not re.search(
        "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]", found
    )
    found.encode("utf-8")
    assert clean(found) == found


@given(st.text(alphabet="`~\n abc", max_size=60))
def test_fence_is_never_closed_from_inside(text: str) -> None:
    block = fence(clean(text))
    opening, *body, closing = block.split("\n")
    ticks = opening.removesuffix("text")
    assert closing == ticks and set(ticks) == {"`"}
    assert not any(line.lstrip().startswith(ticks) for line in body)
    assert "\n".join(body) == clean(text)


def test_tensorboards_own_markdown_renders_hostile_text_as_text() -> None:
    plugin_util = pytest.importorskip("tensorboard.plugin_util")
    html = str(plugin_util.markdown_to_safe_html(transcript_markdown(match(HOSTILE, HOSTILE))))
    assert "<script" not in html and "&lt;script&gt;alert(1)" in html
    assert html.count("<pre>") == 3 == html.count("</pre>")  # the problem, the prompt, the reply


def test_terminal_gets_no_escape_and_no_markup() -> None:
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system=None, width=100).print(transcript_text(match(HOSTILE, HOSTILE)))
    text = out.getvalue()
    assert "\x1b[31m" not in text and "\x07" not in text and "\x9b" not in text and "\u202e" not in text
    assert "␛[31mred" in text and "[bold]x[/bold]" in text and "⟨U+202E⟩" in text


def test_names_and_metrics_are_escaped_too() -> None:
    data = match() | {"task": "<img src=x>|`", "seats": {"*s*": "[x](javascript:1)@1"}}
    text = transcript_markdown(data)
    assert "<img" not in text and "[x](" not in text and "\\*s\\*" in text
    assert inline("a\nb") == "a b"


def test_long_transcripts_are_cut_between_turns() -> None:
    data = match("---\n\n```\n" * 20)
    data["turns"] *= 50
    text = transcript_markdown(data, limit=5000)
    assert len(text) < 5200 and "more turns" in text
    assert len(re.findall("^````text$", text, re.M)) == len(re.findall("^````$", text, re.M)) > 0


def test_other_shapes_are_refused_by_name() -> None:
    for broken, where in (
        ([], "transcript"),
        ({"turns": {}}, "turns"),
        ({"turns": [{"prompt": "x"}]}, "turns\\[\\].prompt"),
        ({"metrics": {"a": "b"}}, "a"),
    ):
        with pytest.raises(DataError, match=where):
            parse(broken)


def test_a_reply_without_credit_is_still_shown() -> None:
    data = match()
    del data["turns"][0]["replies"][0]["reward"]
    assert parse(data).turns[0].replies[0].reward == 0.0
