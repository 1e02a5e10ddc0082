"""Generate docs/benchmarks.md from page.md and the measurements."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.versus_peers.rows import OURS, Results, Row, ratios, rows, speed_row, times_as_much
from benchmarks.versus_peers.systems import PEERS

TEMPLATE = Path(__file__).with_name("page.md")
# Of these kinds only the rows in IN_BRIEF are in the summary; the others are further down.
BY_NAME = ("one thread", "all cores", "recall", "precision", "natural")
IN_BRIEF = (
    "640 x 480, 1 face, one thread",
    "640 x 480, 10 faces, one thread",
    "1280 x 720, 5 faces, one thread",
    "1920 x 1080, 1 face, one thread",
    "4000 x 3000, 1 face, one thread",
    "640 x 480, 1 face, all cores",
    "1920 x 1080, 10 faces, all cores",
    "recall of faces of 40 px and more, overlap 0.5",
    "recall of faces of 40 px and more, overlap 0.3",
    "precision, overlap 0.5",
    "precision, overlap 0.3",
    "natural faces: accuracy, missed faces counted as wrong",
    "natural faces: calibration error of found faces",
    "natural faces, rare emotions added: macro-F1 of found faces",
)
TIMED = ("start", "one thread", "all cores")
NOT_MEASURED = "Not measured."
# Keeps numbers and units together in a table with many columns.
NO_BREAK = "\N{NO-BREAK SPACE}"
# Why another system can be better, by the kind of row.
REASONS = {
    "fer2013": (
        "`mien` is calibrated on FER+'s votes, which are more consistent; the next row has the "
        "output that is trained for FER2013's labels"
    ),
    "import_s": (
        "it imports modules on first use, so its first result takes longer; `mien` imports NumPy "
        "and ONNX Runtime immediately, which is most of its import time"
    ),
    "installed_mb": "its packages are smaller than ONNX Runtime and NumPy",
    "precision": "it finds only the easy faces and therefore has fewer false positives",
}
# Reasons of single systems.
OWN_REASONS = {
    ("all cores", "fer"): (
        "OpenCV's cascade uses all cores for one photo; `mien` uses one core per photo and "
        "analyzes other photos on the rest"
    ),
    ("recall", "face-api"): (
        "its boxes of large faces are slightly more accurate, but at overlap 0.3 both find the "
        "same number; it finds fewer small faces"
    ),
    ("recall", "reference"): (
        "it searches all scales from 20 pixels up in finer steps, which takes longer; with "
        "`min_face_size=20` `mien` does the same"
    ),
}


def page(results: Results) -> str:
    """Return the page as Markdown."""
    crops, found = results.get("crops", {}), results.get("found", {})
    detection = [row for row in rows(results) if row.key in {"recall", "precision"}]
    natural = [row for row in rows(results) if row.key in {"natural", "closeups"}]
    return TEMPLATE.read_text(encoding="utf-8").format(
        machine=_machine(results),
        summary=summary(results),
        one_thread=_times(results, "one thread"),
        all_cores=_times(results, "all cores"),
        crops=f"{crops.get('faces', 0):,}",
        accuracy=_accuracy(crops.get("accuracy", {})),
        photos=found.get("photos", 0),
        faces=found.get("faces", 0),
        found=_table(_order(results), detection) if detection else NOT_MEASURED,
        natural=_table(_order(results), natural) if natural else NOT_MEASURED,
        random=results.get("natural", {}).get("faces", {}).get("random", 0),
        every=results.get("natural", {}).get("faces", {}).get("every", 0),
        closeups=results.get("closeups", {}).get("photos", 0),
        systems="\n".join(_system(name, results) for name in _order(results)),
    )


def summary(results: Results) -> str:
    """Return the summary table, the rows in which others are better, and what is left out."""
    brief = [row for row in rows(results) if row.key not in BY_NAME or row.name in IN_BRIEF]
    notes = [_ahead(results), _found_more(results), _level(results), _left_out(results)]
    parts = [_table(_order(results), brief), *notes]
    return "\n\n".join(part for part in parts if part)


def _table(systems: Sequence[str], table: Iterable[Row]) -> str:
    """Return a Markdown table with the best of each row in bold; a dash is not measured."""
    lines = [_line(["", *systems]), _line(["---"] * (len(systems) + 1))]
    for row in table:
        cells = [row.cells.get(system, "-") for system in systems]
        marked = [f"**{c}**" if s in row.best else c for s, c in zip(systems, cells, strict=True)]
        lines.append(_line([row.name, *marked]))
    return "\n".join(lines)


def _times(results: Results, section: str) -> str:
    measured = results.get(section, {})
    systems = [name for name in _order(results) if name in measured.get("seconds", {})]
    if not systems:
        return NOT_MEASURED
    lines = [_line(["", *systems]), _line(["---"] * (len(systems) + 1))]
    for photo in measured["photos"]:
        row = speed_row(measured, photo, section)
        lines.append(_line([photo, *(_with_spread(measured, row, photo, s) for s in systems)]))
    return "\n".join(lines)


def _with_spread(measured: Results, row: Row, photo: str, system: str) -> str:
    found = ratios({name: of[photo] for name, of in measured["seconds"].items()}, system)
    if not found:
        return row.cells[system]
    low, high = (times_as_much(ratio).removesuffix(" x") for ratio in (min(found), max(found)))
    return row.cells[system].replace(" x)", f" x, {low} to {high})")


def _accuracy(scores: Results) -> str:
    if not scores:
        return NOT_MEASURED
    kinds = ("six", "ferplus", "fer2013")
    header = ["", "six labels, FER+ majority", "eight, FER+ majority", "seven, FER2013's labels"]
    lines = [_line(header), _line(["---"] * 4)]
    lines += [_line([name, *(_percent(of[kind]) for kind in kinds)]) for name, of in scores.items()]
    first = next(iter(scores.values()))
    return "\n".join([*lines, _line(["faces", *(f"{first[kind]['faces']:,}" for kind in kinds)])])


def _percent(of: Results) -> str:
    return f"{of['accuracy']:.1%} ({of['half_interval'] * 100:.1f})"


def _system(name: str, results: Results) -> str:
    """Return the description in a system's README.md and the measured versions."""
    note = PEERS / name / "README.md"
    description = "with its defaults, in an environment of its own."
    if note.exists():
        description = " ".join(note.read_text(encoding="utf-8").split())
    versions = results["systems"].get(name, {}).get("versions", {})
    measured = ", ".join(f"{package} {version}" for package, version in versions.items())
    return f"- **{name}**: {description}" + (f" Measured: {measured}." if measured else "")


def _ahead(results: Results) -> str:
    """Return the rows in which others are better, and why."""
    ahead: dict[tuple[str, str], list[str]] = {}
    for row in rows(results):
        names = [name for name in row.values if row.is_before(name, OURS)]
        if names:
            ahead.setdefault((_with_reasons(names, row.key), row.key), []).append(row.name)
    if not ahead:
        return "No other system is better than `mien` in any row, including the tables below."
    lines = [f"- {'; '.join(places)}: {reason}." for (reason, _), places in ahead.items()]
    title = "Rows in which other systems are better than `mien`, including the tables below:\n"
    return "\n".join([title, *lines])


def _found_more(results: Results) -> str:
    """Return the photos in which ``mien`` misses faces that others find."""
    lines = []
    measured = results.get("one thread", {})
    for photo, there in measured.get("photos", {}).items():
        found = {name: of[photo] for name, of in measured["found"].items()}
        ours = found.get(OURS, there)
        if others := [name for name, count in found.items() if ours < count <= there]:
            counts = " and ".join(f"{name} {found[name]}" for name in others)
            lines.append(f"- {photo}: `mien` finds {ours}, {counts}.")
    if not lines:
        return ""
    title = (
        "Photos in which `mien` finds fewer faces than others, so that the times cannot be "
        "compared. By default, `mien` does not search for such small faces in photos of this size; "
        "`min_face_size` finds them ([Detection](detection.md#which-sizes-are-found)):\n"
    )
    return "\n".join([title, *lines])


def _with_reasons(names: Iterable[str], key: str) -> str:
    """Return the systems that are better, grouped by their reasons."""
    by_reason: dict[str, list[str]] = {}
    for name in names:
        reason = OWN_REASONS.get((key, name), REASONS.get(key, ""))
        by_reason.setdefault(f": {reason}" if reason else "", []).append(name)
    return "; ".join(f"{' and '.join(who)}{reason}" for reason, who in by_reason.items())


def _level(results: Results) -> str:
    """Return the rows in which others are level with ``mien``."""
    lines = [
        f"- {row.name}: {' and '.join(names)}."
        for row in rows(results)
        if (names := [name for name in row.values if name != OURS and row.is_level(name, OURS)])
    ]
    return "\n".join(["Rows without a clear difference from `mien`:\n", *lines]) if lines else ""


def _left_out(results: Results) -> str:
    """Return the systems and sections that are missing, and why."""
    places: dict[tuple[str, str], list[str]] = {}
    for name, reason in results.get("left out", {}).items():
        places.setdefault((name, reason), []).append("everything")
    sections: dict[str, Any] = {k: of for k, of in results.items() if isinstance(of, dict)}
    for section, of in sections.items():
        for name, reason in of.get("failed", {}).items():
            places.setdefault((name, reason), []).append(section)
    lines = [f"- {name}, {', '.join(where)}: {reason}" for (name, reason), where in places.items()]
    lines += [f"- {name}: {of['missing']}" for name, of in sections.items() if "missing" in of]
    return "\n".join(["Not measured:\n", *lines]) if lines else ""


def _machine(results: Results) -> str:
    machine = results["machine"]
    taken: dict[str, list[str]] = {}
    for name, of in results.items():
        if isinstance(of, dict) and "date" in of:
            commit = f" at commit {of['commit']}" if "commit" in of else ""
            taken.setdefault(of["date"] + commit, []).append(name)
    measured = "; ".join(f"{when} ({', '.join(names)})" for when, names in taken.items())
    timed = {name: results.get(name, {}).get("others_cores") for name in TIMED}
    others = [f"{cores:.1f} ({name})" for name, cores in timed.items() if cores is not None]
    return (
        f"Measured {measured}, on {machine['processor']}, {machine['cores']} "
        f"cores, {machine['memory_gb']} GB, {machine['system']}. Cores in use by other programs "
        f"during the measurement: {', '.join(others)}. Ratios are more stable than times."
    )


def _order(results: Results) -> list[str]:
    known = {*results["systems"], *results.get("left out", {})}
    return [name for name in results["order"] if name in known]


def _line(cells: Iterable[str]) -> str:
    """Return a line of a table without line breaks in names and between numbers and units."""
    name, *others = cells
    kept = [re.sub(r"(?<=\d) (?=[a-zA-Z])", NO_BREAK, cell) for cell in others]
    return f"| {' | '.join([name.replace(' ', NO_BREAK), *kept])} |"
