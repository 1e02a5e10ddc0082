"""Generates the model card page (Markdown) from the card of the model."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from mien.artifacts import CARD_NAME, card_beside
from mien_train.card import read_card
from mien_train.errors import TrainingError
from mien_train.metrics import CALIBRATION_BINS, top_confusions

__all__ = ["render", "weaknesses"]

# A class with a smaller share of the faces is rare: its metrics are uncertain.
RARE = 0.05
# A metric is weak if it is this far below the accuracy.
WEAK = 0.1
# Reported mistakes: the most frequent pairs, and those that affect this share of a class.
TOP_PAIRS = 2
LARGE_SHARE = 0.15
# With fewer predictions, a bin is not considered.
BIN_PREDICTIONS = 100


def render(model: Path) -> str:
    """Return the page of a model as Markdown.

    Raises:
        ArtifactError: There is no card.
        TrainingError: The card has no metrics yet.
    """
    card_beside(model)
    card = read_card(model.parent)
    views = list(card.get("measured", {}).values())
    main = next((view for view in views if view.get("view") == "single"), None)
    if main is None or "reliability" not in main["six"]:
        raise TrainingError(
            f"{model.parent / CARD_NAME} has no figures to show: "
            "run mien-train evaluate with --record first"
        )
    environment = Environment(
        loader=PackageLoader("mien_train"),
        # The output is Markdown, and cards come from this project.
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": _percent, "accuracy": _accuracy}
    return environment.get_template("model-card.md.jinja").render(
        card=card,
        file=model.name,
        megabytes=model.stat().st_size / 1e6,
        views=views,
        main=main,
        weaknesses=list(weaknesses(main)),
        bins=list(_bins(main["six"]["reliability"])),
    )


def weaknesses(view: dict[str, Any]) -> Iterator[str]:
    """Yield the weaknesses that the metrics of one view show, a sentence each."""
    six = view["six"]
    yield from _rare(six)
    yield from _weak(six)
    yield from _pairs(six)
    yield from _one_way(six)
    yield from _too_sure(six)
    yield from _wider_sets(view)


def _rare(table: dict[str, Any]) -> Iterator[str]:
    for label, row in table["per_class"].items():
        if row["faces"] < RARE * table["faces"]:
            low, high = row["recall_interval"]
            yield (
                f"**{label} is rare**: {row['faces']} of {table['faces']:,} faces. Its "
                f"recall of {row['recall']:.2f} is uncertain ({low:.2f} to {high:.2f})."
            )


def _weak(table: dict[str, Any]) -> Iterator[str]:
    limit = table["accuracy"] - WEAK
    for label, row in table["per_class"].items():
        if row["recall"] < limit:
            yield (
                f"**{label} is often missed**: {_percent(1 - row['recall'])} of the {label} faces "
                "get another label."
            )
        if row["precision"] < limit:
            yield (
                f"**{label} is often predicted wrongly**: {_percent(1 - row['precision'])} of the "
                f"predictions {label} are wrong."
            )


def _pairs(table: dict[str, Any]) -> Iterator[str]:
    labels, counts = list(table["per_class"]), _counts(table)
    mistakes = counts.sum() - np.trace(counts)
    pairs = sorted(
        combinations(range(len(labels)), 2), key=lambda p: -(counts[p] + counts[p[::-1]])
    )
    for a, b in pairs[:TOP_PAIRS]:
        both = counts[a, b] + counts[b, a]
        if both:
            first, second = labels[a], labels[b]
            yield (
                f"**{first} and {second} are confused**: {counts[a, b]} of "
                f"{counts[a].sum():,} {first} faces are classified as {second} and {counts[b, a]} "
                f"of {counts[b].sum():,} {second} faces as {first}, {_percent(both / mistakes)} of "
                "all mistakes."
            )


def _one_way(table: dict[str, Any]) -> Iterator[str]:
    counts, labels = _counts(table), tuple(table["per_class"])
    for mistake in top_confusions(counts, labels, counts.size):
        if mistake.share >= LARGE_SHARE:
            yield (
                f"{_percent(mistake.share)} of the {mistake.truth} faces are classified as "
                f"{mistake.predicted} ({mistake.faces})."
            )


def _too_sure(table: dict[str, Any]) -> Iterator[str]:
    bins = [row for row in _bins(table["reliability"]) if row[2] >= BIN_PREDICTIONS]
    low, high, predictions, sure, right = max(
        bins, key=lambda row: row[3] - row[4], default=(0.0, 0.0, 0, 0.0, 0.0)
    )
    if sure > right:
        yield (
            f"The model is most overconfident between {_percent(low)} and {_percent(high)}: the "
            f"mean confidence is {_percent(sure)}, but only {_percent(right)} of {predictions} "
            "predictions are correct."
        )


def _wider_sets(view: dict[str, Any]) -> Iterator[str]:
    table = view.get("ferplus")
    for label in ("disgust", "contempt"):
        if table and label in table["per_class"]:
            row = table["per_class"][label]
            found = round(row["recall"] * row["faces"])
            yield (
                f"**{label}** is only in the larger label sets: the FER+ output finds it in "
                f"{found} of {row['faces']} faces."
            )


def _bins(reliability: list[list[float]]) -> Iterator[tuple[float, float, int, float, float]]:
    """Yield (from, to, predictions, mean confidence, accuracy) of the bins that are not empty."""
    for index, (predictions, sure, right) in enumerate(reliability):
        if predictions:
            yield (
                index / CALIBRATION_BINS,
                (index + 1) / CALIBRATION_BINS,
                int(predictions),
                sure,
                right,
            )


def _counts(table: dict[str, Any]) -> NDArray[np.int64]:
    return np.array(table["confusion"], dtype=np.int64)


def _accuracy(table: dict[str, Any]) -> float:
    """Return the accuracy from the counts: the card's own is rounded already."""
    counts = _counts(table)
    return float(np.trace(counts) / counts.sum())


def _percent(share: float, places: int = 0) -> str:
    return f"{100 * share:.{places}f} %"
