"""A real server on a real socket."""

import asyncio
import os
import pickle
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock

import httpx2 as httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from http_fakes import (
    FakeClassifier,
    FakeDetector,
    connect,
    encoded_image,
    fake_app,
    logged,
    part,
    read_all,
    running,
    wait_until,
)
from http_process import alongside, served, start, wait_until_in_flight
from mien.recognizer import Recognizer
from mien.server import run as server_run
from mien.server.app import create_app
from mien.server.context import ContextMiddleware, record
from mien.server.hardening.signals import on_shutdown
from mien.server.metrics import Metrics
from mien.settings import Settings
from programs import posix

HEAD = b"POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture
def port(detector: FakeDetector) -> Iterator[int]:
    app, _ = fake_app(detector, max_upload_bytes=100_000, max_queue=200)
    with running(app) as port:
        yield port


@pytest.fixture
def hasty_port(detector: FakeDetector) -> Iterator[int]:
    """Return the port of a server that does not wait long for a body."""
    app, _ = fake_app(detector, upload_timeout_s=0.4, max_upload_bytes=100_000)
    with running(app) as port:
        yield port


def test_a_slow_upload_times_out(hasty_port: int) -> None:
    began = time.monotonic()
    with connect(hasty_port) as connection:
        connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\n")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        response = read_all(connection)
        stop.set()
        dripping.join()
    assert response.startswith(b"HTTP/1.1 408")
    assert b'"code":"upload_timeout"' in response
    assert b"connection: close" in response.lower()
    # The wait for the body, then the wait for the client to stop.
    assert 0.4 <= time.monotonic() - began < 9


def test_too_large_without_a_length(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        # Far more than the limit, all sent before the response is read.
        for _ in range(100):
            connection.sendall(b"%x\r\n" % 65536 + bytes(65536) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 413")
    assert b'"code":"upload_too_large"' in response


def test_too_large_by_its_length_is_refused_before_the_body(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 100001\r\nExpect: 100-continue\r\n\r\n")
        response = connection.recv(65536)
    assert response.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [
        ("/emotion?x=1", "image/jpeg", 422),
        ("/nowhere", "image/jpeg", 404),
        ("/emotion/batch", "a/b", 415),
    ],
)
@pytest.mark.parametrize("length", [b"Content-Length: 90000", b"Transfer-Encoding: chunked"])
def test_an_unneeded_body_is_read_only_up_to_a_limit(
    port: int, path: str, kind: str, status: int, length: bytes
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n".encode()
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(head + length + b"\r\n\r\n")
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 %d" % status)
    assert b"connection: close" in response.lower()
    assert time.monotonic() - began < 9


def test_a_body_that_was_read_keeps_the_connection(port: int, photo: bytes) -> None:
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(photo) + photo
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 00\r\n"
    last = get + b"\r\n" + get + b"Connection: close\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(request + HEAD + b"Content-Length: 1\r\n\r\nx" + last)
        response = read_all(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", response) == [b"200", b"400", b"200", b"200"]
    assert response.lower().count(b"connection: close") == 1


def test_a_disconnecting_client_is_not_an_error(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(port) as connection:
        connection.sendall(HEAD + b"Content-Length: 5000\r\n\r\nabc")
        time.sleep(0.1)
    wait_until(lambda: logged(caplog) == ["POST /emotion 499"])
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200


def test_a_client_that_disconnects_before_the_response(
    port: int, photo: bytes, detector: FakeDetector, caplog: pytest.LogCaptureFixture
) -> None:
    with detector.held():
        with connect(port) as connection:
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(photo) + photo)
            wait_until(lambda: detector.running == 1)
        wait_until(lambda: logged(caplog) == ["POST /emotion 499"])
    assert not [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")]


def test_a_hundred_at_once(port: int, photo: bytes) -> None:
    async def main() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(limits=limits, timeout=30) as client:
            address = f"http://127.0.0.1:{port}/emotion"
            return await asyncio.gather(
                *(client.post(address, files=[part(photo)]) for _ in range(100))
            )

    responses = asyncio.run(main())
    assert {(response.status_code, len(response.json())) for response in responses} == {(200, 2)}
    assert len({response.headers["x-request-id"] for response in responses}) == 100


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_lets_requests_finish(
    workers: int, number: signal.Signals, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with served(workers, f"until:{go}", deadline_s=120) as (process, address):
        responses: list[httpx.Response] = []

        def send() -> None:
            files = [part(encoded_image())]
            responses.append(httpx.post(f"{address}/emotion", files=files, timeout=20))

        senders = [threading.Thread(target=send) for _ in range(2)]
        with alongside(senders):
            try:
                wait_until_in_flight(address, 2)
                process.send_signal(number)
            finally:
                go.touch()
        assert [response.status_code for response in responses] == [200, 200]
        assert process.wait(60) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("workers", [1, 2])
def test_models_that_fail_when_run(workers: int) -> None:
    process = start(workers, "broken")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    # Each server process logs its own.
    assert 1 <= stderr.count("RuntimeError: broken") <= workers
    assert "http://" not in stderr


@posix
def test_serving_in_this_process(
    monkeypatch: pytest.MonkeyPatch, detector: FakeDetector, capsys: pytest.CaptureFixture[str]
) -> None:
    recognizer = Recognizer(detector=detector, model=FakeClassifier())
    monkeypatch.setitem(create_app.__kwdefaults__, "build", lambda: recognizer)
    before = signal.getsignal(signal.SIGTERM)

    def stop_when_warm() -> None:
        wait_until(lambda: len(detector.received) == 1)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop_when_warm)
    stopper.start()
    assert server_run.serve(Settings(port=0, processes=False)) == 0
    stopper.join()
    assert signal.getsignal(signal.SIGTERM) == before
    assert "http://127.0.0.1:" in capsys.readouterr().err

    detector.error = RuntimeError("broken")
    assert server_run.serve(Settings(port=0, host="::1", processes=False)) == 1
    assert "http://[::1]:" not in capsys.readouterr().err


@pytest.mark.parametrize(("exitcode", "status"), [(-15, 0), (3, 1)])
def test_workers(
    monkeypatch: pytest.MonkeyPatch, detector: FakeDetector, exitcode: int, status: int
) -> None:
    class Supervisor:
        def __init__(self, config: uvicorn.Config, **_: object) -> None:
            # What each worker is sent, and makes its application of.
            factory = pickle.loads(pickle.dumps(config)).app
            assert factory().state.service.settings.workers == 2
            assert config.timeout_worker_healthcheck >= 15
            self.processes = [SimpleNamespace(exitcode=0), SimpleNamespace(exitcode=exitcode)]

        def run(self) -> None:
            pass

    monkeypatch.setattr(server_run, "Supervisor", Supervisor)
    assert server_run.serve(Settings(port=0, workers=2)) == status


def test_a_full_disk_is_named_before_processes_are_killed_by_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server_run, "Supervisor", None)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**21 - 1))
    assert server_run.serve(Settings(port=0, workers=2)) == 1
    assert "no space for metrics" in capsys.readouterr().err


def test_the_application_is_notified_before_the_server() -> None:
    order = []
    before = signal.signal(signal.SIGTERM, lambda *_: order.append("server"))
    try:
        with on_shutdown(lambda: order.append("service")):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert order == ["service", "server", "server"]


@pytest.mark.parametrize("workers", [1, 2])
def test_responses_are_sent_immediately(workers: int) -> None:
    with served(workers, 0.0) as (_, address), httpx.Client(base_url=address) as client:
        took_s = []
        for _ in range(60):
            began = time.perf_counter()
            assert client.get("/livez").status_code == 200
            took_s.append(time.perf_counter() - began)
    # Nagle's algorithm together with delayed acknowledgements, which begin after a while, would
    # make all of them 40 ms; a busy machine, a few.
    assert sorted(took_s[20:])[10] < 0.03


def test_an_error_during_a_response_closes_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("broken")

    async def run() -> None:
        scope = {"type": "http", "method": "GET", "path": "/é\n", "headers": []}
        recording = partial(record, metrics=Metrics(), trace=None)
        await ContextMiddleware(broken, record=recording)(scope, None, AsyncMock())

    with pytest.raises(RuntimeError):
        asyncio.run(run())
    assert logged(caplog) == ["GET /%C3%A9%0A 200"]


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert server_run.serve(Settings(port=port)) == 1
    message = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1 port {port}: " in message
    assert message.count("\n") == 1


def test_an_address_of_another_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert server_run.serve(Settings(host="192.0.2.1", port=0)) == 1
    assert "cannot listen on 192.0.2.1" in capsys.readouterr().err


def test_an_invalid_host_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert server_run.serve(Settings(host="a" * 70, port=0)) == 1
    assert "aa port 0: not a host name" in capsys.readouterr().err


def test_wrong_models_and_detectors(tmp_path: Path) -> None:
    (file := tmp_path / "yunet.onnx").write_bytes(b"no graph")
    missing = tmp_path / "none.onnx"
    for wrong in ({"model": str(missing)}, {"detector_model": file}, {"detector": "none"}):
        assert server_run.serve(Settings(port=0, **wrong)) == 1
