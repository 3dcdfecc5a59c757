"""A backend that notes what went through it: for measuring, where episodes are not kept."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from league.errors import BackendError
from league.types import BASE, Backend, PrefixCaching, Reply, Request, Version


class MeteredBackend:
    """Passes everything on to `backend`.

    `hear` gets (version, tokens of the prompt, number of tokens drawn) of every reply.
    """

    def __init__(self, backend: Backend, hear: Callable[[Version, tuple[int, ...], int], None]):
        self.backend, self.hear = backend, hear

    def prefix_caching(self) -> AbstractContextManager[None]:
        """Of the backend, where it offers it."""
        return self.backend.prefix_caching() if isinstance(self.backend, PrefixCaching) else nullcontext()

    def generate(self, requests: Sequence[Request]) -> Sequence[tuple[Reply, ...] | BackendError]:
        answers = self.backend.generate(requests)
        for request, answer in zip(requests, answers, strict=True):
            for reply in answer if not isinstance(answer, BackendError) else ():
                self.hear(request.version or BASE, reply.prompt_tokens, len(reply.tokens))
        return answers
