"""``POST /video``: streamed lines, and errors of bad videos."""

import asyncio
import contextlib
import gc
import json
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator

import httpx2 as httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from http_fakes import Crowd, FakeDetector, encoded_image, fake_app, running, wait_until
from mien.deadline import check_deadline
from mien.errors import DeadlineExceededError
from mien.server.app import create_app
from mien.server.responses import VideoLine
from mien.server.routes import video
from mien.settings import Settings
from videos import encoded_video, plain

MP4 = {"Content-Type": "video/mp4"}


@pytest.fixture
def service(detector: FakeDetector) -> Iterator[TestClient]:
    app, _ = fake_app(
        detector,
        max_video_bytes=200_000,
        max_video_seconds=3.0,
        max_video_pixels=100_000,
        max_videos=1,
        deadline_s=5.0,
    )
    with TestClient(app) as client:
        yield client


def lines_of(response: httpx.Response) -> list[dict]:
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    for line in lines:
        VideoLine.model_validate(line)
    return lines


def test_a_line_for_each_sample_then_the_summary(service: TestClient) -> None:
    response = service.post("/video", content=plain(), headers=MP4)
    *samples, last = lines_of(response)
    assert [line["time_s"] for line in samples] == [pytest.approx(n / 10) for n in range(10)]
    assert [line["frame"] for line in samples] == list(range(10))
    assert all(line["size"] == [128, 96] for line in samples)
    assert all([face["person"] for face in line["faces"]] == [1, 2] for line in samples)
    assert set(samples[0]["faces"][0]) == {"person", "bounding_box", "emotion", "confidence"}
    summary = last["summary"]
    assert (summary["samples"], summary["seconds"], summary["cut_off"]) == (10, 1.0, False)
    assert [person["emotions"] for person in summary["persons"]] == [{"happy": 1.0}] * 2
    form = service.post("/video", files={"video": ("clip.mp4", plain(), "video/mp4")})
    assert form.text == response.text


@pytest.mark.parametrize("kind", ["image/jpeg", "application/mp4", None])
def test_the_format_is_detected_from_the_bytes(service: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert len(lines_of(service.post("/video/", content=plain(), headers=headers))) == 11


def test_the_video_may_be_in_json(service: TestClient) -> None:
    text = "data:video/mp4;base64," + b64encode(plain()).decode()
    assert len(lines_of(service.post("/video", json={"video": text}))) == 11


def test_parameters_are_accepted(service: TestClient, detector: FakeDetector) -> None:
    url = "/video?fps=2.5&smooth=false&include=scores&labels=eight&max_faces=1"
    *samples, _ = lines_of(service.post(url, content=plain(2), headers=MP4))
    assert [line["time_s"] for line in samples] == [pytest.approx(n * 0.4) for n in range(5)]
    assert [len(line["faces"]) for line in samples] == [1] * 5
    assert len(samples[0]["faces"][0]["scores"]) == 8


def test_a_real_face_is_tracked(astronaut: NDArray[np.uint8]) -> None:
    moving = [np.roll(astronaut[::2, ::2], step, axis=1) for step in range(12)]
    with TestClient(create_app(Settings())) as client:
        response = client.post(
            "/video", content=encoded_video(moving, range(0, 1200, 100)), headers=MP4
        )
        *samples, last = lines_of(response)
        counts = client.get("/metrics").text
    assert [[f["person"] for f in line["faces"]] for line in samples] == [[1]] * 12
    assert {face["emotion"] for line in samples for face in line["faces"]} == {"happy"}
    assert last["summary"]["persons"][0]["emotions"] == {"happy": 1.0}
    assert "mien_images_total 12.0" in counts
    assert "mien_videos 0.0" in counts
    assert "mien_pending_bytes 0.0" in counts


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"", "headers": MP4}, 400, "empty_upload"),
        ({"content": encoded_image(), "headers": MP4}, 400, "unreadable_video"),
        ({"content": b"#EXTM3U\nfile:///etc/passwd\n", "headers": MP4}, 400, "unreadable_video"),
        ({"content": plain()[:400], "headers": MP4}, 400, "unreadable_video"),
        ({"content": plain(4), "headers": MP4}, 413, "video_too_large"),
        ({"content": plain(0.2, 400, 300), "headers": MP4}, 413, "video_too_large"),
        ({"content": bytes(200_001), "headers": MP4}, 413, "upload_too_large"),
        ({"content": plain(), "headers": {"Content-Encoding": "gzip"}}, 415, None),
        ({"files": {"image": ("clip.mp4", plain())}}, 422, "invalid_parameter"),
        ({"files": [("video", ("a", plain())), ("video", ("b", b""))]}, 422, "invalid_parameter"),
        ({"files": {"video": (None, "clip.mp4")}}, 422, "missing_video"),
        ({"params": {"fps": "0.4"}}, 422, "invalid_parameter"),
        ({"params": {"fps": "31"}}, 422, "invalid_parameter"),
        ({"params": {"fps": "nan"}}, 422, "invalid_parameter"),
        ({"params": {"fps": "1e1"}}, 422, "invalid_parameter"),
        ({"params": {"fps": ""}}, 422, "invalid_parameter"),
        ({"params": {"detect_every": "3"}}, 422, "invalid_parameter"),
        ({"params": {"smooth": "2"}}, 422, "invalid_parameter"),
        ({"params": {"seconds": "1"}}, 422, "invalid_parameter"),
    ],
)
def test_invalid_requests_are_refused(
    service: TestClient, request_: dict, status: int, code: str | None
) -> None:
    response = service.post("/video", **request_)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code or "unsupported_media_type")
    # Its place is free again.
    assert service.post("/video", content=plain(), headers=MP4).status_code == 200


def test_a_missing_file_gets_a_curl_example(service: TestClient) -> None:
    detail = service.post("/video", files={"video": (None, "clip.mp4")}).json()["detail"]
    assert detail.endswith("with curl: -F video=@video.mp4")


@pytest.mark.parametrize(
    ("form", "encoder"), [("avi", "mpeg4"), ("matroska", "libvpx"), ("webm", "libvpx")]
)
def test_a_truncated_video_gives_its_readable_part(
    service: TestClient, form: str, encoder: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 96, 128, 3), dtype=np.uint8)
    whole = encoded_video(list(noise), range(0, 2000, 100), form, encoder)
    for content, damaged in ((whole, False), (whole[: len(whole) * 2 // 3], True)):
        *samples, last = lines_of(service.post("/video", content=content, headers=MP4))
        assert len(samples) == 20 if not damaged else 5 <= len(samples) < 20
        assert last["summary"]["cut_off"] is damaged
    assert last["summary"]["samples"] == len(samples)


def test_a_video_longer_than_declared(service: TestClient) -> None:
    """The error is a line, because earlier lines are already sent."""
    data = plain(4, form="matroska")
    at = data.index(b"\x44\x89") + 3  # Source: RFC 9559, Duration; after it its size
    data = data[:at] + np.array(1000.0, ">f8").tobytes() + data[at + 8 :]
    *samples, last = lines_of(service.post("/video", content=data, headers=MP4))
    assert len(samples) >= 28
    assert last["error"]["code"] == "video_too_large"


def test_an_error_in_the_middle_is_the_last_line(
    service: TestClient, detector: FakeDetector, caplog: pytest.LogCaptureFixture
) -> None:
    detector.fail_from = len(detector.received) + 4
    detector.error = RuntimeError("secret")
    *samples, last = lines_of(service.post("/video", content=plain(), headers=MP4))
    assert len(samples) == 3
    assert last["error"]["code"] == "internal_error"
    assert "secret" not in json.dumps(last)
    assert "secret" in caplog.text
    line = next(record for record in caplog.records if record.name == "mien.access")
    assert line.codes == ["internal_error"]
    assert line.images == 3


def test_an_error_before_the_first_line_has_a_status(
    service: TestClient, detector: FakeDetector
) -> None:
    detector.endless = True
    response = service.post("/video", content=plain(), headers=MP4)
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


def test_a_reader_that_outlasts_its_deadline_leaves_no_traceback() -> None:
    unhandled: list[dict[str, object]] = []

    def read() -> None:
        time.sleep(0.2)
        check_deadline()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, about: unhandled.append(about))
        with pytest.raises(DeadlineExceededError):
            await video._in_thread(read, 0.02)
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert not unhandled


def test_lines_are_streamed_and_concurrency_is_limited() -> None:
    app, detector = fake_app(max_videos=1)
    detector.wait_s = 0.1
    with running(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        with client.stream("POST", "/video", content=plain(3), headers=MP4) as response:
            assert response.headers["x-accel-buffering"] == "no"
            lines = response.iter_lines()
            json.loads(next(lines))
            assert len(detector.received) < 30
            full = httpx.post(f"{client.base_url}/video", content=plain(), headers=MP4)
            assert (full.status_code, full.json()["code"]) == (429, "queue_full")
            assert int(full.headers["retry-after"]) > 1
            # Photos are not held up by clips.
            photo = httpx.post(f"{client.base_url}/emotion", files={"image": encoded_image()})
            assert photo.status_code == 200
        # The client left: nothing more is read, and the place is free.
        wait_until(lambda: app.state.service.videos.free == 1)
        received = len(detector.received)
        assert received < 30
        assert client.post("/video", content=plain(0.2), headers=MP4).status_code == 200
        assert len(detector.received) <= received + 3


def test_a_client_that_reads_no_lines_is_disconnected() -> None:
    """With a window as small as can be had, and more lines than fit between the two."""
    app, _ = fake_app(Crowd(), max_videos=1)
    target = b"/video?fps=30&include=scores,landmarks&labels=eight"
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\n" % target
    clip = plain(30)
    with running(app, send_timeout_s=0.5) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", port))
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(clip) + clip)
        wait_until(lambda: app.state.service.videos.free == 0)
        wait_until(lambda: app.state.service.videos.free == 1)
        last = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                last = piece
        assert b"summary" not in last


def test_a_client_that_disconnects_before_the_first_line() -> None:
    app, detector = fake_app(max_videos=1)
    with running(app) as port:
        detector.endless = True
        url = f"http://127.0.0.1:{port}/video"

        def call() -> None:
            with pytest.raises(httpx.TimeoutException):
                httpx.post(url, content=plain(), headers=MP4, timeout=0.5)

        thread = threading.Thread(target=call)
        thread.start()
        wait_until(lambda: app.state.service.videos.free == 0)
        thread.join()
        wait_until(lambda: app.state.service.videos.free == 1)
        detector.endless = False
        response = httpx.post(url, content=plain(), headers=MP4)
        assert len(lines_of(response)) == 11


def test_without_the_extra(service: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    response = service.post("/video")
    assert (response.status_code, response.json()["code"]) == (501, "video_unavailable")
    assert "pip install 'mien[video]'" in response.json()["detail"]


def test_the_endpoint_can_be_disabled() -> None:
    app, _ = fake_app(max_videos=0)
    with TestClient(app) as client:
        response = client.post("/video", content=plain(), headers=MP4)
    assert (response.status_code, response.json()["code"]) == (501, "video_unavailable")


def test_a_key_is_required() -> None:
    app, _ = fake_app(api_keys="0" * 64)
    with TestClient(app) as client:
        assert client.post("/video", content=plain(), headers=MP4).status_code == 401
