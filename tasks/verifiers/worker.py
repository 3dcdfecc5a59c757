"""The process in which a `verifiers` environment runs; it imports nothing of the league.

It reads one request a line as JSON and answers each with one line. So the environment has signals, an event loop and
packages of its own, and the league can end it when it hangs. It ends by itself when its input closes.

A play is the environment's own rollout with a client that answers from the replies so far. When the client is asked
for more, the rollout is given up and its prompt is the answer; when the rollout ends, the environment's rubric scores
it. So every environment that only asks its client works as it is, whatever it overrides.
"""

import asyncio
import functools
import hashlib
import importlib
import inspect
import json
import os
import queue
import random
import re
import sys
import threading
from typing import Any

VALIDATION, TEST = 0.6, 0.8
"""Where the shares of the splits end, for environments without an evaluation set: 60% train, 20%, 20%."""


class Refused(Exception):
    """What the league says no to, by name."""


class AsksForMore(BaseException):
    """The rollout wants a reply that has not been given. No `except Exception` of an environment holds it."""

    def __init__(self, prompt: Any):
        self.prompt = prompt
        super().__init__("the rollout asks for a reply")


class Environment:
    """A loaded environment, the rows of its splits, and what its reward functions raised."""

    def __init__(self, name: str, args: dict[str, Any]):
        self.library = importlib.import_module("verifiers")
        try:
            self.types = importlib.import_module("verifiers.types")
        except ModuleNotFoundError as error:
            version = getattr(self.library, "__version__", "this version")
            raise Refused(f"verifiers {version} has no load_environment any more; install verifiers==0.3.1") from error
        self.environment = self.library.load_environment(name, **args)
        self.raised: list[str] = []
        self._refuse()
        self._watch(self.environment)
        self.client = self._client()
        self.train, self.held = self._tables()
        self.rows = self._split()

    def _refuse(self) -> None:
        found = self.environment
        if not isinstance(found, self.library.Environment):
            raise Refused(f"load_environment gives {type(found).__name__}, which is no verifiers.Environment")
        for each in parts_of(found):
            kind = type(each).__name__
            if isinstance(each, self.library.ToolEnv) or getattr(each, "tool_defs", None):
                raise Refused(f"{kind} gives its model tools, and agents here only speak")
            if each.rubric.has_group_rewards:
                raise Refused(f"{kind} scores rollouts in groups, and here each reply is scored alone")

    def _watch(self, environment: Any) -> None:
        """Note what reward functions raise: the library itself would make a reward of 0 of it."""
        for part in parts_of(environment):
            for rubric in rubrics_of(part.rubric):
                rubric.funcs[:] = [self._watched(func) for func in rubric.funcs]

    def _watched(self, func: Any) -> Any:
        @functools.wraps(func)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            try:
                found = func(*args, **kwargs)
                return await found if inspect.isawaitable(found) else found
            except Exception as error:
                self.raised.append(f"{getattr(func, '__name__', 'reward')}: {type(error).__name__}: {error}"[:300])
                raise

        return watched

    def _client(self) -> Any:
        library, types = self.library, self.types

        class Answers(library.Client):  # type: ignore[name-defined]
            """Answers from the replies that were given; then it asks for more, or ends the rollout."""

            def __init__(self) -> None:
                super().__init__(None)
                self.replies: list[tuple[str, bool]] = []
                self.given, self.ends = 0, False

            async def get_response(
                self, prompt: Any, model: str, sampling_args: Any, tools: Any = None, **more: Any
            ) -> Any:
                if tools:
                    raise AsksForMore([{"role": "tool", "content": ""}])
                if self.given < len(self.replies):
                    text, cut = self.replies[self.given]
                    self.given += 1
                    message = types.ResponseMessage(
                        content=text, finish_reason="length" if cut else "stop", is_truncated=cut
                    )
                    return types.Response(id=str(self.given), created=0, model=model, usage=None, message=message)
                if self.ends:
                    raise library.OverlongPromptError("the play has had all its replies")
                raise AsksForMore(prompt)

            def setup_client(self, config: Any) -> Any:
                return None

            async def to_native_tool(self, tool: Any) -> Any:
                return tool

            async def to_native_prompt(self, messages: Any) -> Any:
                return messages, {}

            async def get_native_response(
                self, prompt: Any, model: str, sampling_args: Any, tools: Any = None, **more: Any
            ) -> Any:
                raise NotImplementedError

            async def raise_from_native_response(self, response: Any) -> None: ...

            async def from_native_response(self, response: Any) -> Any:
                return response

            async def close(self) -> None: ...

        return Answers()

    # ------------------------------------------------------------------------------------------------- rows
    def _tables(self) -> tuple[Any, Any]:
        """(Training rows, evaluation rows), each None where the environment has none."""
        environment = self.environment
        has_train = environment.dataset is not None or environment.dataset_source is not None
        has_held = environment.eval_dataset is not None or environment.eval_dataset_source is not None
        train = environment.get_dataset() if has_train else None
        return train, environment.get_eval_dataset() if has_held else None

    def _split(self) -> dict[str, list[tuple[bool, int]]]:
        """Split → (whether of the evaluation set, row) …; rows that read alike are on one side only."""
        rows: dict[str, list[tuple[bool, int]]] = {"train": [], "validation": [], "test": []}
        train, held = self.train, self.held
        kept: set[str] = set()
        for place in range(0 if held is None else len(held)):
            key = wording(held[place])
            kept.add(key)
            # without training rows the held-out ones serve all three splits
            share = part(key) if train is None else VALIDATION + part(key) * (1 - VALIDATION)
            rows[split_at(share)].append((True, place))
        for place in range(0 if train is None else len(train)):
            key = wording(train[place])
            if held is None:
                rows[split_at(part(key))].append((False, place))
            elif key not in kept:
                rows["train"].append((False, place))
        return rows

    def row(self, split: str, place: int) -> dict[str, Any]:
        evaluation, number = self.rows[split][place]
        return dict((self.held if evaluation else self.train)[number])

    # ------------------------------------------------------------------------------------------------- plays
    async def play(
        self, split: str, place: int, seed: int, replies: list[tuple[str, bool]], ends: bool
    ) -> dict[str, Any]:
        """Either the next prompt, or the reward of the end."""
        random.seed(seed)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            numpy.random.seed(seed % 2**32)
        self.client.replies, self.client.given, self.client.ends = replies, 0, ends
        self.raised.clear()
        try:
            state = await self.environment.rollout(self.row(split, place), self.client, "league", {})
        except AsksForMore as asks:
            return {"next": [message_of(each) for each in asks.prompt]}
        if state.get("error") is not None:
            return {"failed": f"its rollout fails: {type(state['error']).__name__}: {state['error']}"[:500]}
        await self.environment.rubric.score_rollout(state)
        await self.environment.rubric.cleanup(state)
        if self.raised:
            return {"failed": f"its rubric fails: {self.raised[0]}"}
        reward = float(state["reward"])
        if reward != reward or reward in (float("inf"), float("-inf")):
            return {"failed": f"its rubric gives a reward of {reward}"}
        metrics = {str(name): float(value) for name, value in (state.get("metrics") or {}).items()}
        return {"reward": reward, "metrics": {name: value for name, value in metrics.items() if value - value == 0}}


def parts_of(environment: Any) -> list[Any]:
    """The environment itself, and those that a group consists of."""
    found = [environment]
    for each in getattr(environment, "envs", None) or []:
        found += parts_of(each)
    return found


def rubrics_of(rubric: Any) -> list[Any]:
    """The rubric itself, and those that a group consists of."""
    found = [rubric]
    for each in getattr(rubric, "rubrics", None) or []:
        found += rubrics_of(each)
    return found


def split_at(share: float) -> str:
    return "train" if share < VALIDATION else "validation" if share < TEST else "test"


def part(key: str) -> float:
    """A number in [0, 1) that depends on the words only."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def wording(row: dict[str, Any]) -> str:
    """What a row asks, without case, spaces and punctuation: rows that agree in it are one problem."""
    prompt = row.get("prompt")
    messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": str(prompt)}]
    asked = [str(dict(each).get("content")) for each in messages if dict(each).get("role") != "system"]
    return re.sub(r"[\W_]+", " ", " ".join(asked).casefold()).strip()


def message_of(message: Any) -> dict[str, str]:
    """A message as role and text. Raises Refused for what a language agent here cannot read."""
    given = message if isinstance(message, dict) else message.model_dump()
    role, content = str(given.get("role")), given.get("content")
    if isinstance(content, list):
        if any(dict(each).get("type") != "text" for each in content):
            raise Refused("its prompts hold more than text")
        content = "".join(str(dict(each)["text"]) for each in content)
    if role == "text":
        role = "user"
    if role not in ("system", "user", "assistant"):
        raise Refused(f"its prompts have messages of role '{role}': agents here only speak")
    return {"role": role, "content": str(content or "")}


class EnvironmentServer:
    """Takes requests one by one; all plays share an event loop."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loaded: Environment | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["do"] == "load":
                sys.path += [folder for folder in request["folders"] if folder not in sys.path]
                self.loaded = Environment(request["environment"], request["args"])
                return {"rows": {split: len(rows) for split, rows in self.loaded.rows.items()}}
            assert self.loaded is not None
            if request["do"] == "row":
                row = self.loaded.row(request["split"], request["place"])
                return {"question": wording_shown(row), "answer": str(row.get("answer") or "")}
            replies = [(str(text), bool(cut)) for text, cut in request["replies"]]
            play = self.loaded.play(request["split"], request["place"], request["seed"], replies, request["ends"])
            return self.loop.run_until_complete(play)
        except Refused as refused:
            return {"refused": str(refused)}
        except (Exception, SystemExit) as error:  # noqa: BLE001  (somebody else's code; it becomes a message)
            cause = error.__cause__
            told = f"{type(error).__name__}: {error}" + (f" ({type(cause).__name__}: {cause})" if cause else "")
            return {"failed": told[:1000]}


def wording_shown(row: dict[str, Any]) -> str:
    """The text of a row's last message, for people."""
    prompt = row.get("prompt")
    last = prompt[-1] if isinstance(prompt, list) and prompt else {"content": prompt}
    return str(dict(last).get("content"))


def main() -> None:
    """Serve until the input closes, whatever the environment is doing then."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what an environment prints is no answer
    requests: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            requests.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    server = EnvironmentServer()
    while True:
        answers.write(json.dumps(server.answer(json.loads(requests.get()))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
