"""From measurements to the page: best, better and missing systems, with reasons."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.process import ROOT, commit
from benchmarks.versus_peers import page
from benchmarks.versus_peers.scoring import Question, accuracy, natural, prediction, questions

from mien_train.data import FerDataset
from mien_train.photos import LabeledFace

PHOTO = "640 x 480, 1 face"
LABELS = ("happy", "sad", "contempt")


def results() -> dict[str, Any]:
    times = {"mien": [0.01, 0.02, 0.03], "fer": [0.02, 0.06, 0.03], "human": [0.2, 0.1, 0.3]}
    six = {"accuracy": 0.9, "half_interval": 0.01, "faces": 100}
    return {
        "machine": {"processor": "abacus", "cores": 2, "memory_gb": 1, "system": "Linux"},
        "order": ["mien", "fer", "human", "deepface"],
        "systems": {
            name: {"versions": {"lib": "1.2"}, "installed_mb": size}
            for name, size in (("mien", 100), ("fer", 8000), ("human", 250))
        },
        "left out": {"deepface": "no network"},
        "one thread": {
            "date": "2026-01-02",
            "others_cores": 0.34,
            "photos": {PHOTO: 1},
            "seconds": {name: {PHOTO: taken} for name, taken in times.items()},
            "found": {"mien": {PHOTO: 1}, "fer": {PHOTO: 2}, "human": {PHOTO: 1}},
            "peak_mb": {"mien": 100, "fer": 99},
            "failed": {},
        },
        "start": {"import_s": {"mien": [0.3], "human": [0.1]}, "failed": {"fer": "it died"}},
        "crops": {
            "faces": 100,
            "accuracy": {"mien": {"six": six, "ferplus": six, "fer2013": six}},
            "failed": {},
        },
        "found": {"missing": "get the photos"},
    }


def test_the_best_of_a_row_is_bold_and_ratios_are_per_round() -> None:
    table = page.summary(results()).replace(page.NO_BREAK, " ").splitlines()
    # Medians 20, 30 and 200 ms; ratios of the rounds 2, 3, 1 and 20, 5, 10.
    assert (
        f"| {PHOTO}, one thread | **20 ms** | 30 ms (2.0 x), finds 2 | 200 ms (10 x) | - |" in table
    )
    assert "| import | 300 ms | - | **100 ms (0.3 x)** | - |" in table
    assert "| installed | **100 MB** | 8,000 MB (80 x) | 250 MB (2.5 x) | - |" in table


def test_equally_good_systems_are_all_bold() -> None:
    equal = results()
    equal["one thread"]["peak_mb"]["fer"] = 100
    assert "| peak memory | **100 MB** | **100 MB (1.0 x)** | - | - |" in page.summary(
        equal
    ).replace(page.NO_BREAK, " ")


def test_systems_without_clear_difference_are_not_bold() -> None:
    level = results()
    # Faster in two rounds of three, and in the median; then in all, by as little.
    level["start"]["import_s"] = {"mien": [0.140, 0.150, 0.137], "human": [0.139, 0.139, 0.139]}
    text = page.summary(level).replace(page.NO_BREAK, " ")
    assert "| import | 140 ms | - | 139 ms (1.0 x) | - |" in text
    assert "- import: human.\n" in text.partition("clear difference from `mien`")[2]
    level["start"]["import_s"]["mien"] = [0.140, 0.150, 0.1391]
    text = page.summary(level).replace(page.NO_BREAK, " ")
    assert "**139 ms (1.0 x)**" in text
    assert "clear difference from" not in text


def test_the_best_system_stays_bold_next_to_an_equal_third() -> None:
    level = results()
    level["start"]["import_s"]["fer"] = [0.1001]
    assert "| import | 300 ms | 100 ms (0.3 x) | **100 ms (0.3 x)** | - |" in page.summary(
        level
    ).replace(page.NO_BREAK, " ")


@pytest.mark.parametrize(("size_mb", "is_level"), [(100, True), (99.1, True), (99, False)])
def test_single_measurements_differ_from_1_percent_on(size_mb: float, is_level: bool) -> None:
    once = results()
    once["one thread"]["peak_mb"]["fer"] = size_mb
    assert ("- peak memory: fer.\n" in page.summary(once).partition("difference")[2]) == is_level


def test_each_better_system_has_its_own_reason() -> None:
    found = results()
    shares = {"mien": 0.5, "face-api": 0.6, "reference": 0.7}
    found["found"] = {
        "found": {n: {"0.5": {"recall": {"80": s}, "precision": 1}} for n, s in shares.items()}
    }
    own = page.OWN_REASONS
    assert (
        f"face-api: {own['recall', 'face-api']}; reference: {own['recall', 'reference']}."
        in page.summary(found)
    )


def test_each_section_has_date_and_commit() -> None:
    dated = results()
    dated["start"] |= {"date": "2026-01-03", "commit": "1a2b3c4"}
    dated["crops"] |= {"date": "2026-01-02"}
    text = page.page(dated)
    when = "2026-01-02 (one thread, crops); 2026-01-03 at commit 1a2b3c4 (start)"
    assert f"Measured {when}, on abacus" in text


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_comes_from_git(tmp_path: Path) -> None:
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    head = (tmp_path / ".git" / "HEAD").read_text().split()[-1]
    assert (tmp_path / ".git" / head).read_text().startswith(commit(tmp_path))


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever repository is above.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit(tmp_path) == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"


def test_numbers_do_not_break_from_units_nor_names_across_lines() -> None:
    table = page.summary(results()).splitlines()
    assert "| peak_memory | 100_MB | **99_MB (1.0_x)** | - | - |" in [
        line.replace(page.NO_BREAK, "_") for line in table
    ]


def test_better_and_missing_systems_are_listed() -> None:
    text = page.summary(results())
    assert f"- import: human: {page.REASONS['import_s']}." in text
    assert "- peak memory: fer." in text
    assert "- deepface, everything: no network" in text
    assert "- fer, start: it died" in text
    assert "- found: get the photos" in text
    alone = results() | {"start": {}, "left out": {}, "found": {}}
    alone["one thread"]["peak_mb"]["fer"] = 500
    assert "No other system is better" in page.summary(alone)
    assert "Not measured:" not in page.summary(alone)


def test_the_page_has_all_sections() -> None:
    text = page.page(results()).replace(page.NO_BREAK, " ")
    assert "Measured 2026-01-02 (one thread), on abacus, 2 cores" in text
    assert "during the measurement: 0.3 (one thread)." in text
    assert f"| {PHOTO} | 20 ms | 30 ms (2.0 x, 1.0 to 3.0), finds 2 |" in text
    assert "| mien | 90.0% (1.0) |" in text
    assert "lib 1.2" in text
    assert text.count(page.NOT_MEASURED) == 3  # all cores, everyday photos, faces found


def test_the_committed_page_matches_the_committed_measurements() -> None:
    kept = ROOT / "docs" / "benchmarks.md"
    figures = json.loads(kept.with_suffix(".json").read_text())
    assert kept.read_text(encoding="utf-8") == page.page(figures)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ({}, None),
        ({"angry": 1.0}, None),
        ({"sad": 0.1, "angry": 0.9}, "sad"),
        ({"sad": 0.5, "happy": 0.5}, "sad"),
        ({"happy": 0.1, "contempt": 0.2}, "contempt"),
    ],
)
def test_the_prediction_is_the_most_probable_compared_label(
    scores: dict[str, float], expected: str | None
) -> None:
    assert prediction(scores, LABELS) == expected


def test_accuracy_counts_only_faces_with_compared_labels() -> None:
    question = Question(name="q", labels=LABELS, truth=np.array([0, 2, -1, 1]))
    scored = accuracy(question, [{"happy": 1.0}, {"happy": 1.0, "sad": 0.2}, {}, {"sad": 0.3}])
    assert scored["faces"] == 3
    assert scored["accuracy"] == pytest.approx(2 / 3)
    assert scored["half_interval"] == pytest.approx(1.96 * (2 / 9 / 3) ** 0.5)
    with pytest.raises(ValueError):
        accuracy(question, [{}])
    with pytest.raises(ValueError):
        accuracy(Question(name="q", labels=LABELS, truth=np.array([-1])), [{}])


def test_questions_follow_the_published_protocol() -> None:
    # happy by nine of ten; contempt; no majority; NF.
    votes = np.zeros((4, 10), dtype=np.int64)
    votes[0, 0], votes[1, 7], votes[2, :2], votes[3, 9] = 9, 10, 5, 10
    data = FerDataset(
        faces=np.zeros((4, 48, 48), np.uint8),
        fer2013=np.array([3, 0, 3, 6]),
        votes=votes,
        usage=np.array(["PublicTest"] * 4),
    )
    six, ferplus, fer2013 = questions(data)
    assert [six.labels[t] if t >= 0 else None for t in six.truth] == ["happy", None, None, None]
    assert [ferplus.labels[t] for t in ferplus.truth[:2]] == ["happy", "contempt"]
    assert ferplus.truth[2:].tolist() == [-1, -1]
    assert [fer2013.labels[t] for t in fer2013.truth] == ["happy", "angry", "happy", "neutral"]


def labeled(left: float, label: str) -> LabeledFace:
    return LabeledFace(file="a.jpg", box=(left, 0, left + 100, 100), is_random=True, label=label)


def test_natural_faces_are_matched_by_their_boxes() -> None:
    faces = [
        {"box": [0, 0, 100, 90], "scores": {"happy": 0.9, "disgust": 5.0}},
        {"box": [200, 0, 300, 100], "scores": {"sad": 0.5, "neutral": 0.3}},
    ]
    known = [labeled(0, "happy"), labeled(200, "neutral"), labeled(400, "angry")]
    scores = natural(known, [faces] * 3)
    assert scores["found"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == 0.5
    assert scores["end_to_end"] == pytest.approx(1 / 3)
    # All of happy's share, and 5 of 8 for the wrong one.
    assert scores["calibration_error"] == pytest.approx((0 + 0.625) / 2, abs=1e-6)


def test_systems_without_emotions_only_have_recall_on_natural_faces() -> None:
    assert natural([labeled(0, "happy")], [[{"box": [0, 0, 100, 100]}]]) == {"found": 1.0}
    assert natural([labeled(0, "happy")], [[]]) == {"found": 0.0}


def test_the_page_has_natural_faces_and_closeups() -> None:
    samples = ("random", "every")
    measured = results() | {
        "natural": {
            "faces": {"random": 2, "every": 3},
            "scores": {
                "mien": {key: {"found": 0.9, "calibration_error": 0.1} for key in samples},
                "fer": {key: {"found": 0.5, "calibration_error": 0.2} for key in samples},
            },
        },
        "closeups": {"photos": 300, "found": {"mien": 1.0, "fer": 0.25}},
    }
    table = page.page(measured).replace(page.NO_BREAK, " ")
    assert "| natural faces: found | **90.0%** | 50.0% | - | - |" in table
    assert (
        "| natural faces: calibration error of found faces | **10.0%** | 20.0% | - | - |" in table
    )
    assert "| close-ups in which a face is found | **100.0%** | 25.0% | - | - |" in table
    assert "Close-ups are 300 photos" in table
