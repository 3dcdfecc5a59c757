"""Whether every prompt with its reply fits the model's context, found before a model is loaded.

Each task is walked along one path with replies of the longest length that it allows, so that prompts which quote
earlier replies (an explanation, a partner's text, feedback) count with them. The first problem sets stand for the
others: what a later one may be longer by is left to the check at each prompt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from league.config import Config
from league.errors import Foreign, UserError
from league.rollouts import make_match, with_instructions
from league.types import Decision, Match, Message, Node, Reply, TreePath, Turn, Version
from tasks import Task
from tasks.domains import Domain

SETS, TURNS = 3, 64
"""Problem sets looked at per task and domain, and decision points of each."""

Encode = Callable[[Sequence[Message]], Sequence[int]]
"""A conversation's token ids, through the model's chat template."""
PromptAndRoom = tuple[tuple[Message, ...], int]
"""What a seat sees, and the tokens of its longest reply."""


def too_long(
    config: Config,
    context: int,
    encode: Encode,
    *,
    domains: Mapping[str, Domain],
    tasks: Mapping[str, Task],
) -> list[str]:
    """One line for the longest prompt with reply, where it exceeds the context (tokens).

    And one for each task whose rules fail on the way, or whose conversations the chat template refuses.
    """
    system = max((agent.system or "" for agent in config.agents.values()), key=len, default="")
    longest, where, problems = 0, "", []
    places: dict[str, Callable[[], Iterator[PromptAndRoom]]] = {
        f"domain '{name}' with a worked example": lambda domain=domain: _worked(domain)  # type: ignore[misc]
        for name, domain in domains.items()
    }
    filler = _filler(lambda text: len(encode((Message("user", text),))))
    for name, task in tasks.items():
        places[f"task '{name}'"] = lambda task=task: _of_task(task, filler)  # type: ignore[misc]
    for place, prompts in places.items():
        try:
            with Foreign(f"{place}: its rules fail"):
                rooms = set(prompts())
            needed = max((len(encode(with_instructions(prompt, system))) + reply for prompt, reply in rooms), default=0)
        except UserError as error:
            problems.append(str(error))
            continue
        if needed > longest:
            longest, where = needed, place
    if longest > context:
        problems.append(
            f"model.name: the longest prompt and reply ({where}) need about {longest} tokens, the context is "
            f"{context}; "
            "lower the level or the tokens of a reply, or choose a model with a longer context"
        )
    return problems


def _filler(tokens: Callable[[str], int]) -> Callable[[int], str]:
    """count → a text of about so many tokens."""
    each = max(1.0, (tokens(" word" * 17) - tokens(" word")) / 16)
    return lambda count: " word" * max(1, int(count / each))


def _worked(domain: Domain) -> Iterator[PromptAndRoom]:
    for index in range(SETS):
        problem = domain.problem("train", index)
        yield domain.prompt(problem, ((problem, domain.solution(problem)),)), domain.max_tokens


def _of_task(task: Task, filler: Callable[[int], str]) -> Iterator[PromptAndRoom]:
    """The prompts along one path of the first matches, replies being as long as they may."""
    seats = task.seat_names(2)
    players = {seat: Version("a", place) for place, seat in enumerate(seats)}
    for domain in task.domain_names:
        for index in range(SETS):
            problems = task.problems("train", index, domain)
            match = make_match(task.name, at=(0, "lengths", index), seats=players, problems=problems, seed=index)
            yield from _walk(task, match, filler)


def _walk(task: Task, match: Match, filler: Callable[[int], str]) -> Iterator[PromptAndRoom]:
    opened: list[tuple[TreePath, Turn]] = [((), turn) for turn in task.open(match)]
    for number in range(TURNS):
        if not opened:
            return
        path, turn = opened.pop()
        for seat, prompt in turn.prompts.items():
            yield tuple(prompt), turn.sampling[seat].max_tokens
        replies = {seat: (Reply(filler(turn.sampling[seat].max_tokens), "length"),) for seat in turn.prompts}
        decision = Decision(turn, replies, [Node(number, dict.fromkeys(turn.prompts, 0))])
        here = (*path, (decision, decision.nodes[0]))
        following: Sequence[Turn] = task.follow(match, here)
        opened += [(here, each) for each in following]
