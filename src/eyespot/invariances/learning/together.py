"""The pipeline that is made of what is safe alone: as much of it as is safe together."""

import time
from collections.abc import Sequence

from eyespot.invariances.learning.judge import HARMFUL, UNKNOWN, Learned
from eyespot.invariances.learning.learner import Learner


def pipeline_of(learner: Learner, learned: Sequence[Learned], usual: str, ends: float) -> tuple[str, str]:
    """What is safe, also together, and of the usual what is undecided; and the reason. ends   when the time is over"""
    word = learner.survey.word
    judged = {one.candidate.pipeline(one.dose).split("(")[0]: one for one in learned}
    kept = [text for text in usual.split("|") if _is_undecided(judged.get(text.split("(")[0]))]
    safe = sorted((one for one in learned if one.pipeline), key=_loss)
    together, dropped = _together(learner, safe, kept, ends)
    harmful = [one.candidate.name for one in learned if one.status == HARMFUL]
    names = ", ".join(one.candidate.name for one in safe)
    parts = [f"safe in {len(learner.rows):,} training {word}s: {names or 'nothing'}"]
    parts += [f"harmful: {', '.join(harmful)}"] * bool(harmful)
    parts += [f"undecided, and kept as usual: {', '.join(kept)}"] * bool(kept)
    parts += [f"left out, as all together cost accuracy: {', '.join(dropped)}"] * bool(dropped)
    pipelines = [one.pipeline for one in sorted(together, key=learned.index)]
    return "|".join([*kept, *pipelines]) or "none", "; ".join(parts)


def _is_undecided(one: Learned | None) -> bool:
    return one is None or one.status == UNKNOWN


def _loss(one: Learned) -> float:
    return one.at.trained["value"] if one.at.trained else 0.0


def _together(
    learner: Learner, safe: Sequence[Learned], kept: Sequence[str], ends: float
) -> tuple[list[Learned], list[str]]:
    """Of transforms that are safe alone, the best first, as many as are safe together; and the names of the others."""
    chosen = list(safe)
    start = time.monotonic()
    took = 0.0
    while len(chosen) + len(kept) > 1 and chosen:
        if start + took > ends:  # untested: only the best one is added to the usual
            chosen = chosen[:1]
            break
        networks = learner.networks("|".join([*kept, *(one.pipeline for one in chosen)]))
        lost = learner.drop(learner.right(networks))
        if lost["low"] <= 0 or lost["value"] <= learner.margins.trained:
            break
        chosen = chosen[:-1]
        took = 2 * (time.monotonic() - start)
    return chosen, [one.candidate.name for one in safe if one not in chosen]
