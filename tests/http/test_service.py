import json
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from service import Classifier, Detector, assert_problem, form, stub_pipeline

from mien.config import Settings
from mien.errors import ArtifactError
from mien.http.app import create_app
from mien.pipeline import Pipeline

SNAPSHOT = Path(__file__).with_name("openapi.json")


def test_alive_ready_and_version(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    version = client.get("/version").json()
    assert version["name"] == "mien"
    assert {"mtcnn", "emotion-lite0"} <= set(version["models"])


def test_not_ready_before_the_start_and_while_draining(photo: bytes) -> None:
    app = create_app(Settings(), build=stub_pipeline)
    with TestClient(app) as client:
        workers = app.state.workers
        workers.is_ready = False
        for answer in (client.get("/readyz"), client.post("/emotion", files=form(photo))):
            assert_problem(answer, 503, "not_ready")
            assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/livez").status_code == 200


def test_a_wrong_model_stops_the_start() -> None:
    def fail(_settings: Settings) -> Pipeline:
        raise ArtifactError("altered")

    with pytest.raises(ArtifactError), TestClient(create_app(Settings(), build=fail)):
        pass


def test_the_root_leads_to_the_docs(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.is_redirect
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "POST /emotion" in page.text
    assert "min_face_size" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace("http://127.0.0.1:9000", "")


def test_the_schema_is_as_agreed(client: TestClient) -> None:
    """After a wanted change: python tests/http/test_service.py"""
    assert client.get("/openapi.json").json() == json.loads(SNAPSHOT.read_text())


class Gate(Detector):
    """Holds every picture until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.waiting = threading.Semaphore(0)

    def detect(self, image, *, min_face_size=None):
        if image.width != 160:  # the warm-up's blank
            self.waiting.release()
            self.opened.wait(10)
        return super().detect(image, min_face_size=min_face_size)


def post_together(client: TestClient, photo: bytes, gate: Gate, held: int, more: int) -> list:
    """Send ``held`` requests that are begun, then ``more``; open the gate; return all answers."""
    answers = []

    def post() -> None:
        answers.append(client.post("/emotion", files=form(photo)))

    threads = [threading.Thread(target=post) for _ in range(held + more)]
    for thread in threads[:held]:
        thread.start()
        assert gate.waiting.acquire(timeout=10)
    for thread in threads[held:]:
        thread.start()
    while (
        sum(thread.is_alive() for thread in threads) > held + client.app.state.settings.max_waiting
    ):
        pass
    gate.opened.set()
    for thread in threads:
        thread.join(10)
    return answers


def test_beyond_the_queue_is_refused_at_once(start, photo: bytes) -> None:
    gate = Gate()
    client = start(build=lambda _: Pipeline(gate, Classifier()), threads=1, max_waiting=2)
    answers = post_together(client, photo, gate, held=1, more=6)
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 3 + [429] * 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert_problem(refused, 429, "queue_full")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.post("/emotion", files=form(photo)).status_code == 200, "and it goes on"


def test_a_batch_is_admitted_whole_or_not(start, photo: bytes) -> None:
    client = start(threads=1, max_waiting=2)
    assert_problem(client.post("/emotion/batch", files=form(*[photo] * 4)), 429, "queue_full")
    assert client.post("/emotion/batch", files=form(*[photo] * 3)).status_code == 200


def test_a_late_answer_is_not_begun(start, photo: bytes) -> None:
    client = start(deadline_s=1e-9)
    assert_problem(client.post("/emotion", files=form(photo)), 504, "deadline_exceeded")
    entries = client.post("/emotion/batch", files=form(photo)).json()
    assert entries[0]["error"]["code"] == "deadline_exceeded"


def test_a_failure_in_a_batch_fails_the_request(start, photo: bytes) -> None:
    class Foreign(Classifier):
        def predict(self, crops):
            if crops.mean() > 0.1:  # not the warm-up's blank
                raise ArtifactError("the graph is not what its card says")
            return super().predict(crops)

    client = start(build=lambda _: Pipeline(Detector(), Foreign()))
    assert_problem(client.post("/emotion/batch", files=form(photo)), 500, "internal_error")
    assert_problem(client.post("/emotion", files=form(photo)), 500, "internal_error")


if __name__ == "__main__":
    schema = create_app(Settings(), build=stub_pipeline).openapi()
    SNAPSHOT.write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
