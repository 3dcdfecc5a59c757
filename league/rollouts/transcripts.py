"""An episode tree as plain data, for people and for the store."""

from collections.abc import Mapping

from league.types import Episode, Score


def transcript(episode: Episode, score: Score, advantages: Mapping[tuple[int, str], float]) -> dict[str, object]:
    """Everything that was said, in playing order: JSON-able.

    Turns are grouped by decision and seat; `path` names the replies that led there ("explain#2/taught"), so a reader
    can follow one branch. `reward` is the immediate reward of the reply's first node.
    """
    match = episode.match
    turns = []
    for path, decision in episode.decisions():
        where = "/".join(f"{before.turn.tag}#{node.picks[next(iter(node.picks))]}" for before, node in path)
        for seat, replies in decision.replies.items():
            by_reply = {node.picks[seat]: node for node in reversed(decision.nodes)}
            turns.append(
                {
                    "path": where,
                    "tag": decision.turn.tag,
                    "seat": seat,
                    "about": decision.turn.about,
                    "prompt": [
                        {"role": message.role, "content": message.content} for message in decision.turn.prompts[seat]
                    ],
                    "replies": [
                        {
                            "text": reply.text,
                            "finish": reply.finish,
                            "reward": score.rewards.get(by_reply[index].id, {}).get(seat, 0.0),
                            "advantage": advantages.get((by_reply[index].id, seat), 0.0),
                        }
                        for index, reply in enumerate(replies)
                        if index in by_reply
                    ],
                }
            )
    return {
        "match": match.id,
        "round": match.round,
        "purpose": match.purpose,
        "task": match.task,
        "situation": match.situation,
        "seats": {seat: str(version) for seat, version in match.seats.items()},
        "problems": [
            {"key": problem.key, "question": problem.question, "answer": problem.answer} for problem in match.problems
        ],
        "turns": turns,
        "metrics": dict(score.metrics),
    }
