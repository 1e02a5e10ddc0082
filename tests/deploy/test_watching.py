"""Dashboard and alerts on a real Prometheus that scrapes a real service."""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml

from http_fakes import encoded_image, wait_until
from http_process import served
from programs import free_port, needs

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS = DEPLOY / "prometheus-alerts.yaml"
EXPRESSIONS = [
    (panel["title"], target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]


def metrics_in(expression: str) -> set[str]:
    """Return the names in it that are no labels, functions or words of the language."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', " ", expression)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    return set(re.findall(r"\b[a-z_:][\w:]*\b(?!\s*\()", bare)) - {"or", "and", "unless", "bool"}


RULES = [
    rule["expr"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]
]
# What the dashboard can be narrowed down to: a metric and its label, as Grafana asks for them.
CHOICES = [
    re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()
    for variable in DASHBOARD["templating"]["list"]
    if variable["type"] == "query"
]
METRICS = set().union(*map(metrics_in, [*RULES, *(expression for _, expression in EXPRESSIONS)]))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that has watched a service with some traffic for some seconds."""
    program, folder, port = needs("prometheus"), tmp_path_factory.mktemp("prometheus"), free_port()
    with served(1, 0.0) as (_, service):
        config = {
            "global": {"scrape_interval": "250ms"},
            "scrape_configs": [
                {
                    "job_name": "mien",
                    "static_configs": [{"targets": [service.removeprefix("http://")]}],
                }
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        command = [
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        address = f"http://127.0.0.1:{port}"
        watching = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: ask(address, "up") == [1.0])
            # Each seen before the next comes: a rate needs a series to grow while it is watched.
            for pictures in (3.0, 6.0, 9.0):
                traffic(service)
                wait_until(lambda: ask(address, "mien_images_total") == [pictures])  # noqa: B023
            yield address
        finally:
            watching.terminate()
            watching.wait()


def traffic(service: str) -> None:
    image = {"image": encoded_image()}
    for path in ("/emotion", "/emotion/batch", "/emotion?crop=true", "/emotion?x=1"):
        httpx.post(service + path, files=image)


def ask(address: str, expression: str) -> list[float]:
    """Return the values of a query now; none while Prometheus is not there."""
    try:
        reply = httpx.get(f"{address}/api/v1/query", params={"query": expression})
    except httpx.TransportError:
        return []
    if reply.status_code == 503:  # It listens before it is ready, and says so in plain text.
        return []
    response = reply.json()
    assert response["status"] == "success", response
    return [float(result["value"][1]) for result in response["data"]["result"]]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_each_dashboard_query_returns_data(prometheus: str, title: str, expression: str) -> None:
    expression = expression.replace("$job", "mien").replace("$__rate_interval", "30s")
    assert "$" not in expression
    # Prometheus takes a rate from the second scrape on.
    wait_until(lambda: bool(ask(prometheus, expression)))
    assert not all(map(math.isnan, ask(prometheus, expression))), title


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_each_queried_metric_exists(prometheus: str, metric: str) -> None:
    """Of some, a query makes zero if they are not; an alert is silent."""
    assert ask(prometheus, metric)


@pytest.mark.parametrize(("metric", "label"), CHOICES)
def test_dashboard_variables_have_values(prometheus: str, metric: str, label: str) -> None:
    assert ask(prometheus, f'{metric}{{{label}!=""}}')


def test_dashboard_panels_are_complete() -> None:
    assert len(EXPRESSIONS) > 15
    assert CHOICES
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    right = [panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in DASHBOARD["panels"]]
    assert max(right) <= 24


def test_each_alert_fires_only_under_its_condition(tmp_path: Path) -> None:
    """As Prometheus's own tool for testing rules sees it."""
    requests = 'http_request_duration_seconds_count{job="mien", status="%s"}'
    rejections = 'mien_rejections_total{job="mien", reason="%s"}'
    bucket = 'http_request_duration_seconds_bucket{job="mien", route="/emotion", le="%s"}'
    calm = {
        'up{job="mien"}': "1x40",
        requests % 200: "0+600x40",
        requests % 500: "0x40",
        rejections % "queue_full": "0+6x40",
        rejections % "deadline_exceeded": "0x40",
        bucket % "0.1": "0+600x40",
        bucket % "5": "0+600x40",
        bucket % "+Inf": "0+600x40",
    }
    trouble = {
        "MienDown": {'up{job="mien"}': "1x4 0x40"},
        "MienErrors": {requests % 500: "0+12x40"},
        "MienQueueFull": {rejections % "queue_full": "0+60x40"},
        "MienSlow": {bucket % "0.1": "0+500x40"},
        "MienDeadlines": {rejections % "deadline_exceeded": "0+1x40"},
    }
    cases = [({}, None), *((series, name) for name, series in trouble.items())]
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values} for series, values in {**calm, **more}.items()
            ],
            # Every alert is asked for in every case, so that none rings for another's reason.
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
                    "eval_time": "30m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if name == ringing else [],
                }
                for name in trouble
            ],
        }
        for more, ringing in cases
    ]
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": tests}))
    done = subprocess.run(
        [needs("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in trouble:
        assert name in ALERTS.read_text()
    assert ALERTS.read_text().count("- alert:") == len(trouble)
