import json

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from service import Classifier, assert_problem, form

from mien.http.problems import STATUSES
from mien.pipeline import Pipeline
from samples import encode


def test_no_face_is_an_empty_list(client: TestClient, narrow_photo: bytes) -> None:
    answer = client.post("/emotion", files=form(narrow_photo))
    assert answer.status_code == 200
    assert answer.json() == []


def test_exactly_three_keys_largest_first(client: TestClient, photo: bytes) -> None:
    answer = client.post("/emotion", files=form(photo))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == [
        {"bounding_box": [10, 10, 30, 40], "emotion": "happy", "confidence": 0.875},
        {"bounding_box": [60, 10, 20, 26], "emotion": "sad", "confidence": 0.875},
    ]


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "image/png", "image/webp", "application/octet-stream"]
)
def test_a_raw_body_answers_the_same(client: TestClient, photo: bytes, kind: str) -> None:
    raw = client.post("/emotion", content=photo, headers={"Content-Type": kind})
    assert raw.json() == client.post("/emotion", files=form(photo)).json()


@pytest.mark.parametrize(
    "query",
    ["include=scores,landmarks,detection", "include=scores&include=landmarks&include=detection"],
)
def test_include_adds_keys(client: TestClient, photo: bytes, query: str) -> None:
    face = client.post(f"/emotion?{query}", files=form(photo)).json()[0]
    assert set(face) == {
        "bounding_box",
        "emotion",
        "confidence",
        "scores",
        "landmarks",
        "detection",
    }
    assert list(face["scores"]) == ["happy", "sad", "angry", "fear", "surprise", "neutral"]
    assert sum(face["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert len(face["landmarks"]) == 5
    assert face["detection"] == 0.99


@pytest.mark.parametrize(("labels", "count", "confidence"), [("six", 6, 0.875), ("eight", 8, 0.7)])
def test_labels(
    client: TestClient, photo: bytes, labels: str, count: int, confidence: float
) -> None:
    answer = client.post(f"/emotion?labels={labels}&include=scores", files=form(photo)).json()
    assert len(answer[0]["scores"]) == count
    assert answer[0]["confidence"] == pytest.approx(confidence, abs=1e-3)


def test_max_faces_and_min_face_size(client: TestClient, photo: bytes) -> None:
    assert len(client.post("/emotion?max_faces=1", files=form(photo)).json()) == 1
    assert len(client.post("/emotion?min_face_size=25", files=form(photo)).json()) == 1


def test_crop_skips_detection(client: TestClient, narrow_photo: bytes) -> None:
    query = "crop=true&include=landmarks,detection"
    (face,) = client.post(f"/emotion?{query}", files=form(narrow_photo)).json()
    assert face["bounding_box"] == [0, 0, 20, 30]
    assert face["landmarks"] is face["detection"] is None
    assert client.post("/emotion?crop=false", files=form(narrow_photo)).json() == []


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "Labels=six",
        "crop=1",
        "crop=TRUE",
        "crop=yes",
        "crop=",
        "crop=true&crop=true",
        "labels=nine",
        "labels=",
        "labels=six&labels=six",
        "include=",
        "include=age",
        "include=scores,",
        "max_faces=0",
        "max_faces=-1",
        "max_faces=1e3",
        "max_faces=1.5",
        "max_faces=",
        "max_faces=%20",
        "max_faces=nan",
        "max_faces=99999999999999999999",
        "max_faces=٣",
        "max_faces=1_000",
        "min_face_size=11",
        "min_face_size=%00",
        "min_face_size=%F0%9F%98%80",
        "%F0=%F0",
        "=",
        "a%00b=1",
    ],
)
def test_wrong_parameters_are_refused(client: TestClient, photo: bytes, query: str) -> None:
    assert_problem(client.post(f"/emotion?{query}", files=form(photo)), 422, "invalid_parameter")
    assert_problem(
        client.post(f"/emotion/batch?{query}", files=form(photo)), 422, "invalid_parameter"
    )


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "empty_upload"),
        (b"just text", 400, "not_an_image"),
        (b"%PDF-1.7\n", 400, "not_an_image"),
        (encode(Image.new("P", (9, 9)), "GIF"), 400, "unsupported_format"),
        (encode(Image.new("RGB", (90, 90)), "JPEG")[:400], 400, "truncated_image"),
    ],
)
@pytest.mark.parametrize("raw", [True, False])
def test_bad_pictures_have_a_code(
    client: TestClient, data: bytes, status: int, code: str, raw: bool
) -> None:
    if raw:
        answer = client.post("/emotion", content=data, headers={"Content-Type": "image/jpeg"})
    else:
        answer = client.post("/emotion", files=form(data))
    assert_problem(answer, status, code)


def test_too_many_pixels(start, photo: bytes) -> None:
    assert_problem(
        start(max_pixels=1000).post("/emotion", files=form(photo)), 413, "image_too_large"
    )


def test_too_many_bytes(start, photo: bytes) -> None:
    client = start(max_upload_bytes=len(photo) - 1)
    assert_problem(client.post("/emotion", files=form(photo)), 413, "upload_too_large")
    headers = {"Content-Type": "image/jpeg"}
    assert_problem(client.post("/emotion", content=photo, headers=headers), 413, "upload_too_large")
    chunks = (photo[i : i + 100] for i in range(0, len(photo), 100))
    assert_problem(
        client.post("/emotion", content=chunks, headers=headers), 413, "upload_too_large"
    )
    many = form(b"x" * 40, b"y" * 40)
    assert client.post("/emotion/batch", files=many).status_code == 200


class TestForms:
    def test_two_images(self, client: TestClient, photo: bytes) -> None:
        assert_problem(client.post("/emotion", files=form(photo, photo)), 422, "too_many_images")

    def test_no_image(self, client: TestClient) -> None:
        empty = b"--frontier--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
        answer = client.post("/emotion", content=empty, headers=headers)
        assert answer.json()["code"] in {"missing_image", "unsupported_media_type"}

    def test_text_in_the_field(self, client: TestClient) -> None:
        answer = client.post("/emotion", files={"image": (None, b"photo.jpg")})
        assert_problem(answer, 422, "missing_image")
        assert "-F image=@" in answer.json()["detail"]

    @pytest.mark.parametrize("name", ["file", "Image", "image ", "", "x" * 500])
    def test_another_field(self, client: TestClient, photo: bytes, name: str) -> None:
        answer = client.post("/emotion", files={name: ("a.jpg", photo)})
        assert_problem(answer, 422, "invalid_parameter")
        assert len(answer.json()["detail"]) < 200

    @pytest.mark.parametrize("name", ["../../etc/passwd", "a\r\nb", "", "ü.jpg", "x" * 3000])
    def test_the_file_name_does_not_matter(
        self, client: TestClient, photo: bytes, name: str
    ) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
        escaped = name.replace("\r", "%0D").replace("\n", "%0A").encode()
        disposition = b'Content-Disposition: form-data; name="image"; filename="' + escaped + b'"'
        body = b"--frontier\r\n" + disposition + b"\r\n\r\n" + photo + b"\r\n--frontier--\r\n"
        assert client.post("/emotion", content=body, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=other",
            "multipart/form-data; boundary=" + "x" * 5000,
            "multipart/mixed; boundary=frontier",
            "text/plain",
            "application/json",
            "image/gif",
            "",
            "\x7f",
        ],
    )
    def test_wrong_content_type(self, client: TestClient, photo: bytes, content_type: str) -> None:
        body = b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        body += photo + b"\r\n--frontier--\r\n"
        answer = client.post("/emotion", content=body, headers={"Content-Type": content_type})
        assert_problem(answer, 415, "unsupported_media_type")

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"garbage",
            b"--frontier\r\n",
            b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\ncut',
            b"--frontier\r\n" + b"X: " + b"y" * 9000 + b"\r\n\r\n\r\n--frontier--",
            b"--frontier\r\n" + b"X: y\r\n" * 30 + b"\r\n\r\n--frontier--",
            b"--frontier\r\n: novalue\r\n\r\n\r\n--frontier--",
        ],
        ids=["empty", "garbage", "begun", "cut off", "long header", "many headers", "no name"],
    )
    def test_broken_bodies(self, client: TestClient, body: bytes) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=frontier"}
        answer = client.post("/emotion", content=body, headers=headers)
        assert answer.status_code in {415, 422}
        assert_problem(answer, answer.status_code, answer.json()["code"])

    def test_a_nested_form_is_just_not_an_image(self, client: TestClient) -> None:
        inner = b'--in\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--in--'
        assert_problem(client.post("/emotion", files=form(inner)), 400, "not_an_image")


class TestBatch:
    def test_one_bad_picture_fails_alone(
        self, client: TestClient, photo: bytes, narrow_photo: bytes
    ) -> None:
        answer = client.post("/emotion/batch", files=form(photo, b"text", narrow_photo, b""))
        assert answer.status_code == 200
        first, second, third, fourth = answer.json()
        assert [face["emotion"] for face in first["faces"]] == ["happy", "sad"]
        assert second["error"]["code"] == "not_an_image"
        assert third == {"faces": []}
        assert fourth["error"]["code"] == "empty_upload"

    def test_too_many(self, start, narrow_photo: bytes) -> None:
        client = start(max_batch_images=2)
        answer = client.post("/emotion/batch", files=form(*[narrow_photo] * 3))
        assert_problem(answer, 422, "too_many_images")

    def test_parameters_hold_for_all(self, client: TestClient, photo: bytes) -> None:
        answer = client.post("/emotion/batch?max_faces=1", files=form(photo, photo))
        assert [len(entry["faces"]) for entry in answer.json()] == [1, 1]


class TestHeaders:
    def test_every_answer_has_id_timing_and_nosniff(self, client: TestClient, photo: bytes) -> None:
        answers = [
            client.post("/emotion", files=form(photo)),
            client.post("/emotion", files=form(b"text")),
            client.get("/no/such/path"),
            client.get("/livez"),
        ]
        for answer in answers:
            assert answer.headers["x-request-id"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            names = [
                part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")
            ]
            assert {"decode", "detect", "classify", "queue"} <= set(names)

    @pytest.mark.parametrize(
        ("given", "kept"),
        [("abc-1.2_3", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("<i>", False)],
    )
    def test_request_ids(self, client: TestClient, given: str, kept: bool) -> None:
        answer = client.get("/livez", headers={"X-Request-ID": given})
        assert (answer.headers["x-request-id"] == given) is kept

    def test_a_problem_names_its_request(self, client: TestClient) -> None:
        answer = client.get("/nothing", headers={"X-Request-ID": "one"})
        assert answer.json()["instance"] == "urn:mien:request:one"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/emotion", 405, "method_not_allowed"),
        ("PUT", "/emotion", 405, "method_not_allowed"),
        ("DELETE", "/emotion/batch", 405, "method_not_allowed"),
        ("POST", "/livez", 405, "method_not_allowed"),
        ("GET", "/emotions", 404, "not_found"),
        ("GET", "/%00", 404, "not_found"),
        ("GET", "/..%2f..%2fetc%2fpasswd", 404, "not_found"),
        ("POST", "/emotion/batch/more", 404, "not_found"),
    ],
)
def test_wrong_routes(client: TestClient, method: str, path: str, status: int, code: str) -> None:
    assert_problem(client.request(method, path), status, code)


def test_a_failure_inside_tells_nothing(
    start, photo: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def detect(self, image, *, min_face_size=None):
            if image.width == 120:
                raise RuntimeError("secret path /srv/models")
            return ()

    client = start(build=lambda _: Pipeline(Broken(), Classifier()))
    answer = client.post("/emotion", files=form(photo), headers={"X-Request-ID": "boom"})
    assert_problem(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert "secret" in caplog.text
    assert "boom" in caplog.text


def test_the_table_has_every_code_of_the_contract() -> None:
    assert {code: status for code, (status, _) in STATUSES.items()} == json.loads(
        """{"not_an_image": 400, "truncated_image": 400, "empty_upload": 400,
        "unsupported_format": 400, "not_found": 404, "method_not_allowed": 405,
        "upload_timeout": 408, "upload_too_large": 413, "image_too_large": 413,
        "unsupported_media_type": 415, "invalid_parameter": 422, "missing_image": 422,
        "too_many_images": 422, "queue_full": 429, "internal_error": 500, "not_ready": 503,
        "deadline_exceeded": 504}"""
    )
