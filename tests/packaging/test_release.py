"""`make release-check`: each check finds its errors, and the command runs all of them."""

import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from tools import package_contents, release_check
from tools.code_blocks import ROOT
from tools.package_contents import ReleaseError

from mien import __version__

LICENCES = {name: (ROOT / name).read_bytes() for name in ("LICENSE", "THIRD_PARTY.md")}
THIRD_PARTY = LICENCES["THIRD_PARTY.md"].decode()
INFO = f"mien-{__version__}.dist-info"
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "src").rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
]
MODEL = "mien/artifacts/mtcnn/"


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    """Content of a wheel as built."""
    licences = {f"{INFO}/licenses/{name}": text for name, text in LICENCES.items()}
    named = "".join(f"License-File: {name}\n" for name in LICENCES)
    metadata = f"Metadata-Version: 2.4\nName: mien\nLicense-Expression: Apache-2.0\n{named}\nText\n"
    files = {name.removeprefix("src/"): (ROOT / name).read_bytes() for name in SOURCES}
    return {**files, **licences, f"{INFO}/METADATA": metadata.encode()}


def test_a_valid_wheel_passes(good: dict[str, bytes]) -> None:
    package_contents.check_wheel_names(good, SOURCES)
    package_contents.check_licences(good, LICENCES)
    assert package_contents.check_models(good, THIRD_PARTY) == 4


@pytest.mark.parametrize(
    "name",
    [
        "mien/__pycache__/types.cpython-311.pyc",
        "shared/photos/face.jpg",
        "tests/golden/mtcnn_stages.npz",
        "mien/fer2013.csv",
        "mien/notes.txt",
        "setup.py",
    ],
)
def test_unexpected_files_in_a_wheel_are_reported(good: dict[str, bytes], name: str) -> None:
    with pytest.raises(ReleaseError, match=name):
        package_contents.check_wheel_names([*good, name], SOURCES)


def test_missing_files_in_a_wheel_are_reported(good: dict[str, bytes]) -> None:
    for name in ("mien/geometry.py", f"{MODEL}LICENSE"):
        with pytest.raises(ReleaseError, match=name):
            package_contents.check_wheel_names(set(good) - {name}, SOURCES)
    untyped = [name for name in SOURCES if name != "src/mien/py.typed"]
    with pytest.raises(ReleaseError, match=r"mien/py\.typed"):
        package_contents.check_wheel_names(set(good) - {"mien/py.typed"}, untyped)


def test_an_sdist_contains_the_project() -> None:
    package_contents.check_sdist_names([*SOURCES, "PKG-INFO"], SOURCES)
    for names, named in (
        (SOURCES[1:], SOURCES[0]),
        *(
            ([*SOURCES, name], name)
            for name in ("notes.txt", ".venv-dev/bin/python", "../shared/photos/a.jpg")
        ),
    ):
        with pytest.raises(ReleaseError, match=named):
            package_contents.check_sdist_names(names, SOURCES)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        (f"{INFO}/licenses/LICENSE", None, "LICENSE"),
        (f"{INFO}/licenses/THIRD_PARTY.md", b"cut off", "THIRD_PARTY.md"),
        (f"{INFO}/METADATA", b"Name: mien\n\n", "metadata"),
        (f"{INFO}/METADATA", b"License-Expression: MIT\n\n", "LICENSE"),
    ],
)
def test_missing_licences_are_reported(
    good: dict[str, bytes], name: str, content: bytes | None, named: str
) -> None:
    with pytest.raises(ReleaseError, match=named):
        package_contents.check_licences(changed(good, name, content), LICENCES)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        (f"{MODEL}pnet.onnx", b"another network", "pnet.onnx"),
        (f"{MODEL}pnet.onnx", None, "pnet.onnx"),
        (f"{MODEL}LICENSE", None, f"{MODEL}.*LICENSE"),
        (f"{MODEL}LICENSE", b"\n", f"{MODEL}.*LICENSE"),
        (f"{MODEL}card.toml", None, f"{MODEL}onet.onnx"),
        (f"{MODEL}more.onnx", b"weights", f"{MODEL}more.onnx"),
    ],
)
def test_models_without_card_or_licence(
    good: dict[str, bytes], name: str, content: bytes | None, named: str
) -> None:
    with pytest.raises(ReleaseError, match=named):
        package_contents.check_models(changed(good, name, content), THIRD_PARTY)


def test_a_model_missing_from_third_party_is_reported(good: dict[str, bytes]) -> None:
    with pytest.raises(ReleaseError, match=MODEL):
        package_contents.check_models(good, THIRD_PARTY.replace(MODEL, ""))
    with pytest.raises(ReleaseError):
        package_contents.check_models({}, THIRD_PARTY)


def changed(files: dict[str, bytes], name: str, content: bytes | None) -> dict[str, bytes]:
    rest = {key: value for key, value in files.items() if key != name}
    return rest if content is None else {**rest, name: content}


@pytest.mark.parametrize("name", ["mien-1.0.0-py3-none-any.whl", "mien-1.0.0.tar.gz"])
def test_a_package_that_is_too_large(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    limit = package_contents.LIMIT_MB[path.suffix] * 1_000_000
    for size in (0, limit):
        path.write_bytes(bytes(size))
        package_contents.check_size(path)
    path.write_bytes(bytes(limit + 1))
    with pytest.raises(ReleaseError, match=name):
        package_contents.check_size(path)


@pytest.mark.parametrize(
    ("heading", "release", "passes"),
    [
        ("## [1.2.3] - unreleased", False, True),
        ("## [1.2.3] - 2020-02-29", True, True),
        ("", False, False),
        ("## [1.2.2] - 2020-02-29\n\n## [1.2.3] - unreleased", False, False),
        ("## [1.2.3] - unreleased", True, False),
        ("## [1.2.3] - 2020-02-30", True, False),
        ("## [1.2.3] - 9999-12-31", True, False),
    ],
)
def test_the_changelog(heading: str, release: bool, passes: bool) -> None:
    text = f"# Changelog\n\n{heading}\n\n### Added\n"
    if passes:
        assert "1.2.3" in release_check.check_changelog(text, "1.2.3", release=release)
    else:
        with pytest.raises(ReleaseError, match="CHANGELOG"):
            release_check.check_changelog(text, "1.2.3", release=release)


def test_the_tag() -> None:
    release_check.check_tag("v1.2.3", "1.2.3", "")
    for tag, changes, named in (
        ("1.2.3", "", r"\b1\.2\.3\b"),
        ("v1.2.4", "", r"\bv1\.2\.4\b"),
        ("v1.2.3", " M README.md\n", r" M README\.md"),
    ):
        with pytest.raises(ReleaseError, match=named):
            release_check.check_tag(tag, "1.2.3", changes)


def test_the_version_is_in_one_place() -> None:
    assert release_check.version_of((ROOT / "src/mien/_version.py").read_text()) == __version__
    assert "version" in release_check.project()["dynamic"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    release_check.check_changelog((ROOT / "CHANGELOG.md").read_text(), __version__, release=False)
    for text in ('__version__ = "1.2"\n', '__version__ = "1.2.3-dirty"\n', ""):
        with pytest.raises(ReleaseError):
            release_check.version_of(text)


def test_a_non_reproducible_build_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = [tmp_path / "mien.tar.gz", tmp_path / "mien.whl"]
    again = [tmp_path / "again.tar.gz", tmp_path / "again.whl"]
    for path in (*packages, *again):
        path.write_bytes(b"same")
    monkeypatch.setattr(release_check, "build", lambda _: again)
    release_check.check_reproducible(packages)
    again[1].write_bytes(b"other")
    with pytest.raises(ReleaseError, match=r"mien\.whl"):
        release_check.check_reproducible(packages)


class Advisories(BaseHTTPRequestHandler):
    """A fake OSV service with one vulnerability, in Pillow."""

    def do_POST(self) -> None:
        received = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        affected = [{"package": received["package"], "ranges": []}]
        known = {"vulns": [{"id": "GHSA-test", "summary": "so", "affected": affected}]}
        response = json.dumps(known if received["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def advisories() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()


def pins(folder: Path, *names: str) -> list[Path]:
    path = folder / "requirements.txt"
    path.write_text("".join(f"{name}==1.0.0 --hash=sha256:{'0' * 64}\n" for name in names))
    return [path]


def test_known_vulnerabilities_are_found_and_named(tmp_path: Path) -> None:
    with advisories() as url:
        release_check.check_vulnerabilities(pins(tmp_path, "tqdm"), url, release=True)
        with pytest.raises(ReleaseError, match=r"pillow 1.0.0: GHSA-test"):
            release_check.check_vulnerabilities(
                pins(tmp_path, "tqdm", "pillow"), url, release=False
            )


def test_unavailable_checks_are_not_reported_as_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with advisories() as url:
        pass
    for tool in (release_check.tool, ignorant):
        monkeypatch.setattr(release_check, "tool", tool)
        reported = release_check.check_vulnerabilities(pins(tmp_path, "tqdm"), url, release=False)
        assert reported.startswith("NOT CHECKED: ")
        with pytest.raises(ReleaseError):
            release_check.check_vulnerabilities(pins(tmp_path, "tqdm"), url, release=True)


def ignorant(_: str) -> tuple[str, str, str]:
    """Stand in for pip-audit with a service that knows no package: it calls that a success."""
    response = {"dependencies": [{"name": "tqdm", "skip_reason": "not found"}], "fixes": []}
    return (sys.executable, "-c", f"print({json.dumps(response)!r})")


def test_checksums_match_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"a")
    (tmp_path / "b.tar.gz").write_bytes(b"b")
    release_check.write_sums(tmp_path)
    lines = (tmp_path / "SHA256SUMS").read_text().splitlines()
    sums = {"a.whl": hashlib.sha256(b"a"), "b.tar.gz": hashlib.sha256(b"b")}
    assert lines == [f"{digest.hexdigest()}  {name}" for name, digest in sums.items()]


def test_only_working_pythons_are_used() -> None:
    version = "{}.{}".format(*sys.version_info)
    assert version in release_check.found_pythons()
    assert not release_check.runs(sys.executable, "3.1")


@pytest.mark.skipif(os.name == "nt", reason="scripts have no first line there")
def test_a_python_that_fails_to_run_is_ignored(tmp_path: Path) -> None:
    refusing = tmp_path / "python"
    refusing.write_text("#!/bin/sh\nexit 127\n")
    refusing.chmod(0o755)
    assert not release_check.runs(str(refusing), "3.11")


def test_examples_run_against_the_wheel_not_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "mien.py").write_text(f"__version__ = '{__version__}'\n")
    with pytest.raises(ReleaseError):
        release_check.check_origin(sys.executable, __version__, tmp_path)


def test_the_first_failure_ends_the_check_with_a_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["release_check", "--tag", "v0.0.0"])
    assert release_check.main() == 1
    reported = capsys.readouterr().err
    assert reported.startswith("release-check: failed: ")
    assert "v0.0.0" in reported
    assert reported.count("\n") == 1


def test_placeholder_addresses_stop_a_release_but_not_a_rehearsal() -> None:
    urls = {"Source": "https://example.org/mien", "Homepage": "https://mien.dev"}
    assert release_check.check_urls(urls, release=False).startswith(release_check.NOT_CHECKED)
    with pytest.raises(ReleaseError, match="placeholders: Source;"):
        release_check.check_urls(urls, release=True)
    assert release_check.check_urls({"Homepage": "https://mien.dev"}, release=True)


@pytest.mark.parametrize(
    ("lines", "complete"), [(["built"], True), (["built", "NOT CHECKED: Python 3.14"], False)]
)
def test_the_summary_lists_skipped_checks(
    lines: list[str],
    complete: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["release_check"])
    monkeypatch.setattr(release_check, "ROOT", tmp_path)
    monkeypatch.setattr(release_check, "DIST", tmp_path)
    monkeypatch.setattr(release_check, "checked", lambda *_: iter(lines))
    assert release_check.main() == 0
    summary = capsys.readouterr().out.splitlines()[-1]
    assert ("1 not checked" in summary) is not complete
    assert ("all was checked" in summary) is complete
