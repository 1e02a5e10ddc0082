"""Measurements as rows of a table: a number for each system, and its text."""

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

OURS = "mien"
Results = Mapping[str, Any]

ACCURACIES = {
    "six": "FER+ majority, the six labels",
    "ferplus": "FER+ majority, eight classes",
    "fer2013": "FER2013's label, seven classes",
}
# Faces of everyday photos: a random sample, and all.
NATURAL = {"random": "natural faces", "every": "natural faces, rare emotions added"}
NATURAL_FIGURES = {
    "found": "found",
    "end_to_end": "accuracy, missed faces counted as wrong",
    "accuracy": "accuracy of found faces",
    "macro_f1": "macro-F1 of found faces",
    "calibration_error": "calibration error of found faces",
}

# Smaller relative differences between values that were measured once are ignored.
LEVEL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table.

    Attributes:
        key: Kind of measurement.
        name: First cell.
        values: Value of each system that has one.
        cells: Text of each value.
        lower_is_better: Whether lower values are better.
        rounds: The values of each round, if the value is their median.
    """

    key: str
    name: str
    values: Mapping[str, float]
    cells: Mapping[str, str]
    lower_is_better: bool = True
    rounds: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def best(self) -> frozenset[str]:
        """The best systems: several if they are equal.

        Empty without values, or if ``mien`` and another are level at the top.
        """
        values = self.values
        value = (min if self.lower_is_better else max)(values.values(), default=0.0)
        first = frozenset(name for name in values if values[name] == value)
        others = values.keys() - first
        pairs = ((name, other) for name in first for other in others if OURS in {name, other})
        return frozenset() if any(self.is_level(*pair) for pair in pairs) else first

    def is_level(self, name: str, other: str) -> bool:
        """Return whether two systems are level.

        They are if their values are equal, or each is better in some rounds. With one round or
        none, they are if they differ by less than ``LEVEL`` of the larger value.
        """
        if name not in self.values or other not in self.values:
            return False
        one, two = self.values[name], self.values[other]
        rounds = zip(self.rounds.get(name, ()), self.rounds.get(other, ()), strict=False)
        gains = [theirs - ours for theirs, ours in rounds]
        if one == two:
            return True
        if len(gains) > 1:
            return min(gains) < 0 < max(gains)
        return abs(one - two) < LEVEL * max(one, two)

    def is_before(self, name: str, other: str) -> bool:
        """Return whether a system is better than another and not level; both must have a value."""
        if name not in self.values or other not in self.values or self.is_level(name, other):
            return False
        gain = self.values[name] - self.values[other]
        return gain < 0 if self.lower_is_better else gain > 0


def rows(results: Results) -> Iterator[Row]:
    """Yield all rows."""
    for section in ("one thread", "all cores"):
        for photo in results.get(section, {}).get("photos", {}):
            yield speed_row(results[section], photo, section)
    start = results.get("start", {})
    for key, name in (("import_s", "import"), ("first_answer_s", "start to first result")):
        if key in start:
            yield _times_row(key, name, start[key])
    yield from _sizes(results)
    yield from _accuracies(results.get("crops", {}))
    yield from _natural(results.get("natural", {}))
    closeups = results.get("closeups", {}).get("found", {})
    if closeups:
        yield _shares("closeups", "close-ups in which a face is found", closeups)
    yield from _faces(results.get("found", {}))


def speed_row(measured: Results, photo: str, section: str) -> Row:
    """Return the times of a photo, with the ratios to ``mien`` within each round."""
    times = {name: seconds[photo] for name, seconds in measured["seconds"].items()}
    row = _times_row(section, f"{photo}, {section}", times)
    there = measured["photos"][photo]
    cells = {}
    for name, cell in row.cells.items():
        found = measured["found"][name][photo]
        cells[name] = cell if found == there else f"{cell}, finds {found}"
    return replace(row, cells=cells)


def ratios(times: Mapping[str, list[float]], system: str) -> list[float]:
    """Return the ratios of a system's times to those of ``mien``, by round; empty for ``mien``."""
    if system == OURS or OURS not in times:
        return []
    return [theirs / ours for theirs, ours in zip(times[system], times[OURS], strict=False)]


def seconds(value: float) -> str:
    """Format a time."""
    if value < 1:
        return f"{value * 1e3:.0f} ms"
    return f"{value:.1f} s"


def times_as_much(ratio: float) -> str:
    """Format a ratio."""
    return f"{ratio:.1f} x" if ratio < 10 else f"{ratio:.0f} x"


def _times_row(key: str, name: str, times: Mapping[str, list[float]]) -> Row:
    values = {system: statistics.median(taken) for system, taken in times.items()}
    cells = {}
    for system, value in values.items():
        found = ratios(times, system)
        ratio = f" ({times_as_much(statistics.median(found))})" if found else ""
        cells[system] = seconds(value) + ratio
    return Row(key=key, name=name, values=values, cells=cells, rounds=times)


def _sizes(results: Results) -> Iterator[Row]:
    memory = results.get("one thread", {}).get("peak_mb", {})
    installed = {name: s["installed_mb"] for name, s in results.get("systems", {}).items()}
    for key, name, sizes in (
        ("peak_mb", "peak memory", memory),
        ("installed_mb", "installed", installed),
    ):
        cells = {system: f"{size:,.0f} MB" for system, size in sizes.items()}
        if OURS in sizes:
            for system in set(sizes) - {OURS}:
                cells[system] += f" ({times_as_much(sizes[system] / sizes[OURS])})"
        if sizes:
            yield Row(key=key, name=name, values=sizes, cells=cells)


def _accuracies(measured: Results) -> Iterator[Row]:
    scores = dict(measured.get("accuracy", {}))
    second = scores.pop(f"{OURS}, fer2013 output", None)
    for key, name in ACCURACIES.items():
        if scores:
            yield _shares(key, name, {system: of[key]["accuracy"] for system, of in scores.items()})
    if second:
        scores[OURS] = second
        values = {system: of["fer2013"]["accuracy"] for system, of in scores.items()}
        name = f"{ACCURACIES['fer2013']}, output trained for it"
        yield _shares("fer2013 output", name, values)


def _natural(measured: Results) -> Iterator[Row]:
    for sample, faces in NATURAL.items():
        scores = {system: of[sample] for system, of in measured.get("scores", {}).items()}
        for key, name in NATURAL_FIGURES.items():
            values = {system: of[key] for system, of in scores.items() if key in of}
            if values:
                row = _shares("natural", f"{faces}: {name}", values)
                yield replace(row, lower_is_better=key == "calibration_error")


def _faces(measured: Results) -> Iterator[Row]:
    found = measured.get("found", {})
    for overlap in next(iter(found.values()), {}):
        at = {system: of[overlap] for system, of in found.items()}
        for height in next(iter(at.values()))["recall"]:
            values = {system: of["recall"][height] for system, of in at.items()}
            name = f"recall of faces of {height} px and more, overlap {overlap}"
            yield _shares("recall", name, values)
        values = {system: of["precision"] for system, of in at.items()}
        yield _shares("precision", f"precision, overlap {overlap}", values)


def _shares(key: str, name: str, values: Mapping[str, float]) -> Row:
    cells = {system: f"{value:.1%}" for system, value in values.items()}
    return Row(key=key, name=name, values=values, cells=cells, lower_is_better=False)
