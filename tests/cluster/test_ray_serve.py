"""The service with its models on a real Ray Serve: too much at once, deaths and departures."""

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import httpx2 as httpx
import psutil
from PIL import Image

from http_fakes import wait_until
from rays import running
from samples import encode

CALLERS = 6


def post(service: str, path: str = "/emotion", **body: object) -> httpx.Response:
    return httpx.post(service + path, timeout=30, **body)


def replicas() -> list[psutil.Process]:
    named = psutil.process_iter(["cmdline"])
    return [p for p in named if "ServeReplica:mien" in " ".join(p.info["cmdline"] or [])]


def test_faces(service: str, face_photo: bytes) -> None:
    responses = [
        post(service, files={"image": face_photo}),
        post(service, content=face_photo, headers={"Content-Type": "image/jpeg"}),
    ]
    for response in responses:
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
        (face,) = response.json()
        assert face["emotion"] == "happy"
        assert set(face) == {"bounding_box", "emotion", "confidence"}
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "decode;dur=" in response.headers["Server-Timing"]
    named = post(service, files={"image": face_photo}, headers={"X-Request-ID": "mine"})
    assert named.headers.get_list("X-Request-ID") == ["mine"]


def test_excess_requests_are_refused_as_queue_full(service: str, face_photo: bytes) -> None:
    """The service's own words, not those of a proxy in front of it."""
    with ThreadPoolExecutor(60) as pool:
        slow = {"files": {"image": face_photo}}
        responses = list(
            pool.map(lambda _: post(service, "/emotion?min_face_size=12", **slow), range(60))
        )
    assert {response.status_code for response in responses} == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.json()["code"] == "queue_full"
    assert int(refused.headers["Retry-After"]) >= 1


def test_a_replica_is_killed_under_load(service: str, face_photo: bytes) -> None:
    """Only those lose who were being answered by it."""
    over = threading.Event()
    exchanges: list[tuple[float, float, int]] = []

    def call() -> None:
        while not over.is_set():
            began = time.monotonic()
            status = post(service, files={"image": face_photo}).status_code
            exchanges.append((began, time.monotonic(), status))

    before = replicas()
    with ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(call) for _ in range(CALLERS)]
        wait_until(lambda: len(exchanges) > 30)
        before[0].kill()
        killed = time.monotonic()
        wait_until(lambda: set(replicas()) - set(before) != set())
        wait_until(lambda: exchanges[-1][0] > killed + 5)
        over.set()
    for done in calls:
        done.result()
    failed = [(began, status) for began, _, status in exchanges if status != HTTPStatus.OK]
    assert len(failed) <= CALLERS
    assert all(began <= killed for began, _ in failed), [began - killed for began, _ in failed]
    assert len([began for began, *_ in exchanges if began > killed]) > 30


def test_requests_in_progress_finish_at_shutdown(astronaut: object) -> None:
    large = encode(Image.fromarray(astronaut).resize((5000, 5000)), "JPEG")
    with running("serving.py", "1", "{}") as service, ThreadPoolExecutor(3) as pool:
        path, files = "/emotion?min_face_size=12", {"image": large}
        responses = [pool.submit(post, service["address"], path, files=files) for _ in range(3)]
        time.sleep(0.3)
        assert not any(response.done() for response in responses)
        service["process"].stdin.write("\n")
        service["process"].stdin.flush()
        assert [response.result().status_code for response in responses] == [200] * 3
        own = psutil.Process(service["process"].pid).children(recursive=True)
        wait_until(lambda: not set(own) & set(replicas()))


def test_the_health_check_runs_the_models() -> None:
    command = [sys.executable, "-c", UNHEALTHY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "fine, fine, broken"


UNHEALTHY = """
import asyncio
from mien.cluster.serve import Replica
from mien.recognizer import Recognizer
from mien.settings import Settings

class Breakable:
    broken = False

    def detect(self, *_, **__):
        if self.broken:
            raise RuntimeError("the model is broken")
        return ()

recognizer = Recognizer(detector=Breakable())
settings = Settings(processes=False, threads=1)
replica = Replica.func_or_class.__new__(Replica.func_or_class)
Replica.func_or_class.__bases__[0].__init__(replica, settings, lambda: recognizer)
replica.__serve_build_asgi_app__()
found = []

async def check():
    try:
        await replica.check_health()
        found.append("fine")
    except Exception:
        found.append("broken")

async def main():
    await check()
    await replica._service.start()
    await check()
    Breakable.broken = True
    await check()
    await replica._service.close()

asyncio.run(main())
print(", ".join(found))
"""


def test_invalid_settings_fail_at_deployment() -> None:
    code = f"""
from mien.cluster.serve import app
from mien.errors import InvalidParameterError
for arguments in {[arguments for arguments, _ in WRONG]}:
    try:
        app(arguments)
    except InvalidParameterError as error:
        print(error)
app({{"max_pixels": "1000", "docs": False, "max_replicas": "2"}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line, (_, named) in zip(done.stdout.splitlines(), WRONG, strict=True):
        assert named in line


WRONG = [
    ({"max_pixel": 1}, "MIEN_MAX_PIXELS"),
    ({"max_pixels": 0}, "MIEN_MAX_PIXELS"),
    ({"max_pixels": "many"}, "MIEN_MAX_PIXELS"),
    ({"max_replicas": "many"}, "max_replicas"),
    ({"max_replicas": 2, "min_replicas": 3}, "min_replicas"),
]
