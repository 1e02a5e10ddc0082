"""Build the packages of a release into dist/ and check them.

    make release-check [TAG=v0.1.0] [OSV_URL=http://localhost:8080/v1/query]

With a tag this is a release: the tree must be clean, the CHANGELOG dated, and a check that cannot
run is a failure. Without a tag it is a rehearsal. OSV_URL is pip-audit's --osv-url, for machines
that can only reach an advisory service of their own.
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tools import code_blocks
from tools.package_contents import (
    ReleaseError,
    check_licences,
    check_models,
    check_sdist_names,
    check_size,
    check_wheel_names,
    sdist_files,
    wheel_files,
)

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PROJECT = ROOT / "pyproject.toml"
PINS = sorted((ROOT / "deploy").glob("requirements*.txt"))
NOT_CHECKED = "NOT CHECKED"
PRINT_VERSION = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
# Without PYTHONPATH and the like, so that the checkout's sources are not used.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MIEN_"))}


def main() -> int:
    options = parsed()
    unchecked = 0
    try:
        for line in checked(options.tag, options.osv_url):
            print(f"  {line}", flush=True)
            unchecked += line.startswith(NOT_CHECKED)
    except (ReleaseError, code_blocks.BlockError) as error:
        print(f"release-check: failed: {error}", file=sys.stderr)
        return 1
    left = f"but {unchecked} not checked" if unchecked else "and all was checked"
    print(f"release-check: nothing failed, {left}; {DIST.relative_to(ROOT)}/ has")
    for path in sorted(DIST.iterdir()):
        print(f"  {path.stat().st_size / 1e6:6.2f} MB  {path.name}")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tag", help="tag of the release; default: a rehearsal")
    parser.add_argument("--osv-url", help="URL of an OSV service, for known vulnerabilities")
    return parser.parse_args()


def checked(tag: str | None, osv_url: str | None) -> Iterator[str]:
    """Run the checks, one after the other.

    Args:
        tag: Tag of the release; None for a rehearsal.
        osv_url: URL of an OSV service; None for the default of pip-audit.

    Yields:
        The result of each check.

    Raises:
        ReleaseError: A check failed.
        BlockError: A code block of the README failed.
    """
    version = version_of((ROOT / "src/mien/_version.py").read_text())
    if tag is not None:
        check_tag(tag, version, run("git", "status", "--porcelain"))
    yield check_urls(project()["urls"], release=tag is not None)
    yield check_changelog((ROOT / "CHANGELOG.md").read_text(), version, release=tag is not None)
    shutil.rmtree(DIST, ignore_errors=True)
    sdist, wheel = build(DIST)
    yield check_reproducible((sdist, wheel))
    yield check_packages(sdist, wheel)
    yield check_vulnerabilities(PINS, osv_url, release=tag is not None)
    with tempfile.TemporaryDirectory() as folder:
        yield from check_installed(wheel, version, Path(folder), release=tag is not None)
    yield write_sums(DIST)


def version_of(text: str) -> str:
    found = re.search(r'^__version__ = "(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)"$', text, re.MULTILINE)
    if found is None:
        raise ReleaseError("src/mien/_version.py must have a version such as 1.2.3 or 1.2.3rc1")
    return found[1]


def check_tag(tag: str, version: str, changes: str) -> None:
    """Check that the tag is the version and nothing is uncommitted.

    Args:
        tag: Such as ``v1.2.3``.
        version: Such as ``1.2.3``.
        changes: Output of ``git status --porcelain``.
    """
    if tag != f"v{version}":
        raise ReleaseError(f"the tag is {tag}, but src/mien/_version.py says {version}")
    if changes:
        raise ReleaseError(f"commit these changes before a release:\n{changes}")


def check_changelog(text: str, version: str, *, release: bool) -> str:
    """Check that the first section is the version's and, for a release, dated today or earlier."""
    found = re.search(r"^## \[(.+?)\] - (\S+)$", text, re.MULTILINE)
    if found is None or found[1] != version:
        raise ReleaseError(f"the first section of CHANGELOG.md is not '## [{version}] - ...'")
    if release:
        try:
            today = datetime.datetime.now(datetime.UTC).date()
            late = datetime.date.fromisoformat(found[2]) > today
        except ValueError:
            late = True
        if late:
            raise ReleaseError(
                f"the date of {version} in CHANGELOG.md must be today or earlier, not {found[2]}"
            )
    return f"CHANGELOG.md: {version}, {found[2]}"


def check_urls(urls: dict[str, str], *, release: bool) -> str:
    """Check that the addresses of the project are not placeholders."""
    placeholders = [name for name, url in urls.items() if "//example." in url]
    if not placeholders:
        return f"project.urls: {', '.join(urls)}"
    message = f"project.urls has placeholders: {', '.join(placeholders)}"
    if release:
        raise ReleaseError(f"{message}; set them in pyproject.toml")
    return f"{NOT_CHECKED}: {message}"


def build(folder: Path) -> tuple[Path, Path]:
    """Build an sdist and a wheel from it, with the date of the last commit."""
    # With the pinned build backend of this environment, so that hashes can be compared.
    run(*tool("build"), "--no-isolation", "--outdir", str(folder), str(ROOT), own=commit_date())
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def commit_date() -> dict[str, str]:
    return {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct").strip()}


def check_reproducible(packages: Sequence[Path]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for one, other in zip(packages, build(Path(folder)), strict=True):
            if sha256(one) != sha256(other):
                raise ReleaseError(f"{one.name} is not reproducible: a second build differs")
    return "sdist and wheel: reproducible, two builds are identical"


def check_packages(sdist: Path, wheel: Path) -> str:
    run(*tool("twine"), "check", "--strict", str(sdist), str(wheel))
    run(*tool("check_wheel_contents"), "--toplevel", "mien,mien_train", str(wheel))
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    sources = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    for package in (sdist, wheel):
        check_size(package)
    files = wheel_files(wheel)
    check_sdist_names(sdist_files(sdist), sources)
    check_wheel_names(files, sources)
    names = project()["license-files"]
    check_licences(files, {name: (ROOT / name).read_bytes() for name in names})
    models = check_models(files, (ROOT / "THIRD_PARTY.md").read_text())
    return f"contents, licenses and sizes: correct; {models} models with card and license"


def check_vulnerabilities(pins: Sequence[Path], osv_url: str | None, *, release: bool) -> str:
    """Look up all pins in an advisory service; for a rehearsal the service may be unreachable."""
    service = ("--vulnerability-service", "osv", "--osv-url", osv_url) if osv_url else ()
    lists = [word for path in pins for word in ("--requirement", str(path))]
    quiet = ("--progress-spinner", "off", "--format", "json")
    command = [*tool("pip_audit"), "--disable-pip", "--require-hashes", *quiet, *service, *lists]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return _not_checked(f"pip-audit says: {reason[:200]}", release=release)
    packages = json.loads(done.stdout)["dependencies"]
    found = [
        f"{package['name']} {package['version']}: {each['id']}"
        for package in packages
        for each in package.get("vulns", ())
    ]
    if found:
        raise ReleaseError(f"pinned packages have known vulnerabilities: {'; '.join(found)}")
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if skipped or not packages:
        reason = f"the service does not know {len(skipped)} of {len(packages)} packages"
        return _not_checked(reason, release=release)
    return f"no known vulnerability in {len(packages)} pinned packages"


def _not_checked(reason: str, *, release: bool) -> str:
    if release:
        raise ReleaseError(f"vulnerabilities could not be checked: {reason}")
    return f"{NOT_CHECKED}: vulnerabilities of pinned packages; {reason}"


def check_installed(wheel: Path, version: str, folder: Path, *, release: bool) -> Iterator[str]:
    """Install the wheel on each available Python and run the README's blocks; write the SBOM."""
    pythons = found_pythons()
    for name, interpreter in pythons.items():
        environment = folder / name
        run(interpreter, "-m", "venv", "--without-pip", str(environment))
        python = str(environment / ("Scripts" if os.name == "nt" else "bin") / "python")
        install(python, str(wheel))
        check_origin(python, version, folder)
        # For the last Python, and before the README's blocks install extras.
        if name == list(pythons)[-1]:
            yield write_sbom(python, version, DIST / f"mien-{version}.cdx.json")
        ran = run_readme(python, wheel, folder / f"blocks-{name}")
        yield f"Python {name}: the wheel installs, and {ran} blocks of README.md run as shown"
    missing = [name for name in promised_pythons() if name not in pythons]
    if missing and release:
        raise ReleaseError(f"Python {', '.join(missing)} is required to try the wheel with")
    if missing:
        yield f"{NOT_CHECKED}: Python {', '.join(missing)}; not on this machine"


def promised_pythons() -> list[str]:
    """Return the Python versions in the package's classifiers."""
    return re.findall(r"Python :: (3\.\d+)$", "\n".join(project()["classifiers"]), re.MULTILINE)


def found_pythons() -> dict[str, str]:
    """Return an interpreter for each promised version, if it is on the PATH or in pyenv."""
    pythons = {}
    for version in promised_pythons():
        with_pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for candidate in (shutil.which(f"python{version}"), *map(str, with_pyenv)):
            # pyenv has shims for versions that it does not run.
            if candidate and runs(candidate, version):
                pythons[version] = candidate
                break
    return pythons


def runs(python: str, version: str) -> bool:
    command = [python, "-c", PRINT_VERSION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def install(python: str, requirement: str) -> None:
    """Install into an environment without pip."""
    run(*tool("pip"), "--python", python, "install", "--quiet", "--no-compile", requirement)


def check_origin(python: str, version: str, folder: Path) -> None:
    """Check that the wheel is imported and not the checkout."""
    code = "import mien, sys; print(mien.__version__, mien.__file__.startswith(sys.prefix))"
    printed = run(python, "-c", code, cwd=folder).split()
    if printed != [version, "True"]:
        raise ReleaseError(f"the imported mien is not the wheel of {version}: {printed}")


def run_readme(python: str, wheel: Path, folder: Path) -> int:
    """Run the README's blocks outside of the checkout; return how many."""
    folder.mkdir()
    with code_blocks.served(python, ENVIRONMENT) as address:
        runner = code_blocks.Runner(
            python=python,
            address=address,
            folder=code_blocks.folder_for(folder),
            install=lambda extras: install(python, f"{wheel}[{','.join(extras)}]"),
            environment=ENVIRONMENT,
        )
        return runner.run(code_blocks.blocks_of(ROOT / "README.md"))


def write_sbom(python: str, version: str, path: Path) -> str:
    """Write the packages of an environment as CycloneDX and check that all dependencies are in."""
    with tempfile.TemporaryDirectory() as folder:
        # cyclonedx_py does not read dynamic versions.
        fixed = Path(folder, "pyproject.toml")
        text = PROJECT.read_text()
        fixed.write_text(text.replace('dynamic = ["version", "readme"]', f"version = '{version}'"))
        options = ("--output-reproducible", "--output-format", "JSON", "--output-file", str(path))
        command = (
            *tool("cyclonedx_py"),
            "environment",
            "--pyproject",
            str(fixed),
            *options,
            python,
        )
        run(*command, own=commit_date())
    bom: dict[str, Any] = json.loads(path.read_text())
    if bom["metadata"]["component"].get("version") != version:
        raise ReleaseError(f"{path.name} lacks the version {version}")
    named = {component["name"].lower().replace("_", "-") for component in bom["components"]}
    wanted = {re.split(r"[^\w-]", each)[0].lower() for each in project()["dependencies"]}
    if wanted - named:
        raise ReleaseError(f"{path.name} lacks {', '.join(sorted(wanted - named))}")
    return f"SBOM: {len(named)} packages at run time"


def write_sums(folder: Path) -> str:
    """Write SHA256SUMS in the form that ``sha256sum --check`` reads."""
    paths = sorted(folder.iterdir())
    lines = "".join(f"{sha256(path)}  {path.name}\n" for path in paths)
    (folder / "SHA256SUMS").write_text(lines, newline="\n")
    return f"SHA256SUMS: {len(paths)} files"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(PROJECT.read_text())["project"]
    return table


def tool(module: str) -> tuple[str, str, str]:
    return (sys.executable, "-m", module)


def run(*command: str, cwd: Path = ROOT, own: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**ENVIRONMENT, **(own or {})},
    )
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise ReleaseError(f"{' '.join(command)} ended with status {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
