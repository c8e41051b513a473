"""The model card: what a network is for, how good it is and how it was made, in Markdown (Mitchell et al. 2019)."""

import json
from typing import Any

from eyespot.metrics.intervals import percent
from eyespot.plurals import count
from eyespot.tasks.registry import task_of_card
from eyespot.weights.card import Card
from eyespot.wrapping import quoted

TAGS = {"classification": "image-classification", "segmentation": "image-segmentation"}
"""What the hub calls the tasks of images; it has no names for those of signals and volumes."""
SAMPLES = {1: "signals", 2: "images", 3: "volumes"}
LISTED = 50
"""Classes that are named; of more, the first."""
TRAINED = ("model", "minutes", "epochs", "batch", "recipe", "augment", "start_from", "precision", "seed")
"""Settings that are shown, where they were chosen or given."""


def model_card(card: Card, title: str, load_as: str) -> str:
    """Markdown with metadata, as the hub reads it.

    title     the heading
    load_as   what loads the network in the examples: a run folder, a file or hub:owner/name
    """
    sections = [
        _metadata(card),
        f"# {title}",
        _summary(card),
        _use(card, load_as),
        _metrics(card),
        _limits(card),
        _training(card),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(card: Card) -> str:
    """YAML, each value written as JSON, which YAML includes."""
    values: dict[str, Any] = {"library_name": "eyespot", "tags": ["eyespot", card.task, card.preset]}
    if card.preprocessing.get("dim", 2) == 2:
        values["pipeline_tag"] = TAGS[card.task]
    return "\n".join(["---", *(f"{key}: {json.dumps(value)}" for key, value in values.items()), "---"])


def _samples(card: Card) -> str:
    return SAMPLES[card.preprocessing.get("dim", 2)]


def _summary(card: Card) -> str:
    names = ", ".join(map(_plain, card.classes[:LISTED])) + ", ..." * (len(card.classes) > LISTED)
    what = "the class of" if card.task == "classification" else "a mask of the classes of"
    data = card.data.get("name")
    trained = f", trained on {count(card.data.get('trained', 0), 'sample')} of {_plain(data)}" if data else ""
    classes = count(len(card.classes), "class", "classes")
    return (
        f"A {card.preset} network that predicts {what} {_samples(card)}{trained}. It has {classes}: {names}."
    )


def _use(card: Card, load_as: str) -> str:
    python_name = json.dumps(load_as, ensure_ascii=False)
    python = f"```python\nimport eyespot\n\neyespot.load({python_name})('FILE')\n```"
    return f"## Use\n\n```\neyespot predict {quoted(load_as)} FILE...\n```\n\n{python}"


def _metrics(card: Card) -> str:
    titles: dict[str, str] = task_of_card(card).evaluator.titles
    rows = [
        f"| {title} | {percent(card.scores[key])} | {_number(card.scores[key])} |"
        for key, title in titles.items()
        if key in card.scores
    ]
    if not rows:
        return "## Metrics\n\nThe model file has none: the network was not evaluated."
    intro = f"Measured on {_measured_on(card)}, with 95% intervals."
    return "\n".join(["## Metrics", "", intro, "", "| metric | value | n |", "| --- | --- | --- |", *rows])


def _measured_on(card: Card) -> str:
    if "metrics" in card.data:
        return f"{card.data['metrics']} predictions"
    has_test = card.data.get("split", {}).get("test", {}).get("n")
    return "the test set" if has_test else "the validation set"


def _number(score: dict[str, Any]) -> str:
    groups = f" in {count(score['groups'], 'group')}" if score.get("groups") else ""
    return f"{score['n']:,}{groups}"


def _limits(card: Card) -> str:
    lines = [
        f"- The metrics hold for {_samples(card)} that are made like those of the training data. For others, "
        "evaluate the network on samples of your own first: `eyespot evaluate`.",
        "- One that belongs to none of these classes is given one of them all the same.",
    ]
    seen = next((s["seen"] for s in card.scores.values() if s.get("seen")), 0)
    if seen:
        lines.append(f"- {count(seen, 'sample')} of those that were measured had been seen in training.")
    return "\n".join(["## Limits", "", *lines])


def _training(card: Card) -> str:
    shown = {key: card.plan[key] for key in TRAINED if card.plan.get(key) not in (None, "")}
    rows = [f"| {key.replace('_', ' ')} | {_plain(str(value))} |" for key, value in shown.items()]
    split = card.data.get("split", {})
    rows += [
        f"| {name} split | {count(side['n'], 'sample')}, fingerprint `{side['hash']}` |"
        for name, side in split.items()
        if side["n"]
    ]
    made = ", ".join(f"{name} {version}" for name, version in card.versions.items())
    table = ["| setting | value |", "| --- | --- |", *rows] if rows else []
    return "\n".join(["## Training", "", *table, "", f"Made with {made}." if made else ""]).rstrip()


def _plain(text: str) -> str:
    """Text without what Markdown would read as markup"""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in text).replace("\n", " ")
