"""Kubernetes objects as tests need them: read, and held to Kubernetes's own published schemas."""

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import yaml

__all__ = ["OLDEST", "Object", "check_pod", "check_valid", "objects"]

Object = dict[str, Any]

# The oldest version that the chart takes, whose schema the oldest API server holds it to.
OLDEST = "1.27"


def objects(text: str) -> Iterator[Object]:
    """Yield the non-empty documents of a YAML text."""
    yield from filter(None, yaml.safe_load_all(text))


def check_valid(found: Object) -> None:
    """Fail unless the oldest and the newest version take it, with no field that they don't know."""
    for version in (OLDEST, kubernetes_validate.latest_version()):
        kubernetes_validate.validate(found, version, strict=True)


def check_pod(spec: Object) -> None:
    """Fail unless it is a pod's specification that Kubernetes's restricted standard lets pass.

    Source: Kubernetes, "Pod Security Standards", Restricted.
    """
    check_valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": spec})
    pod = spec["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        resources = container["resources"]
        assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}
