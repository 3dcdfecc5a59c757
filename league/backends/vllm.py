"""Rollouts by vLLM, with our adapters handed over by path.

It is optional, and has the same interface as LocalBackend.

vLLM computes with other kernels, so its probabilities are not quite ours. Replies carry ours where both agree within
`tolerance` per token, so that an on-policy ratio is exactly 1; where any token of a reply differs more, the reply
carries vLLM's own, the true behaviour policy, and an objective with `clip` corrects by the importance ratio. `drift`
reports how far apart the two were.

`Sampler` is the whole surface used of vLLM; `VllmSampler` is the real one (needs `pip install llm-league[vllm]` and
its hardware).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from league.backends.local import encoded
from league.errors import BackendError, UserError
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.peft_io import export_peft
from league.model.score import score
from league.seeds import derive
from league.types import Reply, Request, Sampling, Version


@dataclass(frozen=True)
class Adapter:
    """An adapter as vLLM knows it: a name, a number and a PEFT folder.

    The number is positive and never reused for other weights.
    """

    name: str
    number: int
    folder: Path


@dataclass(frozen=True)
class PromptJob:
    """One prompt for one adapter (None: the base), sampled `samples` times."""

    prompt: tuple[int, ...]
    adapter: Adapter | None
    sampling: Sampling
    samples: int
    seed: int
    first: int = 0
    """Sample j draws with the seed `seed` + j, from j = `first` on."""
    ends: tuple[int, ...] = ()
    """Tokens that end a reply."""


@dataclass(frozen=True)
class Draw:
    """One completion; tokens include the end token when finish is "end".

    Log-probabilities are those of the processed (sampling) distribution.
    """

    tokens: tuple[int, ...]
    text: str
    finish: Literal["end", "stop", "length"]
    logprobs: tuple[float, ...]


class Sampler(Protocol):
    """What is needed of vLLM."""

    def sample(self, jobs: Sequence[PromptJob]) -> list[list[Draw]]:
        """Answer every job with its `samples` draws, in order.

        Raises BackendError when the engine fails.
        """
        ...


@dataclass
class Drift:
    """How far the sampler's log-probabilities were from ours, in all.

    Tokens, largest and summed |difference|, and replies kept as theirs.
    """

    tokens: int = 0
    largest: float = 0.0
    total: float = 0.0
    corrected: int = 0
    replies: int = 0


class VllmBackend:
    """types.Backend over a Sampler.

    Weights come from our bank, exported once per version and revision into `spool`.
    """

    def __init__(self, base: BaseModel, bank: AdapterBank, sampler: Sampler, spool: Path, *, tolerance: float = 0.02):
        self.base, self.bank, self.sampler, self.spool, self.tolerance = base, bank, sampler, spool, tolerance
        self.drift = Drift()
        self._adapters: dict[tuple[Version, int], Adapter] = {}

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        """Answer every request with its `samples` replies, in order.

        One whose prompt does not fit the context gets a BackendError.
        """
        prompts = encoded(self.base, requests)
        asked = [request for request, prompt in zip(requests, prompts, strict=True) if isinstance(prompt, tuple)]
        answers = iter(self._answered(asked, [prompt for prompt in prompts if isinstance(prompt, tuple)]))
        return [prompt if isinstance(prompt, BackendError) else next(answers) for prompt in prompts]

    def _answered(self, requests: Sequence[Request], prompts: Sequence[tuple[int, ...]]) -> list[tuple[Reply, ...]]:
        """The replies to requests that fit, with the tokens of their prompts."""
        jobs = []
        for request, prompt in zip(requests, prompts, strict=True):
            if request.sampling.grammar is not None:
                raise UserError("grammar: the vLLM backend does not take grammars; use the local backend")
            jobs.append(
                PromptJob(
                    prompt,
                    self._adapter(request.version),
                    request.sampling,
                    request.samples,
                    derive("vllm", request.seed) >> 32,
                    first=request.first,
                    ends=tuple(sorted(self.base.end_tokens)),
                )
            )
        answers = self.sampler.sample(jobs) if jobs else []
        if [len(draws) for draws in answers] != [job.samples for job in jobs]:
            raise BackendError(
                f"vLLM: expected {[job.samples for job in jobs]} replies, got {[len(draws) for draws in answers]}"
            )
        return self._replies(requests, jobs, answers)

    def _adapter(self, version: Version | None) -> Adapter | None:
        if version is None:
            return None
        if version not in self.bank:
            raise BackendError(f"{version}: no such adapter is loaded")
        key = (version, self.bank.slice(version).revision)
        if key not in self._adapters:
            number = len(self._adapters) + 1
            folder = self.spool / f"{version}-{number}"
            export_peft(self.bank, version, folder, self.base.name)
            self._adapters[key] = Adapter(f"{version}-{number}", number, folder)
        return self._adapters[key]

    def _replies(
        self, requests: Sequence[Request], jobs: Sequence[PromptJob], answers: list[list[Draw]]
    ) -> list[tuple[Reply, ...]]:
        flat = [(i, draw) for i, draws in enumerate(answers) for draw in draws if draw.tokens]
        ours = score(
            self.bank,
            [(jobs[i].prompt, draw.tokens) for i, draw in flat],
            [requests[i].version for i, _ in flat],
            [jobs[i].sampling for i, _ in flat],
        )
        scored = {id(draw): tuple(values.tolist()) for (_, draw), values in zip(flat, ours, strict=True)}
        return [
            tuple(
                Reply(
                    d.text,
                    d.finish,
                    job.prompt,
                    d.tokens,
                    self._choose(d, scored.get(id(d), ()), job.sampling.temperature <= 0),
                )
                for d in draws
            )
            for job, draws in zip(jobs, answers, strict=True)
        ]

    def _choose(self, draw: Draw, ours: tuple[float, ...], greedy: bool) -> tuple[float, ...]:
        if len(draw.logprobs) != len(draw.tokens):
            raise BackendError(f"vLLM: {len(draw.tokens)} tokens but {len(draw.logprobs)} log-probabilities")
        if greedy:  # greedy tokens are scored at temperature 1, which only we do
            return ours
        gaps = [abs(a - b) for a, b in zip(draw.logprobs, ours, strict=True)]
        worst = max(gaps, default=0.0)
        self.drift.tokens += len(gaps)
        self.drift.total += sum(gaps)
        self.drift.largest = max(self.drift.largest, worst)
        self.drift.replies += 1
        if worst <= self.tolerance:
            return ours
        self.drift.corrected += 1
        return draw.logprobs


class VllmSampler:
    """The real vLLM, in this process. Not run by the project's own tests unless vLLM is installed."""

    def __init__(self, model: Path, *, max_loras: int = 16, max_rank: int = 64, **options: Any):
        try:
            from vllm import LLM
        except ImportError as error:
            raise UserError(
                "vLLM is not installed: pip install 'llm-league[vllm]' (it needs a GPU), or use the local backend"
            ) from error
        self.llm = LLM(
            str(model),
            enable_lora=True,
            max_loras=max_loras,
            max_lora_rank=max_rank,
            logprobs_mode="processed_logprobs",
            **options,
        )

    def sample(self, jobs: Sequence[PromptJob]) -> list[list[Draw]]:
        from vllm import SamplingParams, TokensPrompt
        from vllm.lora.request import LoRARequest

        prompts = [TokensPrompt(prompt_token_ids=list(job.prompt)) for job in jobs]
        settings = [
            SamplingParams(
                n=job.samples,
                temperature=job.sampling.temperature,
                top_p=job.sampling.top_p,
                top_k=job.sampling.top_k or -1,
                max_tokens=job.sampling.max_tokens,
                stop=list(job.sampling.stop) or None,
                stop_token_ids=list(job.ends),
                seed=job.seed + job.first,  # vLLM adds 0, 1, … for the samples of one job
                logprobs=0,
            )
            for job in jobs
        ]
        loras = [
            None if job.adapter is None else LoRARequest(job.adapter.name, job.adapter.number, str(job.adapter.folder))
            for job in jobs
        ]
        try:
            outputs = self.llm.generate(prompts, settings, lora_request=loras, use_tqdm=False)
        except (RuntimeError, ValueError) as error:
            raise BackendError(f"vLLM: {error}") from error
        return [[_draw(item) for item in output.outputs] for output in outputs]


def _draw(item: Any) -> Draw:
    """A vLLM CompletionOutput as a Draw."""
    if item.finish_reason == "length":
        finish: Literal["end", "stop", "length"] = "length"
    else:
        finish = "stop" if isinstance(item.stop_reason, str) else "end"
    tokens = tuple(item.token_ids)
    return Draw(
        tokens,
        item.text,
        finish,
        tuple(entry[token].logprob for token, entry in zip(tokens, item.logprobs, strict=True)),
    )
