import io
import itertools
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

import mien
from mien import recognizer as module
from mien.classify.labels import LabelSet
from mien.detect.mtcnn import cascade
from mien.detect.registry import DETECTORS
from mien.errors import ModelContractError
from mien.options import OptionKeywords, Options, option_fields
from mien.recognizer import Recognizer, analyze
from mien.types import Box, Emotion, Face, Landmarks, RgbImage
from samples import StubClassifier, StubDetector, encode, points_of

IMAGE = RgbImage(np.zeros((90, 160, 3), dtype=np.uint8))


class Finds:
    """Finds the given faces in the first images and the following ones, as listed."""

    def __init__(self, *faces: tuple[Face, ...]) -> None:
        self.faces = list(faces)
        self.sizes: list[tuple[int, int]] = []
        self.received: list[dict[str, float | None]] = []

    def detect(self, image: RgbImage, **options: float | None) -> tuple[Face, ...]:
        self.sizes.append((image.width, image.height))
        self.received.append(options)
        return self.faces[min(len(self.sizes), len(self.faces)) - 1]


def face(left: float, side: float) -> Face:
    box = Box(left=left, top=0, right=left + side, bottom=side)
    return Face(box=box, score=0.95)


def stub(**options: object) -> Recognizer:
    return Recognizer(detector=StubDetector(), model=StubClassifier(), threads=2, **options)


def finding(*faces: tuple[Face, ...], **options: object) -> Recognizer:
    return Recognizer(detector=Finds(*faces), model=StubClassifier(), **options)


def test_no_face_is_an_empty_result() -> None:
    result = finding(()).analyze(IMAGE)
    assert (result.faces, result.width, result.height, result.error) == ((), 160, 90, None)


def test_each_face_keeps_its_own_emotion() -> None:
    faces = (face(0, 40), face(50, 30), face(90, 20))
    result = finding(faces).analyze(IMAGE)
    assert [f.box for f in result.faces] == [f.box for f in faces]
    assert [f.emotion for f in result.faces] == list(Emotion)[:3]
    assert all(f.detection == 0.95 for f in result.faces)


@pytest.mark.parametrize("labels", ["six", "seven", "eight"])
def test_confidence_is_among_the_chosen_labels(labels: str) -> None:
    (found,) = finding((face(0, 40),)).analyze(IMAGE, Options(labels=labels)).faces
    assert sum(found.scores.values()) == pytest.approx(1)
    assert tuple(found.scores) == LabelSet(labels).emotions


def test_max_faces_keeps_the_first() -> None:
    faces = (face(0, 40), face(50, 30))
    result = finding(faces).analyze(IMAGE, Options(max_faces=1))
    assert [f.box for f in result.faces] == [faces[0].box]


def test_max_faces_prefers_confident_faces_and_keeps_the_order() -> None:
    weak, sure, small = replace(face(0, 80), score=0.6), face(90, 40), face(140, 20)
    recognizer = finding((weak, sure, small))
    assert [f.box for f in recognizer.analyze(IMAGE, Options(max_faces=1))] == [sure.box]
    assert [f.box for f in recognizer.analyze(IMAGE, Options(max_faces=2))] == [sure.box, small.box]
    assert len(recognizer.analyze(IMAGE, Options(max_faces=3))) == 3


def test_bgr_arrays_are_read_as_such(astronaut: np.ndarray) -> None:
    bgr = np.ascontiguousarray(astronaut[:, :, ::-1])
    assert mien.analyze(bgr, channels="bgr").faces == mien.analyze(astronaut).faces
    with pytest.raises(mien.InvalidParameterError):
        mien.analyze(bgr, channels="gbr")
    with pytest.raises(mien.InvalidParameterError):
        mien.analyze("photo.jpg", channels="bgr")


def test_many_bgr_arrays(astronaut: np.ndarray) -> None:
    bgr = np.ascontiguousarray(astronaut[:, :, ::-1])
    recognizer = mien.Recognizer(threads=2)
    expected = recognizer.analyze(astronaut, Options(labels="eight"))
    results = recognizer.analyze_many([bgr, "photo.jpg"], Options(labels="eight"), channels="bgr")
    assert results[0].faces == expected.faces
    assert results[1].error is not None
    assert results[1].error.code == "invalid_parameter"
    with pytest.raises(mien.InvalidParameterError):
        recognizer.analyze_many([], channels="gbr")


@pytest.mark.parametrize(
    ("default", "given", "used"), [(None, None, None), (40, None, 40), (40, 25, 25)]
)
def test_min_face_size_of_the_call_takes_precedence(
    default: int | None, given: int | None, used: int | None
) -> None:
    recognizer = finding((), min_face_size=default)
    recognizer.analyze(IMAGE, Options(min_face_size=given))
    assert recognizer.detector.received == [{"min_face_size": used, "min_score": None}]


def test_a_crop_is_one_face_without_detection() -> None:
    recognizer = finding((face(0, 40), face(50, 30)))
    result = recognizer.analyze(IMAGE, Options(crop=True))
    assert recognizer.detector.received == []
    (found,) = result.faces
    assert found.box.to_pixels(160, 90) == (0, 0, 160, 90)
    assert found.detection is None
    assert result.seconds.detect == 0


def test_faces_of_a_reduced_image_are_in_stored_pixels() -> None:
    points = Landmarks((1, 2), (3, 4), (5, 6), (7, 8), (9, 10))
    found = replace(face(10, 40), landmarks=points)
    image = RgbImage(IMAGE.pixels, stored_size=(319, 180))
    result = finding((found,)).analyze(image)
    assert (result.width, result.height) == (319, 180)
    assert result.faces[0].box == Box(left=10 * 319 / 160, top=0, right=50 * 319 / 160, bottom=80)
    assert result.faces[0].landmarks == points.scaled(319 / 160, 2)


@pytest.mark.parametrize("light", [1, 0.15])
@pytest.mark.parametrize("turn", [0, 90])
def test_a_face_of_60_pixels_in_a_large_photo_is_found(
    astronaut: NDArray[np.uint8], turn: int, light: float
) -> None:
    """Also if the photo is turned or stretched for detection. The portrait's face has 108."""
    portrait = Image.fromarray(astronaut).resize((284, 284), Image.Resampling.LANCZOS)
    photo = Image.new("RGB", (4000, 3000), (120, 110, 100))
    photo.paste(portrait, (2900, 1000))
    photo = photo.rotate(turn, expand=True).point(lambda value: value * light)
    (found,) = Recognizer(upright="auto").analyze(photo)
    assert 45 < found.box.height < 75


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_faces_of_a_turned_image_are_in_stored_coordinates(turn: int) -> None:
    """The detector sees one marked pixel block upright; the result marks it in the image as is."""
    upright = np.zeros((90, 160, 3), dtype=np.uint8)
    upright[20:30, 40:60] = 255
    box = Box(left=40, top=20, right=60, bottom=30)
    found = Face(box=box, score=0.9, landmarks=points_of(box))
    stored = np.ascontiguousarray(np.rot90(upright, turn // 90))
    nothing = [()] * (turn // 90)
    # A face that is not upright may be found, too, with a lower score.
    sideways = replace(found, score=0.8)
    recognizer = finding((sideways,), *nothing[1:], (found,), (sideways,), upright="auto")
    result = recognizer.analyze(stored)
    assert result.turn == turn
    assert len(recognizer.detector.sizes) == 4
    x, y, width, height = result.faces[0].box.to_pixels(result.width, result.height)
    assert stored[y : y + height, x : x + width].min() == 255
    assert stored.sum() == stored[y : y + height, x : x + width].sum()
    for px, py in result.faces[0].landmarks.to_array():
        assert x <= px <= x + width
        assert y <= py <= y + height


def test_an_image_is_turned_only_on_request_and_if_needed() -> None:
    recognizer = finding(())
    assert recognizer.analyze(IMAGE).turn == 0
    assert len(recognizer.detector.sizes) == 1
    result = recognizer.analyze(IMAGE, Options(upright="auto"))
    assert (result.turn, result.faces) == (0, ())
    assert recognizer.detector.sizes[1:] == [(160, 90), (90, 160), (160, 90), (90, 160)]
    sure = replace(face(0, 40), score=0.995)
    recognizer = finding((sure,), upright="auto")
    assert recognizer.analyze(IMAGE).turn == 0
    assert len(recognizer.detector.sizes) == 1
    # Equal scores do not turn it.
    recognizer = finding((face(0, 40),), upright="auto")
    assert recognizer.analyze(IMAGE).turn == 0
    assert len(recognizer.detector.sizes) == 4


def test_no_images() -> None:
    assert stub().analyze_many([]) == []


def test_any_kind_of_image(face_photo: bytes, astronaut: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(face_photo)
    results = [stub().analyze(image) for image in (path, str(path), face_photo, astronaut)]
    assert [(r.width, r.height, len(r.faces)) for r in results] == [(512, 512, 2)] * 4
    assert [r.path for r in results] == [str(path), str(path), None, None]
    assert results[0].seconds.decode > 0


def test_a_bad_image_raises_in_analyze_and_is_a_result_in_analyze_many(face_photo: bytes) -> None:
    with pytest.raises(mien.NotAnImageError):
        stub().analyze(b"text")
    results = stub().analyze_many([face_photo, b"text", b"", "no-such.jpg", face_photo])
    assert [r.error and r.error.code for r in results] == [
        None,
        "not_an_image",
        "empty_upload",
        "unreadable_file",
        None,
    ]
    assert results[3].path == "no-such.jpg"


def test_results_keep_the_order_of_images() -> None:
    sizes = list(range(1, 40))
    images = [np.zeros((1, size, 3), np.uint8) for size in sizes]
    assert [r.width for r in stub().analyze_many(images)] == sizes


BAD_OPTIONS = [
    {"max_faces": 0},
    {"max_faces": 1.5},
    {"max_faces": True},
    {"min_face_size": 11},
    {"min_face_size": "big"},
    {"min_face_size": float("nan")},
    {"min_score": 1.1},
    {"min_score": float("nan")},
    {"crop": "yes"},
    {"labels": "nine"},
    {"labels": 6},
    {"upright": "maybe"},
    {"size": 4},
]


@pytest.mark.parametrize("option", BAD_OPTIONS, ids=str)
def test_wrong_options_are_named(option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(mien.InvalidParameterError) as caught:
        stub(**option)
    assert name in str(caught.value)


def test_numpy_numbers_are_accepted() -> None:
    options = Options(max_faces=np.int64(3), min_score=np.float32(0.5))
    assert (type(options.max_faces), type(options.min_score)) == (int, float)


def test_options_are_declared_once() -> None:
    names = {option.name for option in option_fields()}
    # Interfaces set quality by their include.
    assert names | {"quality"} == set(OptionKeywords.__annotations__)
    assert all(option.metadata["about"] for option in option_fields())


def test_size_limit(astronaut: np.ndarray) -> None:
    with pytest.raises(mien.ImageTooLargeError):
        stub(max_pixels=1000).analyze(astronaut)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("options", [{}, {"crop": True}, {"min_face_size": 20}], ids=str)
def test_pillows_own_limit_of_pixels_does_not_apply(
    monkeypatch: pytest.MonkeyPatch,
    astronaut: np.ndarray,
    detector: str,
    options: dict[str, Any],
) -> None:
    photo = Image.fromarray(np.hstack([astronaut, astronaut]))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    monkeypatch.setattr(cascade, "MAX_TABLE_PIXELS", 1000)
    assert len(Recognizer(detector=detector).analyze(photo, **options)) == (
        1 if options.get("crop") else 2
    )


def test_the_function_loads_the_models_once(
    monkeypatch: pytest.MonkeyPatch, astronaut: np.ndarray
) -> None:
    built = []
    monkeypatch.setattr(
        module, "build_detector", lambda *_, **__: built.append(1) or StubDetector()
    )
    monkeypatch.setattr(module, "build_classifier", lambda *_, **__: StubClassifier())
    module._shared.cache_clear()
    assert len(analyze(astronaut)) == 2
    (only,) = analyze(astronaut, labels="seven", max_faces=1).faces
    assert len(only.scores) == 7
    assert len(built) == 1
    module._shared.cache_clear()


def test_a_copy_by_pickle_gives_the_same_result(face_photo: bytes) -> None:
    one = Recognizer(labels="seven")
    copy = pickle.loads(pickle.dumps(one))
    assert copy.analyze(face_photo).faces == one.analyze(face_photo).faces


def test_a_large_photo_gives_the_faces_of_the_small_one(astronaut: np.ndarray) -> None:
    large = Image.fromarray(astronaut).resize((3600, 3600), Image.Resampling.BICUBIC)
    file = io.BytesIO(encode(large, "JPEG"))
    reduced, whole = mien.analyze(file.getvalue()), mien.analyze(np.asarray(large))
    assert (reduced.width, reduced.height) == (3600, 3600)
    (ours,), (theirs,) = reduced.faces, whole.faces
    assert ours.emotion == theirs.emotion
    for edge in ("left", "top", "right", "bottom"):
        assert abs(getattr(ours.box, edge) - getattr(theirs.box, edge)) < 0.05 * theirs.box.height


@pytest.mark.parametrize("larger", [1, 4])
def test_results_contain_plain_numbers(astronaut: np.ndarray, larger: int) -> None:
    photo = Image.fromarray(astronaut)
    photo = photo.resize((photo.width * larger, photo.height * larger))
    found = analyze(photo.rotate(-90), upright="auto").faces[0]
    assert found.landmarks is not None
    numbers = [
        *astuple(found.box),
        *itertools.chain(*astuple(found.landmarks)),
        *found.scores.values(),
        found.confidence,
        found.detection,
    ]
    assert {type(number) for number in numbers} == {float}


@pytest.mark.parametrize(
    "arguments",
    [
        {"threads": 0},
        {"threads": -1},
        {"threads": "2"},
        {"threads": 1.5},
        {"max_pixels": 0},
        {"max_pixels": "9"},
        {"max_pixels": None},
        {"max_pixels": float("nan")},
        {"providers": None},
        {"providers": ["cpu"]},
        {"detector": None},
        {"detector": 5},
        {"model": 5},
        {"model": b"model.onnx"},
        {"detector": StubDetector},
        {"model": StubClassifier},
        {"model": SimpleNamespace(predict=len)},
        {"detector_model": 5},
        {"detector_model": b"model.onnx"},
        {"detector_model": "model.onnx"},
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(mien.InvalidParameterError) as caught:
        Recognizer(**{"detector": StubDetector(), "model": StubClassifier()} | arguments)
    assert next(iter(arguments)) in caught.value.message


def test_options_of_another_type_are_refused() -> None:
    recognizer = finding(())
    wrong: Any = {"labels": "eight"}
    for call in (recognizer.analyze, recognizer.analyze_many, recognizer.iter_analyze):
        with pytest.raises(mien.InvalidParameterError, match=r"mien\.Options"):
            call([] if call != recognizer.analyze else IMAGE, wrong)


@pytest.mark.parametrize(
    "images",
    [
        *(None, 5, "a.jpg", Path("a.jpg"), IMAGE),
        *(b"x", bytearray(b"x"), memoryview(b"x"), io.BytesIO(b"x")),
    ],
    ids=lambda images: type(images).__name__,
)
def test_what_is_not_several_images_is_refused(images: Any) -> None:
    with pytest.raises(mien.InvalidParameterError, match="several images"):
        finding(()).analyze_many(images)


def test_a_huge_smallest_face_finds_nothing(astronaut: np.ndarray) -> None:
    for detector in DETECTORS:
        recognizer = Recognizer(detector=detector, min_face_size=10**400)
        assert len(recognizer.analyze(astronaut)) == 0


def test_a_path_of_any_kind_is_in_the_result(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(Image.new("RGB", (90, 60)), "PNG"))
    with os.scandir(tmp_path) as entries:
        (entry,) = entries
        for each in (path, str(path), entry):
            assert finding(()).analyze(each).path == str(path)


WRONG_FACES: list[Any] = [
    "face",
    face(0, 40).box,
    replace(face(0, 40), box=(0, 0, 40, 40)),
    replace(face(0, 40), score=1.5),
    replace(face(0, 40), score=float("nan")),
    replace(face(0, 40), score=None),
    replace(face(0, 40), landmarks=np.zeros((5, 2))),
]


@pytest.mark.parametrize("returned", [None, 5, *([each] for each in WRONG_FACES)], ids=repr)
def test_a_detector_that_returns_no_faces_is_named(returned: Any) -> None:
    with pytest.raises(ModelContractError) as caught:
        finding(returned).analyze(IMAGE)
    assert "Finds" in caught.value.message


def test_faces_of_any_detector_are_clipped_and_sorted() -> None:
    outside, small, large = face(160, 20), face(50, 30), face(-10, 100)
    weak = replace(face(100, 20), score=0.5)
    recognizer = finding([outside, small, weak, large])
    clipped = Box(left=0, top=0, right=90, bottom=90)
    boxes = [found.box for found in recognizer.analyze(IMAGE)]
    assert boxes == [clipped, small.box, weak.box]
    boxes = [found.box for found in recognizer.analyze(IMAGE, min_score=0.95)]
    assert boxes == [clipped, small.box]


def test_numbers_of_a_detector_become_plain() -> None:
    box = Box(**dict.fromkeys(("left", "top"), np.float32(1)), right=np.float32(9), bottom=8)
    (found,) = finding([Face(box=box, score=np.float32(0.75))]).analyze(IMAGE)
    assert {type(number) for number in (*found.box.xyxy, found.detection)} == {float}


@pytest.mark.parametrize(
    "returned",
    [
        None,
        [[0.125] * 8],
        np.full((1, 3), 1 / 3),
        np.full((2, 8), 1 / 8),
        np.full((1, 8), np.nan),
        np.full((1, 8), -1.0),
        np.full((1, 8), 2.0),
        np.full((1, 8), "happy"),
        np.full((1, 8), None),
        np.full((1, 8), 0.125j),
    ],
    ids=[
        *("none", "list", "columns", "rows", "nan", "negative", "logits"),
        *("texts", "objects", "complex numbers"),
    ],
)
def test_a_classifier_that_returns_no_probabilities_is_named(returned: Any) -> None:
    model = StubClassifier()
    model.predict = lambda _: returned
    recognizer = Recognizer(detector=Finds([face(0, 40)]), model=model)
    with pytest.raises(ModelContractError) as caught:
        recognizer.analyze(IMAGE)
    assert "StubClassifier" in caught.value.message


def test_a_model_that_knows_none_of_the_labels_is_refused() -> None:
    model = StubClassifier()
    model.labels = (Emotion.DISGUST, Emotion.CONTEMPT)
    with pytest.raises(mien.InvalidParameterError):
        Recognizer(detector=StubDetector(), model=model)
    assert Recognizer(detector=StubDetector(), model=model, labels="seven")


@pytest.mark.parametrize(
    ("wrong", "meant"), [("detectr", "detector"), ("label", "labels"), ("zzz", "providers")]
)
def test_an_unknown_argument_is_answered_with_known_ones(wrong: str, meant: str) -> None:
    with pytest.raises(mien.InvalidParameterError) as caught:
        stub(**{wrong: "x"})
    assert wrong in caught.value.message
    assert meant in caught.value.message.partition(";")[2]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_without_a_writer_is_empty(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(mien.ImageError):
        finding(()).analyze(tmp_path / "pipe.jpg")
    # One with a writer is read.
    reading, writing = os.pipe()
    os.write(writing, encode(Image.new("RGB", (90, 60)), "PNG"))
    os.close(writing)
    assert finding(()).analyze(f"/dev/fd/{reading}").width == 90
    os.close(reading)


def test_options_of_a_call_override_those_of_the_recognizer() -> None:
    recognizer = finding((face(0, 40),), labels="seven", max_faces=3)
    for result in (
        recognizer.analyze(IMAGE, min_score=0.4),
        *recognizer.analyze_many([IMAGE], min_score=0.4),
    ):
        assert result.labels is LabelSet.SEVEN
    assert {each["min_score"] for each in recognizer.detector.received} == {0.4}
    assert recognizer.analyze(IMAGE, Options(labels="eight"), crop=True).labels is LabelSet.EIGHT
    assert recognizer.analyze(IMAGE).labels is LabelSet.SEVEN
    for method, image in ((recognizer.analyze, IMAGE), (recognizer.analyze_many, [IMAGE])):
        for wrong in ({"label": "six"}, {"labels": "nine"}, {"max_faces": 0}):
            with pytest.raises(mien.InvalidParameterError) as caught:
                method(image, **wrong)
            assert next(iter(wrong)) in caught.value.message


class Brightness:
    """Finds a face in images that are not black."""

    def detect(self, image: RgbImage, **_: object) -> tuple[Face, ...]:
        return (face(0, 20),) if image.pixels.any() else ()


@pytest.mark.parametrize("format_", ["TIFF", "GIF", "WEBP"])
def test_frames_of_an_animation_do_not_mix(tmp_path: Path, format_: str) -> None:
    frames = [Image.new("RGB", (90, 60), color) for color in ("white", "black") * 10]
    file = tmp_path / "frames"
    frames[0].save(file, format_, save_all=True, append_images=frames[1:], lossless=True)
    recognizer = Recognizer(detector=Brightness(), model=StubClassifier(), threads=2)
    with Image.open(file) as animation:
        results = recognizer.analyze_many(ImageSequence.Iterator(animation))
    assert [(len(result), result.error) for result in results] == [(1, None), (0, None)] * 10


def test_threads_may_share_a_pil_image_that_is_not_decoded() -> None:
    noise = np.random.default_rng(0).integers(1, 256, (1000, 1000, 3), dtype=np.uint8)
    for data in (encode(Image.fromarray(noise), "PNG"), encode(Image.fromarray(noise), "JPEG")):
        recognizer = Recognizer(detector=Brightness(), model=StubClassifier())
        with ThreadPoolExecutor(2) as threads:
            for _ in range(10):
                image = Image.open(io.BytesIO(data))
                results = list(threads.map(recognizer.analyze, [image] * 4))
                assert [len(result) for result in results] == [1] * 4


def test_without_memory_other_images_are_analyzed() -> None:
    class Large:
        def detect(self, image: RgbImage, **_: object) -> tuple[Face, ...]:
            if image.width > 100:
                raise MemoryError
            return ()

    recognizer = Recognizer(detector=Large(), model=StubClassifier(), threads=1)
    images = [np.zeros((50, width, 3), np.uint8) for width in (200, 50)]
    large, small = recognizer.analyze_many(images)
    assert (large.error.code, small.error) == ("image_too_large", None)


def test_paths_of_bytes_become_text(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(encode(Image.new("RGB", (64, 64)), "PNG"))
    with os.scandir(os.fsencode(tmp_path)) as entries:
        result = stub().analyze(next(entries))
    assert result.path == str(tmp_path / "photo.png")
    assert json.loads(result.to_json())["path"] == result.path
