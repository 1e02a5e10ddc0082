"""The compose file and the configuration of its services."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from limits import parse_many

from mien.settings import load_settings
from programs import needs

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: Mapping[str, Any] = FILE["services"]
CONFIGS: Mapping[str, Any] = FILE["configs"]


class NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def test_compose_file_matches_the_schema() -> None:
    # Written out, since this parser knows nothing of YAML's merging.
    PyCompose.from_yaml(yaml.dump(FILE, Dumper=NoAliases)).validate()


def test_compose_parser_rejects_unknown_keys() -> None:
    wrong = FILE | {"services": {"mien": {**SERVICES["mien"], "read_onyl": True}}}
    with pytest.raises(ValueError, match="read_onyl"):
        PyCompose.from_yaml(yaml.dump(wrong, Dumper=NoAliases))


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_confined_and_bound_to_localhost(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    # A version, so that what was tried is what runs; ours is built.
    assert ":" in service["image"] or "build" in service


def test_settings_are_valid_for_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        name: value.removesuffix("}").partition(":-")[2] if value.startswith("$") else value
        for name, value in SERVICES["mien"]["environment"].items()
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert parse_many(settings.rate_limit or "")
    assert settings.rate_limit_storage is not None
    assert settings.rate_limit_storage.get_secret_value() == "redis://redis:6379"
    assert settings.api_keys is None
    assert int(SERVICES["mien"]["stop_grace_period"].removesuffix("s")) > settings.drain_s
    assert SERVICES["mien"]["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]


def test_mounted_files_exist() -> None:
    assert (DEPLOY / SERVICES["mien"]["build"] / "Dockerfile").is_file()
    for config in CONFIGS.values():
        assert "content" in config or (DEPLOY / config["file"]).is_file()
    for service in SERVICES.values():
        assert {config["source"] for config in service.get("configs", [])} <= CONFIGS.keys()


def test_prometheus_accepts_its_configuration_and_alerts(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(CONFIGS["prometheus"]["content"])
    alerts = (DEPLOY / CONFIGS["alerts"]["file"]).read_text()
    (tmp_path / "alerts.yaml").write_text(alerts)
    done = subprocess.run(
        [needs("promtool"), "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = yaml.safe_load(CONFIGS["prometheus"]["content"])["scrape_configs"]
    # The alerts and the dashboard are for a job of this name.
    assert job["job_name"] == "mien"


def test_grafana_provisions_the_dashboard() -> None:
    (source,) = yaml.safe_load(CONFIGS["datasource"]["content"])["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load(CONFIGS["provider"]["content"])["providers"]
    targets = {config["source"]: config["target"] for config in SERVICES["grafana"]["configs"]}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert targets["dashboard"] == home
    assert Path(home).parent == Path(provider["options"]["path"])
    assert json.loads((DEPLOY / CONFIGS["dashboard"]["file"]).read_text())["uid"] == "mien"
