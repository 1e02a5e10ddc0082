import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app, part
from mien.types import Emotion

SIX = [emotion.value for emotion in Emotion][:6]


def test_no_face_is_an_empty_list(client: TestClient) -> None:
    response = client.post("/emotion", files=[part(encoded_image(50, 50))])
    assert (response.status_code, response.json()) == (200, [])


def test_faces_have_exactly_three_keys(client: TestClient, photo: bytes) -> None:
    response = client.post("/emotion", files=[part(photo)])
    assert response.headers["content-type"] == "application/json"
    assert response.json() == [
        {"bounding_box": [5, 5, 40, 40], "emotion": "happy", "confidence": 0.7222},
        {"bounding_box": [55, 5, 30, 30], "emotion": "happy", "confidence": 0.7222},
    ]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP"])
def test_the_body_may_be_the_image(client: TestClient, form: str) -> None:
    for kind in (f"image/{form.lower()}", "application/octet-stream", "IMAGE/PNG; x=y"):
        response = client.post(
            "/emotion", content=encoded_image(form=form), headers={"Content-Type": kind}
        )
        assert len(response.json()) == 2


@pytest.mark.parametrize(
    "kind",
    ["image/jpg", "image/*", "binary/octet-stream", "text/plain", "application/json", "x", None],
)
@pytest.mark.parametrize("path", ["/emotion", "/emotion/"])
def test_the_format_is_detected_from_the_bytes(
    client: TestClient, photo: bytes, kind: str | None, path: str
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert len(client.post(path, content=photo, headers=headers).json()) == 2


@pytest.mark.parametrize(
    "before",
    [
        *("", "data:image/jpeg;base64,", "data:;base64,", "\n ", " DATA:IMAGE/PNG;BASE64, "),
        "data:image/jpeg; charset=utf-8; base64,",
    ],
)
def test_the_image_may_be_in_json(client: TestClient, photo: bytes, before: str) -> None:
    text = before + b64encode(photo).decode()
    assert len(client.post("/emotion", json={"image": text}).json()) == 2


@pytest.mark.parametrize("trailing", [b"", b"x", b"xy"])
def test_base64_of_any_alphabet_padding_and_line_length(
    client: TestClient, photo: bytes, trailing: bytes
) -> None:
    plain = b64encode(photo + trailing).decode()
    for text in (
        plain.rstrip("="),
        urlsafe_b64encode(photo + trailing).decode(),
        urlsafe_b64encode(photo + trailing).decode().rstrip("="),
        encodebytes(photo + trailing).decode(),
        "data:image/jpeg;base64," + quote(plain, safe=""),
    ):
        assert len(client.post("/emotion", json={"image": text}).json()) == 2


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "text/plain;charset=UTF-8", "application/x+json", None],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_is_recognized_without_its_content_type(
    client: TestClient, photo: bytes, kind: str | None, encoding: str
) -> None:
    text = json.dumps({"image": b64encode(photo).decode()}, indent=1)
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/emotion", content=text.encode(encoding), headers=headers)
    assert len(response.json()) == 2


def test_json_has_the_limit_of_the_decoded_image(client: TestClient) -> None:
    for size, status in ((200_000, 400), (200_001, 413), (1_000_000, 413)):
        text = b64encode(bytes(size)).decode()
        assert client.post("/emotion", json={"image": text}).status_code == status


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "invalid_parameter"),
        (b"[" * 100_000, "invalid_parameter"),
        (b'{"image": "%%%"}', "invalid_parameter"),
        (b'{"image": "data:image/png,x"}', "invalid_parameter"),
        (b'{"image": "data:image/png;base64"}', "invalid_parameter"),
        (b'{"image": "", "crop": true}', "invalid_parameter"),
        (b'{"image": 1}', "missing_image"),
        (b'{"picture": ""}', "missing_image"),
        (b'["x"]', "missing_image"),
        (b'{"image": ""}', "empty_upload"),
        (b'{"image": "aGVsbG8="}', "not_an_image"),
    ],
)
def test_invalid_json_bodies(client: TestClient, content: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert client.post("/emotion", content=content, headers=headers).json()["code"] == code


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "1"])
def test_booleans_in_any_case(client: TestClient, photo: bytes, value: str) -> None:
    faces = client.post(f"/emotion?crop={value}", files=[part(photo)]).json()
    assert [face["bounding_box"] for face in faces] == [[0, 0, 120, 80]]
    assert len(client.post("/emotion?crop=False", files=[part(photo)]).json()) == 2


def test_the_turn_of_an_image_is_in_the_response(photo: bytes) -> None:
    """The fake finds faces in images of at least 100 pixels of width."""
    with TestClient(fake_app()[0]) as client:
        tall = encoded_image(80, 120)
        assert client.post("/emotion", content=tall).json() == []
        turned = client.post("/emotion?upright=auto", content=tall).json()
        assert [face["turn"] for face in turned] == [90, 90]
        upright = client.post("/emotion?upright=auto", content=photo).json()
        assert all("turn" not in face for face in upright)


def test_a_part_with_content_type_but_no_file_name(client: TestClient, photo: bytes) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="image"\r\nContent-Type: image/png\r\n\r\n'
    response = client.post(
        "/emotion",
        content=head + photo + b"\r\n--b--",
        headers={"Content-Type": 'multipart/form-data; boundary="b"'},
    )
    assert len(response.json()) == 2


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("include=scores", {"scores"}),
        ("include=scores,landmarks", {"scores", "landmarks"}),
        ("include=scores&include=detection", {"scores", "detection"}),
        ("include=quality", {"quality"}),
        ("include=landmarks,scores&include=detection", {"scores", "landmarks", "detection"}),
    ],
)
def test_include_adds_keys(client: TestClient, photo: bytes, query: str, keys: set[str]) -> None:
    face = client.post(f"/emotion?{query}", files=[part(photo)]).json()[0]
    assert set(face) == {"bounding_box", "emotion", "confidence"} | keys
    if "scores" in keys:
        assert list(face["scores"]) == SIX
    if "quality" in keys:
        assert face["quality"]["height"] == face["bounding_box"][3]
        assert -90 <= face["quality"]["yaw"] <= 90


@pytest.mark.parametrize(("labels", "count"), [("six", 6), ("seven", 7), ("eight", 8)])
def test_labels(client: TestClient, photo: bytes, labels: str, count: int) -> None:
    response = client.post(f"/emotion?labels={labels}&include=scores", files=[part(photo)])
    assert len(response.json()[0]["scores"]) == count


def test_options_reach_the_pipeline(
    client: TestClient, photo: bytes, detector: FakeDetector
) -> None:
    detector.received.clear()
    assert len(client.post("/emotion?max_faces=1", files=[part(photo)]).json()) == 1
    client.post("/emotion?min_face_size=12", files=[part(photo)])
    assert detector.received == [None, 12]
    response = client.post("/emotion?crop=true&include=detection", files=[part(photo)])
    assert response.json()[0]["bounding_box"] == [0, 0, 120, 80]
    assert response.json()[0]["detection"] is None
    assert len(detector.received) == 2


BAD_QUERIES = [
    ("faces=1", "faces"),
    ("Crop=true", "Crop"),
    ("%00%ff%0d%0a=1", "parameter"),
    ("=", "parameter"),
    ("&".join(f"a{n}=1" for n in range(40)), "a0"),
    ("crop=yes", "crop"),
    ("crop=", "crop"),
    ("crop=true&crop=true", "crop"),
    ("labels=six&labels=six", "labels"),
    ("labels=SIX", "labels"),
    ("labels=nine", "labels"),
    ("include=", "include"),
    ("include=scores,", "include"),
    ("include=everything", "include"),
    ("max_faces=0", "max_faces"),
    ("max_faces=-1", "max_faces"),
    ("max_faces=1e3", "max_faces"),
    ("max_faces=1.0", "max_faces"),
    ("max_faces=+1", "max_faces"),
    ("max_faces=", "max_faces"),
    ("max_faces=1&max_faces=2", "max_faces"),
    ("max_faces=" + "9" * 5000, "max_faces"),
    ("max_faces=1000001", "max_faces"),
    ("max_faces=%D9%A3", "max_faces"),
    ("max_faces=%C2%B2", "max_faces"),
    ("min_face_size=11", "min_face_size"),
    ("min_face_size=nan", "min_face_size"),
    ("min_score=1.1", "min_score"),
    ("min_score=-0.1", "min_score"),
    ("min_score=nan", "min_score"),
    ("min_score=1e-1", "min_score"),
    ("upright=yes", "upright"),
]


@pytest.mark.parametrize("path", ["/emotion", "/emotion/batch"])
@pytest.mark.parametrize(("query", "named"), BAD_QUERIES)
def test_bad_parameters_are_named(client: TestClient, path: str, query: str, named: str) -> None:
    response = client.post(f"{path}?{query}", files=[part(b"never looked at")])
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert named in response.json()["detail"]
    assert len(response.json()["detail"]) < 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty_upload"),
        (b"hello", 400, "not_an_image"),
        (encoded_image()[:400], 400, "truncated_image"),
        (b"II*\0" + bytes(40), 400, "unsupported_format"),
        (encoded_image(1200, 1000), 413, "image_too_large"),
        (bytes(300_000), 413, "upload_too_large"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_bad_images(client: TestClient, data: bytes, status: int, code: str, raw: bool) -> None:
    if raw:
        response = client.post("/emotion", content=data, headers={"Content-Type": "image/jpeg"})
    else:
        response = client.post("/emotion", files=[part(data)])
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_batch_keeps_order_and_isolates_failures(client: TestClient, photo: bytes) -> None:
    parts = [part(photo), part(b"no picture"), part(encoded_image(50, 50))]
    response = client.post("/emotion/batch?max_faces=1", files=parts)
    assert response.status_code == 200
    first, second, third = response.json()
    assert len(first["faces"]) == 1
    assert second["error"]["code"] == "not_an_image"
    assert set(second["error"]) == {"code", "message"}
    assert third == {"faces": []}


def test_batch_limits_and_types(client: TestClient, photo: bytes) -> None:
    response = client.post("/emotion/batch", files=[part(photo)] * 4)
    assert (response.status_code, response.json()["code"]) == (422, "too_many_images")
    response = client.post("/emotion/batch", content=photo, headers={"Content-Type": "image/jpeg"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_batch_server_errors_stay_with_their_image(
    client: TestClient,
    photo: bytes,
    detector: FakeDetector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    detector.error = RuntimeError("secret")
    response = client.post("/emotion/batch?include=scores", files=[part(photo), part(b"")])
    assert [entry["error"]["code"] for entry in response.json()] == [
        "internal_error",
        "empty_upload",
    ]
    assert "secret" not in response.text
    assert "secret" in caplog.text
