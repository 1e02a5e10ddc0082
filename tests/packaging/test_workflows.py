"""GitHub workflows: valid, safe, and each step is a Makefile target."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tools.code_blocks import ROOT
from tools.release_check import promised_pythons

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(set(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"})
MAKEFILE = (ROOT / "Makefile").read_text()
# What make can't do: install itself, and what only GitHub's own client does.
NOT_MADE = {"apt-get", "gh"}


def loaded(path: Path) -> dict[str, Any]:
    # YAML takes "on" for a boolean.
    return {str(key): value for key, value in yaml.safe_load(path.read_text()).items()}


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in loaded(path)["jobs"].items():
            yield f"{path.name}: {name}", job


def test_workflows_exist() -> None:
    assert WORKFLOWS
    assert FORMS


@pytest.mark.parametrize(
    ("schema", "paths"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("custom.github-workflows-require-timeout", WORKFLOWS),
        ("vendor.github-issue-forms", FORMS),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_workflows_match_the_schema(schema: str, paths: list[Path]) -> None:
    assert checked(schema, *paths) == ""


def test_schema_rejects_invalid_workflows(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-at:"))
    assert "runs-at" in checked("vendor.github-workflows", broken)


def checked(schema: str, *paths: Path) -> str:
    """Return the schema's errors for the files."""
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        schema,
        *map(str, paths),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode else ""


def test_workflows_pass_the_security_linter() -> None:
    zizmor = shutil.which("zizmor", path=Path(sys.executable).parent)
    assert zizmor is not None
    done = subprocess.run(
        [zizmor, "--offline", "--quiet", "--no-progress", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_step_runs_a_makefile_target() -> None:
    made = set()
    for name, job in jobs():
        for step in job["steps"]:
            command = step.get("run", "make").removeprefix("sudo ").split()
            assert command[0] in {"make", *NOT_MADE}, name
            made |= set(command[1:]) if command[0] == "make" else set()
    assert {"test-all", "docs", "release-check", "container-check"} <= made
    for target in made:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_python_versions_match_the_package() -> None:
    promised = promised_pythons()
    matrix = loaded(GITHUB / "workflows/test.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == promised
    steps = loaded(GITHUB / "workflows/release.yml")["jobs"]["build"]["steps"]
    (tried,) = [s["with"]["python-version"] for s in steps if "setup-python" in s.get("uses", "")]
    assert tried.split() == promised
    lowest = re.search(r'^requires-python = ">=(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert lowest is not None
    assert lowest[1] == promised[0]


def test_permissions_are_minimal_and_only_tags_publish() -> None:
    for path in WORKFLOWS:
        workflow = loaded(path)
        assert workflow["permissions"] == {"contents": "read"}
        assert "concurrency" in workflow
    conditions = dict(jobs())
    writes = {
        name
        for name, job in conditions.items()
        if any(right == "write" for right in job.get("permissions", {}).values())
    }
    assert writes == {
        "container.yml: push",
        "docs.yml: deploy",
        "release.yml: announce",
        "release.yml: attest",
        "release.yml: publish",
    }
    tag = "github.ref_type == 'tag'"
    assert conditions["container.yml: push"]["if"] == tag
    assert conditions["release.yml: attest"]["if"] == tag
    # The others wait for it, and are left out with it.
    assert conditions["release.yml: publish"]["needs"] == "attest"
    assert conditions["release.yml: announce"]["needs"] == "publish"


def test_programs_are_found_on_windows() -> None:
    assert "_ENV)/bin/" not in MAKEFILE


def test_make_alone_lists_every_target_for_users() -> None:
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    names = re.findall(r"^make ([\w-]+) {2,}\S.+$", listed, re.MULTILINE)
    assert len(names) == len(listed.splitlines())
    (phony,) = re.findall(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert sorted(names) == sorted(set(phony.split()) - {"help", "which-photos", "system-programs"})
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for name in ("env", "format", "lint", "test"):
        assert f"$ make {name} " in contributing
