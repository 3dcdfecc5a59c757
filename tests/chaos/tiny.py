"""A league over a tiny random Llama, small enough to be killed hundreds of times.

Writes the model and its config.

python -m tests.chaos.tiny FOLDER [brief] [evolving]
"""

import sys
from pathlib import Path

CONFIG = """\
name: tiny
seed: 3
model: {{name: {model}, device: cpu, dtype: float32, threads: 1}}
adapter: {{rank: 2, alpha: 4, targets: [q_proj, v_proj]}}
domains:
  sums: {{kind: chain_sum}}
  letters: {{kind: letter_counting}}
agents:
  adder: {{role: expert, domain: sums}}
  speller: {{role: expert, domain: letters}}
  ada: {{role: student}}
warmup:
  expert: {{problems: 4, batch: 4}}
  student: {{problems: 4, batch: 4}}
tasks:
  teaching:
    kind: teaching
    matches: 2
    settings: {{explanations: 2, similar: 1, answers: 2, explanation_tokens: 6}}
  contest:
    kind: "tests.chaos.letters:Letters"
    matches: 3
    matchmaking: {{pfsp: 1.0}}
    settings: {{items: 2, answers: 4}}
learning: {{learning_rate: 0.01, kl: 0.01}}
evaluation: {{every: 4, problems: 1, final_problems: 1, teaching_matches: 1}}
league: {{rounds: 12, snapshot_every: 3, snapshots_kept: 2}}
"""
EVOLVING = (
    (
        "  ada: {role: student}",
        "  ada: {role: student}\n  max: {role: student}\n  spy: {role: exploiter, targets: [ada, max]}",
    ),
    ("matches: 3", "matches: 6"),
    (
        "league: {",
        "evolution:\n"
        "  task: contest\n"
        "  snapshots: {min_games: 4, confidence: 0.6}\n"
        "  exploiters: {timeout: 3}\n"
        "  pbt: {every: 2, min_games: 4, confidence: 0.55}\n"
        "  retirement: {every: 2, min_games: 2, distance: 0.5, stored: 2}\n"
        "league: {",
    ),
)
"""What is replaced in CONFIG so that within some rounds all of evolution happens.

Agents are frozen for their progress, take over one another, start again and retire.
"""


def write(folder: Path, *, brief: bool = False, evolving: bool = False) -> Path:
    """Model and config in `folder`; returns the config's path.

    `brief`: a quarter of all tokens end a reply, so that rounds are cheap.
    """
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from conftest import write_tiny_model

    config = folder / "tiny.yaml"
    ends = {"eos_token_id": list(range(2, 67))} if brief else {}
    text = CONFIG.format(model=write_tiny_model(folder / "model", **ends))
    for before, after in EVOLVING if evolving else ():
        assert before in text
        text = text.replace(before, after)
    config.write_text(text)
    return config


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    print(write(Path(sys.argv[1]), brief="brief" in sys.argv, evolving="evolving" in sys.argv))
