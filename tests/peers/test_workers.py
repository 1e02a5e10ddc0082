"""Workers share a protocol, and a failing system does not affect the others."""

import base64
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks import process
from benchmarks.peers.protocol import CROP_SIDE
from benchmarks.process import ROOT, Worker, WorkerError
from benchmarks.versus_peers import measure
from benchmarks.versus_peers.measure import MissingError, Run
from benchmarks.versus_peers.systems import System

PHOTO = ROOT / "examples" / "astronaut.jpg"
DARK, BRIGHT = (base64.b64encode(bytes([value]) * CROP_SIDE**2).decode() for value in (0, 255))

NODE = """
const { imported, serve } = require('%s/benchmarks/peers/protocol.js');
console.log('a library that talks');
imported();
serve({
  folder: '.',
  packages: [],
  analyze: async (file) => {
    if (file[0] !== 0xff) throw new TypeError('no JPEG');
    return [{ box: [0, 0, 10, 20], scores: { happy: 1.0 } }];
  },
  classify: async (crops) => crops.map((crop) => ({ happy: crop[0] / 255, sad: 0.5 })),
});
"""


@pytest.fixture(params=["Python", "Node"])
def worker(
    request: pytest.FixtureRequest, system: Callable[[str], System], tmp_path: Path
) -> Worker:
    if request.param == "Python":
        return system("good").start()
    if shutil.which("node") is None:
        pytest.skip("needs Node.js")
    (tmp_path / "worker.js").write_text(NODE % ROOT)
    return System(name="good", folder=tmp_path).start()


def test_workers_speak_the_protocol(worker: Worker, tmp_path: Path) -> None:
    no_photo = tmp_path / "photo.txt"
    no_photo.write_text("message")
    with worker:
        assert worker.import_s > 0
        response = worker.ask(PHOTO)
        assert response["faces"] == [{"box": [0, 0, 10, 20], "scores": {"happy": 1.0}}]
        assert 0 <= response["seconds"] < worker.first_answer_s - worker.import_s
        assert worker.peak_mb > 1
        assert worker.scores([DARK, BRIGHT]) == [{"happy": 0, "sad": 0.5}, {"happy": 1, "sad": 0.5}]
        assert worker.about()["lacks"] is None
        for wrong in (no_photo, tmp_path / "missing.jpg"):
            with pytest.raises(WorkerError, match=r"good: \w*Error: "):
                worker.ask(wrong)
        # An error of the library is an answer; the next question has its own.
        assert len(worker.ask(PHOTO)["faces"]) == 1


@pytest.mark.parametrize("output", [None, "fer2013"])
def test_the_mien_worker_matches_mien(output: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    ours = System(name="mien", folder=ROOT, python=Path(sys.executable), module="benchmarks.worker")
    with ours.start(threads=1, output=output) as worker:
        (face,) = worker.ask(PHOTO)["faces"]
        assert max(face["scores"], key=face["scores"].get) == "happy"
        left, top, right, bottom = face["box"]
        assert left < 220 < right
        assert top < 120 < bottom
        (scores,) = worker.scores([BRIGHT])
    assert sum(scores.values()) == pytest.approx(1, abs=1e-3)
    assert ("contempt" in scores) is (output is None)


def run_of(systems: list[System], folder: Path = Path()) -> Run:
    return Run(
        systems=systems, rounds=2, photos=folder, data=folder, natural=folder, closeups=folder
    )


def test_everyday_photos_and_closeups(
    system: Callable[[str], System], tmp_path: Path, face_photo: bytes
) -> None:
    (tmp_path / "a.jpg").write_bytes(face_photo)
    (tmp_path / "labels.csv").write_text(
        "file,x,y,width,height,draw,votes,label\n"
        "a.jpg,0,0,10,20,random,,happy\n"
        "a.jpg,300,0,10,20,stratified,,sad\n"
    )
    run = run_of([system("good"), system("mortal")], tmp_path)
    result = measure.natural(run)
    assert result["faces"] == {"random": 1, "every": 2}
    assert result["scores"]["good"]["random"]["end_to_end"] == 1
    assert result["scores"]["good"]["every"]["found"] == 0.5
    assert list(result["failed"]) == ["mortal"]
    assert measure.closeups(run)["found"] == {"good": 1.0}


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("stillborn", "3"),
        ("mortal", "9"),
        ("weary", "9"),
        ("rubbish", "Segmentation"),
        ("number", "'7'"),
        ("silent", "0 s"),
        ("lacking", "its weights"),
    ],
)
def test_failing_systems_are_reported_and_others_continue(
    name: str, named: str, system: Callable[[str], System], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "SIZES", ((64, 48),))
    monkeypatch.setattr(process, "PAUSE_S", 0)
    if name == "silent":
        start = Worker.start
        monkeypatch.setattr(
            Worker, "start", lambda *a, **k: start(*a, **k, patience_s=0.4 if "silent" in a else 60)
        )
    run = run_of([system(name), system("good")])
    result = measure.speed(run, 1)
    assert list(result["failed"]) == [name]
    assert named in result["failed"][name]
    assert list(result["peak_mb"]) == list(result["seconds"]) == list(result["found"]) == ["good"]
    assert [len(times) for times in result["seconds"]["good"].values()] == [2, 2, 2]
    assert result["found"]["good"] == dict.fromkeys(result["photos"], 1)


def test_imports_are_measured_without_weights(system: Callable[[str], System]) -> None:
    run = run_of([system("lacking")])
    result = measure.start(run)
    assert len(result["import_s"]["lacking"]) == 2
    assert not result["first_answer_s"]
    assert result["failed"] == {"lacking": "its weights"}


@pytest.mark.parametrize(
    ("section", "named"),
    [
        (measure.crops, r"fer2013\.csv.*DATA="),
        (measure.found, r"boxes\.json.*PHOTOS="),
        (measure.natural, r"labels\.csv.*--natural"),
        (measure.closeups, r"JPEG.*--closeups"),
    ],
)
def test_missing_data_is_reported(
    section: Callable[[Run], object], named: str, tmp_path: Path
) -> None:
    run = run_of([], tmp_path)
    with pytest.raises(MissingError, match=named):
        section(run)
