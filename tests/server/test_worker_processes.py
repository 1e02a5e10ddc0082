"""The service and its worker processes under real kills and signals."""

import asyncio
import signal
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest
from starlette.testclient import TestClient

from http_fakes import FakeClassifier, FakeDetector, encoded_image, part, wait_until
from http_process import (
    alongside,
    seconds_until_exit,
    served,
    service_process,
    spawned_by,
    start,
    wait_until_in_flight,
    workers_of,
)
from mien.parent import HANGUPS
from mien.recognizer import Recognizer
from mien.server.app import create_app
from mien.settings import Settings
from programs import posix

pytestmark = posix

PHOTO = encoded_image()


class Clients:
    """Threads that each send one request."""

    def __init__(self, address: str, count: int) -> None:
        self.responses: list[httpx.Response] = []
        self._address = address
        self._threads = [threading.Thread(target=self._send) for _ in range(count)]

    def _send(self) -> None:
        try:
            response = httpx.post(f"{self._address}/emotion", files=[part(PHOTO)], timeout=30)
        except httpx.TransportError:
            return
        self.responses.append(response)

    def sending(self) -> AbstractContextManager[None]:
        return alongside(self._threads)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(response.status_code for response in self.responses)


def waiting(address: str) -> float:
    """Return the number of queued images."""
    lines = httpx.get(f"{address}/metrics").text.split("\n")
    return next(float(line.split()[1]) for line in lines if line.startswith("mien_queue_depth "))


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_killed_process_costs_the_service_one_request(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with served(1, f"until:{go}", processes=True, deadline_s=120) as (process, address):
        before = workers_of(process)
        assert len(before) == 2
        load = Clients(address, 6)
        with load.sending():
            try:
                # Each process analyzes one.
                wait_until(lambda: waiting(address) == 4)
                before[0].kill()
            finally:
                go.touch()
        assert load.statuses == {200: 5, 500: 1}
        (failed,) = (response for response in load.responses if response.status_code == 500)
        assert failed.json()["code"] == "internal_error"
        assert str(before[0].pid) not in failed.text
        assert process.poll() is None
        wait_until(lambda: len(workers_of(process)) == 2)
        after = workers_of(process)
        assert before[1] in after
        again = Clients(address, 4)
        with again.sending():
            pass
        assert again.statuses == {200: 4}
        process.terminate()
        assert process.wait(60) == 0
        log = process.stderr.read()
        assert f"worker process {before[0].pid} ended with status -9" in log
        assert f"process {before[0].pid} ended before its result" in log
        assert not [each for each in after if each.is_running()]


def test_a_full_queue_refuses_requests_and_loses_none(tmp_path: Path) -> None:
    go = tmp_path / "go"
    settings = {"threads": 2, "max_queue": 16, "deadline_s": 120}
    with served(1, f"until:{go}", processes=True, **settings) as (_, address):
        load = Clients(address, 40)
        with load.sending():
            try:
                wait_until(lambda: len(load.responses) == 22)
            finally:
                go.touch()
        assert load.statuses == {200: 18, 429: 22}
        for refused in load.responses[:22]:
            assert refused.json()["code"] == "queue_full"
            assert int(refused.headers["Retry-After"]) >= 1
        again = httpx.post(f"{address}/emotion", files=[part(PHOTO)], timeout=30)
        assert again.status_code == 200


def test_an_expired_image_frees_its_process() -> None:
    with served(1, "endless", processes=True, threads=1, deadline_s=1.0) as (process, address):
        before = workers_of(process)
        late = httpx.post(f"{address}/emotion", files=[part(PHOTO)], timeout=30)
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        # No face is looked for in it: that is what is endless.
        crop = f"{address}/emotion?crop=true"
        wait_until(lambda: httpx.post(crop, files=[part(PHOTO)], timeout=30).status_code == 200)
        assert workers_of(process) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, *HANGUPS])
@pytest.mark.parametrize("workers", [1, 2])
def test_signals_to_all_processes_lose_no_response(
    workers: int, number: int, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    settings = {"threads": 1, "deadline_s": 120}
    with served(workers, f"until:{go}", processes=True, **settings) as (process, address):
        family = psutil.Process(process.pid).children(recursive=True)
        load = Clients(address, 2)
        with load.sending():
            try:
                wait_until_in_flight(address, 2)
                # As systemd does, and a terminal.
                for each in [psutil.Process(process.pid), *family]:
                    each.send_signal(number)
            finally:
                go.touch()
        assert load.statuses == {200: 2}
        assert process.wait(60) == 0
        wait_until(lambda: all(map(is_over, family)))


def test_stopping_during_startup_exits_cleanly() -> None:
    process = start(1, "0.5", processes=True)
    try:
        wait_until(lambda: len(workers_of(process)) == 2)
        family = psutil.Process(process.pid).children(recursive=True)
        for each in [psutil.Process(process.pid), *family]:
            each.send_signal(signal.SIGINT)
        message = process.communicate(timeout=60)[1]
        assert "Traceback" not in message
        assert process.returncode == 0
        wait_until(lambda: all(map(is_over, family)))
    finally:
        process.kill()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_leaves_no_process(workers: int) -> None:
    settings = {"threads": 1, "drain_s": 1.0}
    with served(workers, "deaf", processes=True, **settings) as (process, address):
        family = psutil.Process(process.pid).children(recursive=True)
        with Clients(address, 1).sending():
            wait_until_in_flight(address, 1)
            for _ in range(3):
                process.send_signal(signal.SIGINT)
                time.sleep(0.2)
            assert seconds_until_exit(process) < 10
            wait_until(lambda: all(map(is_over, family)))


@pytest.mark.parametrize("wait", [0.0, "deaf"])
def test_no_process_outlives_a_killed_service(wait: float | str) -> None:
    with served(1, wait, processes=True) as (process, address):
        family = workers_of(process)
        with Clients(address, 1).sending():
            if wait:
                wait_until_in_flight(address, 1)
            process.kill()
            wait_until(lambda: all(map(is_over, family)), 10)


def test_no_process_outlives_a_killed_worker() -> None:
    with served(2, 0.0, processes=True, threads=1) as (process, _):
        first, second = workers_of(process)
        orphans, others = spawned_by(first.pid), spawned_by(second.pid)
        assert len(orphans) == len(others) == 1
        first.kill()
        wait_until(lambda: is_over(orphans[0]))
        assert others[0].is_running()


def test_without_processes_images_are_analyzed_in_threads() -> None:
    with served(1, 0.0, processes=False) as (process, address):
        assert httpx.post(f"{address}/emotion", files=[part(PHOTO)]).status_code == 200
        assert not workers_of(process)


@pytest.mark.parametrize(("value", "count"), [("false", 0), ("true", 1)])
def test_the_setting_is_read_from_the_environment(value: str, count: int) -> None:
    with service_process(MIEN_PROCESSES=value, MIEN_THREADS="1") as (process, address):
        (face, *_) = httpx.post(
            f"{address}/emotion?crop=true", files=[part(PHOTO)], timeout=30
        ).json()
        assert face["emotion"]
        assert len(workers_of(process)) == count
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux lists loaded libraries")
def test_each_process_loads_only_the_libraries_that_it_needs() -> None:
    def has(process_id: int, library: str) -> bool:
        return library in Path(f"/proc/{process_id}/maps").read_text()

    with service_process(MIEN_THREADS="1") as (process, address):
        url = f"{address}/emotion?include=quality"
        assert httpx.post(url, files=[part(PHOTO)], timeout=30).status_code == 200
        (worker,) = workers_of(process)
        assert has(process.pid, "pydantic_core")
        assert not has(process.pid, "onnxruntime")
        assert has(worker.pid, "onnxruntime")
        assert not has(worker.pid, "pydantic_core")


def with_fakes() -> Recognizer:
    return Recognizer(detector=FakeDetector(), model=FakeClassifier())


def test_processes_use_the_configured_pipeline() -> None:
    app = create_app(Settings(threads=1), build=with_fakes)
    with TestClient(app) as client:
        faces = client.post("/emotion", files=[part(PHOTO)]).json()
    assert [face["bounding_box"] for face in faces] == [[5, 5, 40, 40], [55, 5, 30, 30]]


def build_when_told(go: Path) -> Recognizer:
    wait_until(go.exists)
    return with_fakes()


def test_it_is_not_ready_before_its_workers_are(tmp_path: Path) -> None:
    go = tmp_path / "go"
    app = create_app(Settings(threads=1), build=partial(build_when_told, go))
    service = app.state.service

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            starting = asyncio.ensure_future(service.start())
            try:
                while not service.pool.process_ids:
                    await asyncio.sleep(0.01)
                assert (await client.get("/readyz")).status_code == 503
            finally:
                go.touch()
            await starting
            assert (await client.get("/readyz")).status_code == 200
            await service.close()

    asyncio.run(main())
