"""An expert explains a solved problem, a student uses it on similar problems.

    explain   teacher sees problem p of its domain with the true answer and writes G explanations e_g
    control   student answers M similar problems q with no example, K times each            → c₀(q)
    taught    student answers the same q with (p, e_g, true answer of p) as a worked example → c_g(q)
    shuffled  (evaluation) as taught, but with the explanation of *another* problem          → a lesson or a template?

    student reward  correctness; each arm its own group
    teacher reward  R_g = mean over q of (c_g(q) − c₀(q)) − penalties (length, wrong final answer, leakage);
                    `teacher_reward` chooses other estimates of the first term (tasks/teacher_reward.py)
    payoff          Δ = c_g(q) − c₀(q), one paired item per q (the mean over g), so items of a match share only p

The teacher never sees q. c₀ cancels in the teacher's advantage but is what the payoff reports. In evaluation
everybody speaks once, greedily: more problems measure better than more samples of one.

With `probes` the student's groups are drawn in full only where they are likely to have variance (`tasks/probing.py`);
c₀ and c_g are then taken over the probes, because whether further answers follow depends on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, ClassVar

from pydantic import Field

from league.types import (
    BetaBelief,
    Channel,
    Decision,
    Episode,
    Match,
    Message,
    Outcome,
    Problem,
    Reading,
    Relation,
    Reply,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
    UnaidedAnswers,
    UsefulExample,
)
from tasks.domains import Domain
from tasks.leakage import overlap
from tasks.probing import THRESHOLD, check_probes, counted_nodes, probes_for, probing_metrics, worth_drawing
from tasks.task import Task
from tasks.teacher_reward import (
    Gains,
    TeacherReward,
    accuracy_gains,
    answer_readings,
    expected_right,
    solution_gains,
    solution_readings,
)

TEACHER, STUDENT = "teacher", "student"


def explain_prompt(domain: Domain, problem: Problem) -> tuple[Message, ...]:
    """What a teacher sees: the problem with its true answer.

    Experts are warmed up on this prompt too.
    """
    asked = domain.prompt(problem)[-1].content
    text = f"Explain to a student, step by step, how to solve this problem.\n\n{asked}\n\n{domain.truth(problem)}"
    return (Message("user", text),)


def pick_similar(domain: Domain, split: Split, start: int, count: int) -> list[Problem]:
    """`count` problems from `start` on, around the end of a small domain.

    The later ones have other answers than the first.

    Where the next problem has the first one's answer, a similar one from elsewhere in the split takes its place;
    where answers are so few that another answer would give itself away (yes or no), the next problem stands.
    """
    size = domain.size_hint(split, start + count)
    shown, *others = (domain.problem(split, index % size) for index in range(start, start + count))
    spare = (
        iter(domain.similar(shown, count))
        if domain.open_answers and any(q.answer == shown.answer for q in others)
        else iter(())
    )
    taken = {q.question for q in others}
    picked = [shown]
    for other in others:
        while other.answer == shown.answer and (instead := next(spare, None)) is not None:
            if instead.question not in taken:
                other = instead
                taken.add(other.question)
        picked.append(other)
    return picked


@dataclass(frozen=True)
class Teaching(Task):
    """Settings of a teaching match.

    Match.problems is (p, q_1 … q_M, p′): p′ serves the shuffled control.
    """

    uses_domains: ClassVar[bool] = True
    channel: ClassVar[Channel] = "lessons"
    explanations: Annotated[int, Field(ge=2)] = 4
    """G, samples of the teacher."""
    similar: Annotated[int, Field(ge=1)] = 2
    """M, problems per explanation."""
    answers: Annotated[int, Field(ge=2)] = 4
    """K, samples of the student per problem and arm."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """The student's. Above 0, so that samples differ."""
    explanation_temperature: Annotated[float, Field(gt=0)] = 1.0
    """The teacher's.

    At a low one experts repeat their warm-up's solutions almost word for word and learn nothing.
    """
    explanation_tokens: Annotated[int, Field(ge=1)] = 64
    length_penalty: Annotated[float, Field(ge=0)] = 0.1
    """Subtracted when an explanation hits its token cap."""
    wrong_answer_penalty: Annotated[float, Field(ge=0)] = 0.2
    """Subtracted when the explanation ends in another answer than the true one."""
    teacher_reward: TeacherReward = "accuracy"
    """What a teacher earns before penalties; others read the student's likelihoods."""
    copied_words: Annotated[int, Field(ge=1)] = 4
    """`likelihood`: a run of so many words that the explanation has too earns nothing."""
    gain_cap: Annotated[float, Field(gt=0)] = 2.0
    """`likelihood`: the most one token's log-probability may gain or lose, in nats."""
    leak_limit: Annotated[float, Field(gt=0, le=1)] = 0.5
    """An explanation with at least this share of the 8-grams of a q's solution earns nothing for that q."""
    probes: Annotated[int, Field(ge=0)] = 0
    """Answers of the student per problem and arm that are drawn first in training; 0 draws all at once."""
    probe_threshold: Annotated[float, Field(ge=0, le=1)] = THRESHOLD
    """After equal probes, the least chance of a group with variance for which the others are drawn."""
    relation: Relation = field(default="teaching", init=False)

    def check(self) -> list[str]:
        problems = [] if self.domains else ["domains: a teaching task needs at least one domain"]
        silent = [name for name, domain in self.domains.items() if not domain.has_answer_line]
        if self.teacher_reward == "expected_accuracy" and silent:
            problems.append(
                f"teacher_reward: expected_accuracy reads a reply's answer line, and replies in {', '.join(silent)} "
                "have none; choose accuracy or likelihood"
            )
        return problems + check_probes(self.probes, self.answers)

    def seats(self) -> tuple[str, ...]:
        return (TEACHER, STUDENT)

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """The problem set of match number `index`.

        p, M similar problems with other answers, and another p′.
        """
        width = self.similar + 2
        return tuple(pick_similar(self.domains[domain], split, index * width, width))

    # ------------------------------------------------------------------------------------------------ playing
    def open(self, match: Match) -> Sequence[Turn]:
        shown, similar, other = self._parts(match)
        domain = self.domains[shown.domain]
        turns = [self._explain("explain", domain, shown, 0, match)]
        if match.purpose == "evaluate":
            turns.append(self._explain("explain-other", domain, other, len(similar) + 1, match))
        turns += [
            self._answer("control", domain, problem, about=about, examples=(), match=match)
            for about, problem in enumerate(similar, 1)
        ]
        return turns

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        decision, node = path[-1]
        arm = {"explain": "taught", "explain-other": "shuffled"}.get(decision.turn.tag)
        if arm is None:
            return ()
        shown, similar, _ = self._parts(match)
        domain = self.domains[shown.domain]
        example = (shown, decision.texts(node)[TEACHER])
        return [
            self._answer(arm, domain, problem, about=about, examples=(example,), match=match)
            for about, problem in enumerate(similar, 1)
        ]

    def _parts(self, match: Match) -> tuple[Problem, tuple[Problem, ...], Problem]:
        return match.problems[0], match.problems[1:-1], match.problems[-1]

    def _explain(self, tag: str, domain: Domain, problem: Problem, about: int, match: Match) -> Turn:
        samples, temperature = (
            (1, 0.0) if match.purpose == "evaluate" else (self.explanations, self.explanation_temperature)
        )
        sampling = Sampling(temperature=temperature, max_tokens=self.explanation_tokens)
        return Turn(tag, {TEACHER: explain_prompt(domain, problem)}, samples, {TEACHER: sampling}, about)

    def _answer(
        self,
        tag: str,
        domain: Domain,
        problem: Problem,
        *,
        about: int,
        examples: Sequence[tuple[Problem, str]],
        match: Match,
    ) -> Turn:
        samples, temperature = (1, 0.0) if match.purpose == "evaluate" else (self.answers, self.temperature)
        sampling = Sampling(temperature=temperature, max_tokens=domain.max_tokens)
        prompts = {STUDENT: domain.prompt(problem, examples)}
        return Turn(tag, prompts, samples, {STUDENT: sampling}, about, probes=self._probes(match, tag))

    # ---------------------------------------------------------------------------------------------- probes
    def _belief(self, match: Match, arm: str) -> BetaBelief:
        """A belief is about unaided success; of the taught arm nothing is known beforehand."""
        return match.beliefs.get(STUDENT, BetaBelief()) if arm == "control" else BetaBelief()

    def _probes(self, match: Match, arm: str) -> int:
        if match.purpose == "evaluate" or not self.probes:
            return 0
        return probes_for(self._belief(match, arm), self.probes, self.answers, self.probe_threshold)

    def goes_on(self, match: Match, turn: Turn, probes: Mapping[str, Sequence[Reply]]) -> bool:
        problem = match.problems[turn.about or 0]
        right = [self.domains[problem.domain].correct(problem, reply.text) for reply in probes[STUDENT]]
        return worth_drawing(self._belief(match, turn.tag), right, self.answers, self.probe_threshold)

    # ------------------------------------------------------------------------------------------------ scoring
    @property
    def read_seats(self) -> tuple[str, ...]:
        return () if self.teacher_reward == "accuracy" else (STUDENT,)

    def readings(self, episode: Episode) -> Sequence[Reading]:
        if episode.match.purpose == "evaluate" or not self.read_seats:
            return ()
        domain = self.domains[episode.match.problems[0].domain]
        if self.teacher_reward == "likelihood":
            return solution_readings(episode, domain, STUDENT)
        return answer_readings(episode, domain, STUDENT)

    def score(self, episode: Episode) -> Score:
        match = episode.match
        shown, similar, _ = self._parts(match)
        domain = self.domains[shown.domain]
        correct = self._correctness(episode, domain)
        gained = self._gains(episode, domain, correct)
        control = {
            d.turn.about: fmean(correct[n.id] for n in counted_nodes(d))
            for d in episode.roots
            if d.turn.tag == "control"
        }
        explain = next(decision for decision in episode.roots if decision.turn.tag == "explain")
        rewards: dict[int, dict[str, float]] = {node: {STUDENT: value} for node, value in correct.items()}
        examples: list[UsefulExample] = []
        taught: dict[int | None, list[float]] = {about: [] for about in control}
        teacher_rewards, penalties, leaks = [], [], 0
        for node in explain.nodes:
            text = explain.texts(node)[TEACHER]
            penalty = self._penalty(domain, shown, explain.replies[TEACHER][node.picks[TEACHER]].finish, text)
            gains = []
            for answered in node.next:
                about = answered.turn.about
                share = fmean(correct[leaf.id] for leaf in counted_nodes(answered))
                taught[about].append(share)
                leaked = overlap(text, domain.given_away(match.problems[about or 0])) >= self.leak_limit
                leaks += leaked
                gains.append(0.0 if leaked else gained[node.id, about or 0])
                if not leaked and about is not None and match.purpose == "train":
                    examples += self._rescued(answered, match.problems[about], correct, 1.0 - control[about])
            rewards[node.id] = {TEACHER: fmean(gains) - penalty}
            teacher_rewards.append(rewards[node.id][TEACHER])
            penalties.append(penalty)
        deltas = [fmean(shares) - control[about] for about, shares in taught.items()]
        metrics = {
            "control_accuracy": fmean(control.values()),
            "taught_accuracy": fmean(share for shares in taught.values() for share in shares),
            "improvement": fmean(deltas),
            "teacher_reward": fmean(teacher_rewards),
            "teacher_penalty": fmean(penalties),
            "leaks": float(leaks),
        }
        shuffled = [
            d for root in episode.roots if root.turn.tag == "explain-other" for node in root.nodes for d in node.next
        ]
        if shuffled:
            arm = fmean(correct[node.id] for decision in shuffled for node in decision.nodes)
            metrics |= {"shuffled_accuracy": arm, "shuffled_improvement": arm - metrics["control_accuracy"]}
        metrics |= probing_metrics(decision for _, decision in episode.decisions())
        right = [
            correct[leaf.id] for node in explain.nodes for answered in node.next for leaf in counted_nodes(answered)
        ]
        tried = [decision for decision in episode.roots if decision.turn.tag == "control"]
        unaided = tuple(
            UnaidedAnswers(STUDENT, shown.domain, sum(correct[node.id] for node in nodes), len(nodes))
            for nodes in map(counted_nodes, tried)
        )
        outcome = self._outcome(match, shown.domain, deltas, right)
        return Score(rewards, metrics, (outcome,), examples=tuple(examples), unaided=unaided)

    def _rescued(
        self, answered: Decision, problem: Problem, correct: Mapping[int, float], weight: float
    ) -> list[UsefulExample]:
        """Right answers of the taught arm, to be learned unaided; none where the control always was right."""
        return [
            UsefulExample(
                channel="lessons",
                node=node.id,
                speaker=STUDENT,
                learner=STUDENT,
                teacher=TEACHER,
                domain=problem.domain,
                prompt=self.domains[problem.domain].prompt(problem),
                weight=weight,
            )
            for node in answered.nodes
            if weight > 0 and correct[node.id] > 0.5
        ]

    def _gains(self, episode: Episode, domain: Domain, correct: Mapping[int, float]) -> Gains:
        """What each explanation is worth for each problem: by the rule, in evaluation by accuracy."""
        rule = self.teacher_reward if episode.match.purpose == "train" else "accuracy"
        if rule == "likelihood":
            return solution_gains(episode, domain, TEACHER, copied_words=self.copied_words, cap=self.gain_cap)
        expected = rule == "expected_accuracy"
        return accuracy_gains(episode, expected_right(episode, STUDENT) if expected else correct)

    def _correctness(self, episode: Episode, domain: Domain) -> dict[int, float]:
        """node id → 1.0 or 0.0 for every answer of the student."""
        found = {}
        for _, decision in episode.decisions():
            if STUDENT in decision.turn.prompts and decision.turn.about is not None:
                problem = episode.match.problems[decision.turn.about]
                for node in decision.nodes:
                    found[node.id] = float(domain.correct(problem, decision.texts(node)[STUDENT]))
        return found

    def _penalty(self, domain: Domain, shown: Problem, finish: str, text: str) -> float:
        penalty = self.length_penalty if finish == "length" else 0.0
        claimed = domain.extract(text)
        if claimed is not None and not domain.correct(shown, text):
            penalty += self.wrong_answer_penalty
        return penalty

    def _outcome(self, match: Match, domain: str, deltas: Sequence[float], right: Sequence[float]) -> Outcome:
        """wins and losses count the taught arm's right and wrong answers.

        n, total and total_sq the paired improvements.
        """
        return Outcome(
            relation="teaching",
            task=self.name,
            situation=match.situation,
            domain=domain,
            row=match.seats[TEACHER],
            col=match.seats[STUDENT],
            wins=int(sum(right)),
            losses=len(right) - int(sum(right)),
            n=len(deltas),
            total=sum(deltas),
            total_sq=sum(delta * delta for delta in deltas),
        )
