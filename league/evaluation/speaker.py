"""One stored version that answers prompts of people, outside of any match. Nothing is stored."""

from dataclasses import dataclass
from pathlib import Path

from league.errors import BackendError
from league.evaluation.on_demand import load_players
from league.population import Population
from league.rollouts.play import Player, with_instructions
from league.store.reader import RunReader
from league.types import BASE, Backend, Message, Request, Sampling, Version


@dataclass(frozen=True)
class Speaker:
    """A version with everything it needs to speak."""

    version: Version
    player: Player
    backend: Backend

    def reply(self, messages: tuple[Message, ...], sampling: Sampling, seed: int) -> str:
        """One reply to the messages, behind the agent's own instructions.

        Raises BackendError where it cannot answer (a server that is out of reach).
        """
        request = Request(
            version=None if self.version == BASE else self.version,
            messages=with_instructions(messages, self.player.system),
            samples=1,
            sampling=sampling,
            seed=seed,
        )
        (answer,) = self.backend.generate([request])
        if isinstance(answer, BackendError):
            raise answer
        return answer[0].text


def load_speaker(run: Path, version: Version) -> Speaker:
    """Load the base model and one version's adapter; a scripted or remote agent speaks for itself."""
    from league.preflight.checks import prepare
    from league.runtime.assembly import read_config
    from league.runtime.league import players_of

    with RunReader.read(run) as reader:
        population = Population.from_json(reader.begun()["population"])
        prepared = prepare(read_config(run), new_run=False, speakers={version.agent})
        backend = load_players(reader, prepared, [version])
    return Speaker(version, players_of(population).get(version.agent, Player()), backend)
