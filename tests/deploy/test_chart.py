"""The chart, rendered by Helm and validated with Kubernetes' schemas."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import OLDEST, Object, check_pod, check_valid, objects
from mien import __version__
from mien.settings import Settings, load_settings

helm = pytest.importorskip("helm_python", reason="Helm's library has no wheel for this machine")

CHART = Path(__file__).parents[2] / "deploy" / "chart"
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
HASH = "0f" * 32
MONITORED = {"monitoring": {"enabled": True, "labels": {"release": "prometheus"}}}
KEYS = {"apiKeys": {"hashes": [HASH, f"{'1e' * 32} the shop"]}}
REDIS = {
    "settings": {"rate_limit": "60/minute", "rate_limit_storage": "redis://redis:6379"},
    "networkPolicy": {"egress": [{"ports": [{"port": 6379}]}]},
}
EVERYTHING = {
    **MONITORED,
    **KEYS,
    **REDIS,
    "image": {"repository": "registry.example/mien", "tag": "1", "pullSecrets": [{"name": "pull"}]},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "faces", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "podAnnotations": {"example.org/team": "faces"},
}
# What Kubernetes's own schemas know; the operator's kinds are checked field by field below.
THEIRS = {"ServiceMonitor"}


def rendered(values: Object | None = None, name: str = "demo") -> dict[str, Object]:
    """Return the chart's objects by their kind; each kind is there once."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=name, namespace="faces")
    found = [item for file, text in files.items() if "NOTES" not in file for item in objects(text)]
    kinds = {item["kind"]: item for item in found}
    assert len(kinds) == len(found)
    return kinds


def container(kinds: dict[str, Object]) -> Any:
    (only,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


def environment(values: Object | None = None) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container(rendered(values))["env"]}


def test_helm_lint_passes() -> None:
    report = helm.lint(CHART, EVERYTHING, strict=True)
    assert report["errors"] == []
    assert [found["error"] for found in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("values", [{}, MONITORED, KEYS, REDIS, EVERYTHING])
@pytest.mark.parametrize("name", ["demo", "mien", "x" * 53])
def test_kubernetes_schemas_accept_all_resources(values: Object, name: str) -> None:
    kinds = rendered(values, name)
    for kind, found in kinds.items():
        assert len(found["metadata"]["name"]) <= (63 if kind == "Service" else 253)
        if kind not in THEIRS:
            check_valid(found)
    check_pod(kinds["Deployment"]["spec"]["template"]["spec"])


def test_chart_creates_only_the_default_resources() -> None:
    least = {
        *("Deployment", "HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget"),
        "Service",
    }
    assert rendered().keys() == least
    assert rendered(EVERYTHING).keys() == {*least, "Secret", "ServiceMonitor"}
    assert rendered({"networkPolicy": {"enabled": False}}).keys() == least - {"NetworkPolicy"}


def test_all_selectors_match_the_pods() -> None:
    kinds = rendered(MONITORED)
    pod = kinds["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    for selector in (
        kinds["Deployment"]["spec"]["selector"]["matchLabels"],
        kinds["Service"]["spec"]["selector"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        kinds["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        spread["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
        assert "app.kubernetes.io/instance" in selector
    scaled = kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == (
        "Deployment",
        kinds["Deployment"]["metadata"]["name"],
    )


def test_prometheus_job_matches_the_dashboard() -> None:
    kinds = rendered(MONITORED)
    monitor, service = kinds["ServiceMonitor"], kinds["Service"]
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert endpoint == {"port": port["name"], "path": "/metrics", "interval": "15s"}
    assert labels[monitor["spec"]["jobLabel"]] == "mien"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"


def test_root_filesystem_is_read_only_with_a_memory_volume() -> None:
    kinds = rendered(KEYS)
    only = container(kinds)
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    writable = [mount for mount in only["volumeMounts"] if not mount.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    assert spec["volumes"][0]["emptyDir"]["medium"] == "Memory"
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


def test_probes_use_existing_endpoints() -> None:
    only = container(rendered())
    probes = {
        kind: only[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")
    }
    assert {kind: get["path"] for kind, get in probes.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    (port,) = only["ports"]
    assert {get["port"] for get in probes.values()} == {port["name"]}
    assert port["containerPort"] == Settings().port


def test_autoscaler_uses_queue_metric_if_available() -> None:
    def metrics(values: Object) -> list[str]:
        found = rendered(values)["HorizontalPodAutoscaler"]["spec"]["metrics"]
        return [item["type"] for item in found]

    assert metrics({}) == ["Resource"]
    assert metrics(MONITORED) == ["Resource", "Pods"]
    pods = rendered(MONITORED)["HorizontalPodAutoscaler"]["spec"]["metrics"][1]["pods"]
    adapter = yaml.safe_load((CHART.parent / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["seriesQuery"].startswith(pods["metric"]["name"] + "{")


def test_secret_holds_key_hashes_that_the_service_reads() -> None:
    kinds = rendered(KEYS)
    (listed,) = kinds["Secret"]["stringData"].values()
    assert listed.split("\n")[:2] == KEYS["apiKeys"]["hashes"]
    volume = kinds["Deployment"]["spec"]["template"]["spec"]["volumes"][1]["secret"]
    assert volume["secretName"] == kinds["Secret"]["metadata"]["name"]
    (file,) = volume["items"]
    assert environment(KEYS)["MIEN_API_KEYS_FILE"] == f"/etc/mien/{file['path']}"
    assert "MIEN_API_KEYS_FILE" not in environment()


def test_existing_secret_replaces_the_charts_secret() -> None:
    kinds = rendered({"apiKeys": {"existingSecret": "theirs"}})
    assert "Secret" not in kinds
    volume = kinds["Deployment"]["spec"]["template"]["spec"]["volumes"][1]["secret"]
    assert volume["secretName"] == "theirs"


def test_changed_keys_restart_the_pods() -> None:
    def annotations(values: Object) -> Object:
        found = rendered(values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
        assert isinstance(found, dict)
        return found

    assert annotations(KEYS) == annotations(KEYS) != annotations({"apiKeys": {"hashes": [HASH]}})


def test_settings_are_valid_for_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"max_pixels": 50_000_000, "deadline_s": 2.5, "page": False, "providers": "cpu"}
    for name, value in environment({"settings": given}).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.max_pixels, settings.deadline_s, settings.page) == (50_000_000, 2.5, False)
    assert settings.stop_delay_s == DEFAULTS["settings"]["stop_delay_s"]


def test_termination_grace_period_covers_the_drain_time() -> None:
    spec = rendered({"settings": {"drain_s": 60.5}})["Deployment"]["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 71


def test_network_policy_denies_egress_by_default() -> None:
    assert rendered()["NetworkPolicy"]["spec"]["egress"] == []
    rules = rendered(REDIS)["NetworkPolicy"]["spec"]["egress"]
    assert [port["port"] for rule in rules for port in rule["ports"]] == [53, 53, 6379]
    with pytest.raises(helm.HelmRenderError, match="egress"):
        rendered({"settings": REDIS["settings"]})


@pytest.mark.parametrize(
    "values",
    [
        {"settings": {"port": 80}},
        {"settings": {"api_keys": HASH}},
        {"settings": {"drain_s": 0}},
        {"settings": {"max_queue": None, "stop_delay_s": None}},
        {"apiKeys": {"hashes": ["mien_the-key-itself"]}},
        {"replicas": 3},
        {"image": {"repository": ""}},
        {"autoscaling": {"minReplicas": 0}},
    ],
)
def test_invalid_values_are_refused(values: Object) -> None:
    with pytest.raises(helm.HelmError):
        rendered(values)


def test_every_value_has_a_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert schema["properties"].keys() - {"global"} == DEFAULTS.keys()


def test_chart_versions_match_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__
    assert chart["kubeVersion"].startswith(f">={OLDEST}.")
    assert container(rendered())["image"] == f"mien:{__version__}"


def test_notes_describe_access() -> None:
    def notes(values: Object) -> str:
        with helm.Chart.load(CHART) as chart:
            return str(chart.render(values, name="demo")["mien/templates/NOTES.txt"])

    assert "API keys" in notes({})
    assert "API keys" not in notes(KEYS)
