"""One backend made of several: each request goes to the one its agent belongs to.

Each of them still gets one batch a stage.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from league.errors import BackendError
from league.types import Backend, PrefixCaching, Reply, Request


class RouterBackend:
    """`special` names the agents that have a backend of their own; all others go to `default`.

    So does the base model.
    """

    def __init__(self, default: Backend | None, special: Mapping[str, Backend]):
        self.default, self.special = default, dict(special)

    @contextmanager
    def prefix_caching(self) -> Iterator[None]:
        """Of all its backends that offer it."""
        with ExitStack() as stack:
            for backend in {id(item): item for item in (self.default, *self.special.values())}.values():
                if isinstance(backend, PrefixCaching):
                    stack.enter_context(backend.prefix_caching())
            yield

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        answers: list[tuple[Reply, ...] | BackendError] = [BackendError("nobody answers for this agent")] * len(
            requests
        )
        batches: dict[int, tuple[Backend, list[int]]] = {}
        for place, request in enumerate(requests):
            backend = self.special.get(request.version.agent, self.default) if request.version else self.default
            if backend is None:
                answers[place] = BackendError(f"{request.version or 'the base model'} has no backend in this run")
            else:
                batches.setdefault(id(backend), (backend, []))[1].append(place)
        for backend, places in batches.values():
            for place, answer in zip(places, backend.generate([requests[place] for place in places]), strict=True):
                answers[place] = answer
        return answers
