import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien import recognizer as module
from mien.config import Settings
from mien.recognizer import Recognizer, analyze, in_order
from samples import StubPipeline, encode

SETTINGS = Settings(threads=2, max_pixels=1_000_000)


@pytest.fixture
def recognizer(pipeline: StubPipeline) -> Recognizer:
    return Recognizer(settings=SETTINGS, pipeline=pipeline)


def test_no_pictures(recognizer: Recognizer) -> None:
    assert recognizer.analyze_many([]) == []


def test_any_kind_of_picture(
    recognizer: Recognizer, face_photo: bytes, astronaut: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(face_photo)
    pictures = [path, str(path), face_photo, astronaut]
    results = [recognizer.analyze(picture) for picture in pictures]
    assert [(r.width, r.height, len(r.faces)) for r in results] == [(512, 512, 2)] * 4
    assert results[0].seconds.decode > 0
    assert results[0].seconds.detect == 0.01


def test_a_bad_picture_raises_alone_and_is_a_result_among_many(
    recognizer: Recognizer, face_photo: bytes
) -> None:
    with pytest.raises(mien.NotAnImageError):
        recognizer.analyze(b"text")
    results = recognizer.analyze_many([face_photo, b"text", b"", face_photo])
    assert [r.error and r.error.code for r in results] == [
        None,
        "not_an_image",
        "empty_upload",
        None,
    ]


def test_many_keep_their_order(recognizer: Recognizer) -> None:
    sizes = list(range(1, 40))
    pictures = [np.zeros((1, size, 3), np.uint8) for size in sizes]
    assert [r.width for r in recognizer.analyze_many(pictures)] == sizes


def test_options_reach_the_pipeline(pipeline: StubPipeline, astronaut: np.ndarray) -> None:
    Recognizer(
        min_face_size=40,
        max_faces=3,
        labels="eight",
        crop=True,
        settings=SETTINGS,
        pipeline=pipeline,
    ).analyze(astronaut)
    (options,) = pipeline.asked
    assert (options.min_face_size, options.max_faces, options.crop) == (40, 3, True)
    assert options.labels is mien.LabelSet.EIGHT


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"max_faces": 0}, "max_faces"),
        ({"min_face_size": 11}, "min_face_size"),
        ({"labels": "nine"}, "six, seven, eight"),
    ],
)
def test_options_out_of_range(option: dict[str, object], named: str) -> None:
    with pytest.raises(mien.InvalidParameterError, match=named):
        Recognizer(**option)


def test_size_limit_of_the_settings(pipeline: StubPipeline, astronaut: np.ndarray) -> None:
    small = Recognizer(settings=Settings(max_pixels=1000), pipeline=pipeline)
    with pytest.raises(mien.ImageTooLargeError):
        small.analyze(astronaut)


def test_shared_pipeline_is_built_once(
    monkeypatch: pytest.MonkeyPatch, pipeline: StubPipeline, astronaut: np.ndarray
) -> None:
    built: list[Settings] = []
    monkeypatch.setattr(module, "build_pipeline", lambda s: built.append(s) or pipeline)
    module._shared.cache_clear()
    analyze(astronaut)
    analyze(astronaut, labels="seven", max_faces=1)
    assert len(built) == 1
    assert [options.max_faces for options in pipeline.asked] == [None, 1]
    module._shared.cache_clear()


def test_streaming_takes_only_a_few_ahead() -> None:
    taken = itertools.count()
    source = (next(taken) for _ in itertools.count())
    answers = in_order(lambda n: n * n, source, threads=2)
    assert [next(answers) for _ in range(10)] == [n * n for n in range(10)]
    assert next(taken) <= 10 + 2 * 2
    answers.close()


def test_streaming_gives_what_is_done_while_the_source_is_slow() -> None:
    taken = []

    def slow_source() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number
            time.sleep(0.02)

    answers = in_order(lambda n: n, slow_source(), threads=50)
    assert next(answers) == 0
    assert len(taken) < 100
    answers.close()


def test_stopping_early_cancels_what_has_not_begun() -> None:
    done: list[int] = []
    answers = in_order(lambda n: done.append(n) or n, range(1000), threads=1)
    assert next(answers) == 0
    answers.close()
    assert len(done) <= 3


def test_a_crash_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda n: 1 // n, [1, 0, 1], threads=2))


def test_a_large_photo_gives_the_faces_of_the_small_one(astronaut: np.ndarray) -> None:
    large = Image.fromarray(astronaut).resize((3600, 3600), Image.Resampling.BICUBIC)
    reduced, whole = mien.analyze(encode(large, "JPEG")), mien.analyze(np.asarray(large))
    assert (reduced.width, reduced.height) == (3600, 3600)
    (ours,), (theirs,) = reduced.faces, whole.faces
    assert ours.emotion == theirs.emotion
    for edge in ("left", "top", "right", "bottom"):
        assert abs(getattr(ours.box, edge) - getattr(theirs.box, edge)) < 0.05 * theirs.box.height
