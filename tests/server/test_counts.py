"""Metrics, and their sums over all processes."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from http_fakes import FakeDetector, encoded_image, fake_app, part, wait_until
from http_process import served, workers_of
from mien.server.errors import PROBLEMS


class Counts:
    """Values of ``/metrics`` by name and labels."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def total(self, name: str, **labels: str) -> float:
        found = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found)


def ask(client: TestClient | httpx.Client) -> Counts:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return Counts(response.text)


def test_requests_images_and_faces_are_counted(client: TestClient, photo: bytes) -> None:
    client.post("/emotion", files=[part(photo)])
    client.post("/emotion", content=encoded_image(60, 60), headers={"Content-Type": "image/jpeg"})
    client.post("/emotion/batch", files=[part(photo), part(b"x"), part(photo)])
    counts = ask(client)
    seen = {"method": "POST", "status": "200"}
    assert counts.total("http_request_duration_seconds_count", route="/emotion", **seen) == 2
    assert counts.total("http_request_duration_seconds_count", route="/emotion/batch", **seen) == 1
    assert counts.total("mien_images_total") == 4
    assert counts.total("mien_faces_found_total") == 6
    assert counts.total("mien_batch_size_sum") == 6
    assert counts.total("mien_queue_wait_seconds_count") == 5
    for stage in ("decode", "detect", "classify"):
        assert counts.total("mien_stage_duration_seconds_count", stage=stage) == 4
        assert counts.total("mien_stage_duration_seconds_sum", stage=stage) > 0
    assert counts.total("mien_rejections_total", reason="not_an_image") == 1
    assert counts.total("mien_model_info", detector="yunet", model="custom") == 1
    assert counts.total("mien_queue_capacity") == 64
    assert counts.total("process_resident_memory_bytes") > 1e6


def test_rejections_by_reason(client: TestClient, photo: bytes) -> None:
    client.post("/emotion", content=photo, headers={"Content-Encoding": "gzip"})
    client.post("/emotion?x=1", files=[part(photo)])
    client.post("/emotion", files=[part(photo), part(photo)])
    client.get("/nowhere")
    client.request("BREW", "/emotion")
    counts = ask(client)
    for code in PROBLEMS:
        expected = code in {
            "unsupported_media_type",
            "invalid_parameter",
            "too_many_images",
            "not_found",
            "method_not_allowed",
        }
        assert counts.total("mien_rejections_total", reason=code) == expected, code


def test_clients_cannot_create_labels(client: TestClient) -> None:
    for number in range(20):
        client.request(f"METHOD{number}", f"/emotion/{number}")
        client.get(f"/{number}")
    names = [sample.labels for sample in ask(client).samples if "route" in sample.labels]
    assert {(labels["method"], labels["route"]) for labels in names} == {
        ("other", "other"),
        ("GET", "other"),
    }


def test_gauges_show_current_activity(photo: bytes) -> None:
    detector = FakeDetector()
    app, _ = fake_app(detector, threads=1)
    with TestClient(app) as client:
        before = ask(client)
        batch = {"files": [part(photo)] * 3}
        with ThreadPoolExecutor(1) as pool:
            with detector.held():
                pending = pool.submit(client.post, "/emotion/batch", **batch)
                wait_until(lambda: detector.running == 1)
                during = ask(client)
            assert pending.result().status_code == 200
        after = ask(client)
    bodies = [counts.total("mien_pending_bytes") for counts in (before, during, after)]
    assert bodies[0] == bodies[2] == 0
    assert bodies[1] > 3 * len(photo)
    depths = [counts.total("mien_queue_depth") for counts in (before, during, after)]
    assert depths == [0, 2, 0]
    flights = [counts.total("http_requests_in_flight") for counts in (before, during, after)]
    assert flights == [1, 2, 1], "the one that asks is among them"


def test_metrics_can_be_switched_off() -> None:
    with TestClient(fake_app(metrics=False)[0]) as client:
        assert client.get("/metrics").json()["code"] == "not_found"


def test_openmetrics_format_on_request(client: TestClient) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize("version", ["a.b", '"1.0.0"'])
def test_odd_versions_get_the_usual_format(client: TestClient, version: str) -> None:
    accept = f"application/openmetrics-text; version={version}"
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    assert "mien_images_total" in response.text


def test_every_worker_reports_all_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(2, 0.02) as (process, address):
        fresh = {"Connection": "close"}

        def counts() -> Counts:
            return Counts(httpx.get(f"{address}/metrics", headers=fresh, timeout=20).text)

        def post() -> int:
            image = {"image": encoded_image()}
            return httpx.post(f"{address}/emotion", files=image, headers=fresh).status_code

        assert {post() for _ in range(20)} == {200}
        for _ in range(8):
            assert counts().total("mien_images_total") == 20
            assert counts().total("mien_queue_capacity") == 128
            assert counts().total("mien_model_info") == 1

        before = workers_of(process)
        before[0].kill()
        wait_until(lambda: len(workers_of(process)) == 2 and before[0] not in workers_of(process))
        # What the dead one had counted still counts; what it was doing does not.
        wait_until(lambda: counts().total("mien_queue_capacity") == 128)
        assert counts().total("mien_images_total") == 20
        assert post() == 200
        wait_until(lambda: counts().total("mien_images_total") == 21)
        assert [path.name for path in tmp_path.iterdir() if "mien-metrics" in path.name]
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_names_follow_prometheus_conventions(client: TestClient) -> None:
    for sample in ask(client).samples:
        assert re.fullmatch(r"(http|mien|process|python)_[a-z_]+", sample.name)
