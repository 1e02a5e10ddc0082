"""A real server: sockets, slow and vanishing clients, signals, several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from service import form

START_S = 60


class Server:
    """``mien serve`` in a process of its own."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [sys.executable, "-m", "mien", "serve", "--port", str(self.port), *arguments]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, stderr=file, stdout=file, env={**os.environ, **environment}
            )

    def wait(self) -> "Server":
        for _ in range(START_S * 20):
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx2.get(f"{self.url}/readyz").status_code == 200:
                    return self
            except httpx2.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def post(self, photo: bytes) -> httpx2.Response:
        return httpx2.post(f"{self.url}/emotion", files=form(photo), timeout=30)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


Begin = Callable[..., Server]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    servers: list[Server] = []

    def make(*arguments: str, **environment: str) -> Server:
        server = Server(tmp_path / f"{len(servers)}.log", *arguments, **environment)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.process.kill()
        server.process.wait()


def test_the_contracts_curl_line(begin: Begin, face_photo: bytes, tmp_path: Path) -> None:
    server = begin().wait()
    photo = tmp_path / "face.jpg"
    photo.write_bytes(face_photo)
    command = ["curl", "-sS", "-F", f"image=@{photo}", f"{server.url}/emotion"]
    (face,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert list(face) == ["bounding_box", "emotion", "confidence"]
    assert face["emotion"] == "happy"
    assert server.stop() == 0
    log = server.log.read_text()
    assert "POST /emotion 200" in log
    assert "Traceback" not in log


def test_a_hundred_at_once_all_get_their_own_answer(begin: Begin, face_photo: bytes) -> None:
    server = begin(MIEN_MAX_WAITING="200").wait()
    with ThreadPoolExecutor(20) as pool:
        bodies = [face_photo if i % 3 else b"text" for i in range(100)]
        answers = list(pool.map(server.post, bodies))
    assert [a.status_code for a in answers] == [200 if i % 3 else 400 for i in range(100)]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 100


def test_a_slow_upload_is_ended(begin: Begin) -> None:
    server = begin(MIEN_UPLOAD_TIMEOUT_S="0.5").wait()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(
            b"POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 1000\r\n\r\nstart"
        )
        connection.settimeout(10)
        answer = b""
        while received := connection.recv(4000):
            answer += received
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"upload_timeout" in answer


def test_a_client_that_leaves_is_no_error(begin: Begin, face_photo: bytes) -> None:
    server = begin().wait()
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(
                b"POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
                b"Content-Length: 100000\r\n\r\nstart"
            )
    assert server.post(face_photo).status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()


def test_an_endless_upload_is_cut_off(begin: Begin) -> None:
    server = begin(MIEN_MAX_UPLOAD_BYTES="100000").wait()
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50_000_000:
            sent += 10_000
            yield bytes(10_000)

    try:
        headers = {"Content-Type": "image/png"}
        answer = httpx2.post(f"{server.url}/emotion", content=endless(), headers=headers)
        assert answer.status_code == 413
    except httpx2.TransportError:
        pass  # the server may hang up before the client reads
    assert sent < 50_000_000


def test_sigterm_answers_what_is_in_flight(begin: Begin, face_photo: bytes) -> None:
    server = begin().wait()
    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(server.post, face_photo) for _ in range(6)]
        while "POST /emotion 200" not in server.log.read_text():
            time.sleep(0.005)
        assert server.stop() == 0
        statuses = []
        for answer in answers:
            try:
                statuses.append(answer.result().status_code)
            except httpx2.ConnectError:
                statuses.append(0)  # had not been accepted yet
    assert set(statuses) <= {200, 503, 0}
    assert statuses.count(200) >= 1


def test_two_workers_share_the_port(begin: Begin, face_photo: bytes) -> None:
    server = begin("--workers", "2").wait()
    assert {server.post(face_photo).status_code for _ in range(6)} == {200}
    server.stop()


def test_a_taken_port_is_said_in_one_line(begin: Begin) -> None:
    server = begin().wait()
    command = [sys.executable, "-m", "mien", "serve", "--port", str(server.port)]
    second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert second.returncode == 1
    assert "cannot listen" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_wrong_model_is_said_in_one_line(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"nonsense")
    command = [sys.executable, "-m", "mien", "serve", "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "card.toml" in done.stderr
    assert "Traceback" not in done.stderr
