"""One match by hand, from play to update: python examples/minimal.py MODEL_FOLDER."""

import sys
from pathlib import Path

from league.backends.local import LocalBackend
from league.learning.advantages import Credit, learn_from
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.rollouts import make_match, play
from league.types import Hyper, Version
from tasks import make_task
from tasks.domains import make_domain

base = BaseModel.load(Path(sys.argv[1]))  # frozen and shared: an agent is a LoRA adapter on it
bank = AdapterBank(base)
ada, bob = Version("ada", 0), Version("bob", 0)
for seed, version in enumerate((ada, bob)):
    bank.add(version, LoraSpec(rank=8), seed=seed, trainable=True)

# The rules: ada explains a solved problem; bob answers similar ones with and without her explanation.
task = make_task("teaching", "lesson", {"answers": 8}, {"sums": make_domain("chain_sum", alias="sums")})
problems = task.problems("train", 0, "sums")
match = make_match("lesson", at=(1, 0), seats={"teacher": ada, "student": bob}, problems=problems, seed=0)

(episode,) = play([match], {"lesson": task}, LocalBackend(base, bank))
score = task.score(episode)  # rewards of every reply; the payoff is how much the explanations helped
print("problem:", problems[0].question)
print("ada explains:", episode.roots[0].replies["teacher"][0].text)
print({name: round(value, 3) for name, value in score.metrics.items()})

# Credit: a reply's advantage is its return less that of its group. Only replies that differ teach anything.
learned = learn_from(episode, score, Credit(), trainable={"ada", "bob"})
rates = {name: Hyper(learning_rate=1e-4) for name in ("ada", "bob")}
reports = update(base, bank, learned.samples, rates, Objective())
for name in rates:  # no report where all replies earned the same
    print(name, "learned from", reports[name].samples if name in reports else 0, "replies")
