"""Writes figures, scalars and transcripts where TensorBoard reads them.

A board is never a source of truth. No duplicated steps: `forget` tells TensorBoard to drop what an earlier process
wrote from a round on. Small files: a scalar costs about 45 bytes, a card's figure 5–25 kB, so the caller draws figures
every k rounds. No histograms. Writes events directly, so that a board can be rebuilt from the store where torch is not
loaded.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from league.reporting.event_files import EventFile, shown_in
from league.reporting.text.transcripts import transcript_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRANSCRIPT_LIMIT = 12_000
"""Characters of one transcript; TensorBoard keeps them all in memory."""

LAYOUT: dict[str, dict[str, tuple[str, ...]]] = {
    "league": {
        "ratings, overall": (r"rating/overall/.*",),
        "reward by role": (r"reward/.*",),
        "win rate": (r"win_rate/.*",),
        "teaching gain Δ in evaluation": (r"delta/.*", r".*/delta"),
        "teaching: mean Δ and its part beyond a shuffled explanation": (r"teaching/delta", r"teaching/own_share"),
        "the same in log-probability": (r"teaching/delta_logprob", r"teaching/own_share_logprob"),
        "what teaching caused, points by channel and domain": (r"gain/[^/]+/[^/]+",),
        "control and taught accuracy in training": (r".*/control_accuracy", r".*/taught_accuracy"),
        "teacher reward in training": (r".*/teacher_reward",),
        "KL to the base": (r"update/.*/kl",),
        "tokens by kind": (r"tokens/[a-z]+",),
        "FLOPs": (r"flops/.*",),
    },
    "held-out accuracy": {
        "every agent and domain": (r"accuracy/.*",),
    },
}
"""Lines that belong together: chart → patterns of tags, as the loop names its scalars."""


class Board:
    """One run's event files in `folder`.

    Use as a context manager, or close it: the last events are only then on disk. `purge_step` is the first step that
    is written anew: everything an earlier process wrote from there on is forgotten.
    """

    def __init__(self, folder: Path | str, purge_step: int | None = None):
        Path(folder).mkdir(parents=True, exist_ok=True)
        before = shown_in(Path(folder))
        self._events = EventFile(Path(folder), before)
        self.rounds = before.rounds
        """Rounds whose scalars the folder showed before, in the order in which TensorBoard shows them."""
        if purge_step is not None:
            self.forget(purge_step)
        self._layout()

    def forget(self, step: int) -> None:
        """What earlier processes wrote from this step on is shown no more."""
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._events.add(step=step, session_log=SessionLog(status=SessionLog.START))
        if step <= 0:
            self._layout()

    def _write(self, summary: Any, round: int) -> None:
        self._events.add(step=round, summary=summary)

    def scalars(self, round: int, values: Mapping[str, float | None]) -> None:
        """Write every value that is known, as one event.

        None and NaN are left out: a gap, not a zero.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        known = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in values.items()
            if value is not None and value == value
        ]
        if known:
            self._write(Summary(value=known), round)

    def figure(self, tag: str, round: int, figure: "Figure") -> int:
        """Write one matplotlib figure as a palette PNG; returns its bytes."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        png, width, height = small_png(figure)
        image = Summary.Image(encoded_image_string=png, colorspace=3, width=width, height=height)
        self._write(Summary(value=[Summary.Value(tag=tag, image=image)]), round)
        return len(png)

    def transcript(self, tag: str, round: int, data: object) -> None:
        """Write one stored transcript as Markdown, whole turns up to TRANSCRIPT_LIMIT.

        Raises DataError for another shape.
        """
        self.text(tag, round, transcript_markdown(data, TRANSCRIPT_LIMIT))

    def text(self, tag: str, round: int, markdown: str) -> None:
        """Write Markdown as it is; text from models must have gone through `transcripts.fence`."""
        from tensorboard.plugins.text.metadata import create_summary_metadata

        self._bytes(
            f"{tag}/text_summary", round, markdown.encode(), create_summary_metadata(display_name=tag, description="")
        )

    def _layout(self) -> None:
        """The custom-scalars page: charts that overlay several tags."""
        from tensorboard.plugins.custom_scalar.layout_pb2 import Category, Chart, Layout, MultilineChartContent
        from tensorboard.plugins.custom_scalar.metadata import CONFIG_SUMMARY_TAG, create_summary_metadata

        categories = []
        for title, charts in LAYOUT.items():
            drawn = [
                Chart(title=name, multiline=MultilineChartContent(tag=list(tags))) for name, tags in charts.items()
            ]
            categories.append(Category(title=title, chart=drawn))
        self._bytes(CONFIG_SUMMARY_TAG, 0, Layout(category=categories).SerializeToString(), create_summary_metadata())

    def _bytes(self, tag: str, round: int, content: bytes, metadata: Any) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype="DT_STRING", string_val=[content], tensor_shape=shape)
        self._write(Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)]), round)

    def flush(self) -> None:
        self._events.flush()

    def close(self) -> None:
        self._events.close()

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def small_png(figure: "Figure") -> tuple[bytes, int, int]:
    """PNG bytes, width and height, as a palette image: a third of the size.

    The palette holds the most frequent colours exactly (background, cells, lines must not shift) and a median cut for
    the rest (anti-aliased edges, colour bars).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    height, width = image.height, image.width
    codes = np.asarray(image).astype(np.int64) @ np.array([65536, 256, 1])
    found, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    flat = colours[np.argsort(-counts, kind="stable")[:96]]
    cut = image.quantize(160, method=Image.Quantize.MEDIANCUT).getpalette() or []
    palette = np.concatenate([flat, np.asarray(cut, dtype=np.int64).reshape(-1, 3)])[:256]
    nearest = (colours**2).sum(1)[:, None] - 2 * colours @ palette.T + (palette**2).sum(1)
    picture = Image.fromarray(nearest.argmin(1).astype(np.uint8)[where].reshape(height, width), "P")
    picture.putpalette(palette.astype(np.uint8).ravel().tolist())
    out = io.BytesIO()
    picture.save(out, "png", optimize=True)
    return out.getvalue(), width, height
