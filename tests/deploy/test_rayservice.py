"""The manifest for KubeRay, validated with the schemas of Kubernetes and Ray."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests import check_pod

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE = yaml.safe_load((DEPLOY / "rayservice.yaml").read_text())
CLUSTER = SERVICE["spec"]["rayClusterConfig"]
CONFIG = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])
GROUPS = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]


def test_manifest_matches_the_operators_schema() -> None:
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    assert SERVICE["spec"].keys() == {"serveConfigV2", "rayClusterConfig"}
    (workers,) = CLUSTER["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    assert CLUSTER["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("group", GROUPS)
def test_pod_templates_match_the_kubernetes_schema(group: dict[str, Any]) -> None:
    # Ray's parameters are words of a command line.
    assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    check_pod(group["template"]["spec"])


def test_all_pods_run_the_image_and_its_ray_version() -> None:
    images = {box["image"] for group in GROUPS for box in group["template"]["spec"]["containers"]}
    dockerfile = (DEPLOY / "Dockerfile.ray").read_text()
    (image,) = images
    assert f"--tag {image} " in dockerfile
    assert f"FROM rayproject/ray:{CLUSTER['rayVersion']}-py" in dockerfile


def test_ray_serve_accepts_the_config_and_replicas_fit() -> None:
    schema = pytest.importorskip("ray.serve.schema")
    (application,) = schema.ServeDeploySchema.model_validate(CONFIG).applications
    (workers,) = CLUSTER["workerGroupSpecs"]
    cores = int(workers["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert application.args["min_replicas"] <= cores * workers["minReplicas"]
    assert application.args["max_replicas"] <= cores * workers["maxReplicas"]


def test_application_accepts_its_arguments() -> None:
    serve = pytest.importorskip("mien.cluster.serve")
    (application,) = CONFIG["applications"]
    module, _, name = application["import_path"].partition(":")
    assert module == serve.__name__
    assert getattr(serve, name)(application["args"]) is not None
