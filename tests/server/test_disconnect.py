"""Disconnecting clients and endless analyses on a real server."""

import socket
from collections.abc import Iterator

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app, logged, part, running, wait_until

PHOTO = encoded_image()
REQUEST = (
    b"POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
    % len(PHOTO)
    + PHOTO
)


@pytest.fixture
def address(detector: FakeDetector) -> Iterator[str]:
    app, _ = fake_app(detector, threads=1, max_queue=16)
    with running(app) as port:
        yield f"http://127.0.0.1:{port}"
        detector.endless = False


def ask(address: str, request: bytes = REQUEST) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
    connection.sendall(request)
    return connection


def test_tasks_of_disconnected_clients_are_cancelled(address: str, detector: FakeDetector) -> None:
    detector.endless = True
    with ask(address):
        wait_until(lambda: detector.running == 1)
    # Far sooner than the deadline, 30 seconds.
    wait_until(lambda: detector.running == 0, timeout_s=15)
    detector.endless = False
    assert httpx.post(f"{address}/emotion", files=[part(PHOTO)]).status_code == 200


def test_queued_tasks_of_disconnected_clients_never_start(
    address: str, detector: FakeDetector, caplog: pytest.LogCaptureFixture
) -> None:
    with ask(address):
        with detector.held():
            wait_until(lambda: detector.running == 1)
            started = len(detector.received)
            for connection in [ask(address) for _ in range(5)]:
                connection.close()
            wait_until(lambda: logged(caplog).count("POST /emotion 499") == 5)
        assert httpx.post(f"{address}/emotion", files=[part(PHOTO)]).status_code == 200
    assert len(detector.received) == started + 1
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


@pytest.mark.parametrize("version", [b"1.1", b"1.1\r\nConnection: close", b"1.0"])
def test_a_client_may_close_its_sending_half(
    address: str, detector: FakeDetector, version: bytes
) -> None:
    with ask(address, REQUEST.replace(b"HTTP/1.1", b"HTTP/" + version)) as connection:
        with detector.held():
            wait_until(lambda: detector.running == 1)
            connection.shutdown(socket.SHUT_WR)
            # Longer than the service takes to notice a client that has closed both halves.
            interim = b""
            while version != b"1.0" and interim.count(b"100 Continue") < 2:
                interim += connection.recv(1000)
        received = interim + b"".join(iter(lambda: connection.recv(1000), b""))
    response = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n" * 2)
    if version != b"1.0":
        assert response.startswith(b"HTTP/1.1 200")
        assert b'"bounding_box"' in response
    else:
        assert response == b"", "HTTP/1.0 has no interim responses"


def test_all_images_of_a_disconnected_client_are_cancelled(
    address: str, detector: FakeDetector
) -> None:
    detector.endless = True
    started = len(detector.received)
    with httpx.Client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{address}/emotion/batch", files=[part(PHOTO)] * 8, timeout=1)
    wait_until(lambda: detector.running == 0, timeout_s=15)
    assert len(detector.received) == started + 1


def test_a_cancelled_endless_task_frees_its_thread(photo: bytes) -> None:
    app, detector = fake_app(threads=1, deadline_s=2.0)
    with TestClient(app) as client:
        detector.endless = True
        late = client.post("/emotion", files=[part(photo)])
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        detector.endless = False
        assert client.post("/emotion", files=[part(photo)]).status_code == 200
