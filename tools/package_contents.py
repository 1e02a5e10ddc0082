"""Checks of what a wheel and an sdist contain; tools/release_check.py runs them.

Each check takes file names or contents and raises ReleaseError with a message that names the file.
"""

import hashlib
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Collection, Iterable, Mapping
from email import message_from_bytes
from pathlib import Path

__all__ = [
    "LIMIT_MB",
    "ReleaseError",
    "check_licences",
    "check_models",
    "check_sdist_names",
    "check_size",
    "check_wheel_names",
    "sdist_files",
    "wheel_files",
]

# A little above the current sizes, so that nothing large gets in unnoticed.
LIMIT_MB = {".whl": 6, ".gz": 8}
TYPED = ("mien/py.typed", "mien_train/py.typed")
NEVER = re.compile(r"(^|/)(__pycache__|shared|\.\w+_cache|\.venv[\w-]*)(/|$)|\.py[co]$")
# Golden values and training data do not belong in site-packages.
NEVER_IN_WHEEL = re.compile(r"(^|/)(tests|golden|benchmarks|tools)/|\.(npz|npy|csv|keras|parquet)$")


class ReleaseError(Exception):
    """A requirement of a release is not met."""


def wheel_files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sdist_files(sdist: Path) -> dict[str, bytes]:
    """Return the files by name, without the top-level folder; links are followed."""
    with tarfile.open(sdist) as archive:
        files = [member for member in archive if not member.isdir()]
        return {
            member.name.partition("/")[2]: content.read()
            for member in files
            if (content := archive.extractfile(member)) is not None
        }


def check_size(package: Path) -> None:
    size_mb, limit_mb = package.stat().st_size / 1e6, LIMIT_MB[package.suffix]
    if size_mb > limit_mb:
        raise ReleaseError(f"{package.name} has {size_mb:.1f} MB; the limit is {limit_mb} MB")


def check_wheel_names(names: Collection[str], sources: Iterable[str]) -> None:
    """Check that a wheel holds exactly the files under ``src``.

    Args:
        names: Files of the wheel.
        sources: Files of the project.
    """
    expected = {source.removeprefix("src/") for source in sources if source.startswith("src/")}
    own = {name for name in names if ".dist-info/" not in name}
    _refuse("the wheel", names, NEVER)
    _refuse("the wheel", names, NEVER_IN_WHEEL)
    _check_same("the wheel", own, expected)
    missing = [name for name in TYPED if name not in own]
    if missing:
        raise ReleaseError(f"the wheel lacks {', '.join(missing)}")


def check_sdist_names(names: Collection[str], sources: Iterable[str]) -> None:
    """Check that an sdist holds exactly the project's files and the metadata of the build."""
    _refuse("the sdist", names, NEVER)
    _check_same("the sdist", set(names) - {"PKG-INFO"}, set(sources))


def _refuse(package: str, names: Iterable[str], pattern: re.Pattern[str]) -> None:
    found = sorted(name for name in names if pattern.search(name))
    if found:
        raise ReleaseError(f"{package} contains files that do not belong in it: {_some(found)}")


def _check_same(package: str, names: set[str], expected: set[str]) -> None:
    if names - expected:
        foreign = _some(sorted(names - expected))
        raise ReleaseError(f"{package} contains files that are not in the project: {foreign}")
    if expected - names:
        raise ReleaseError(f"{package} lacks {_some(sorted(expected - names))}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def check_licences(files: Mapping[str, bytes], licenses: Mapping[str, bytes]) -> None:
    """Check that a wheel names and contains the license files.

    Args:
        files: Files of the wheel, by name.
        licenses: The project's license files, by name.
    """
    (info,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    metadata = message_from_bytes(files[f"{info}/METADATA"])
    if not metadata["License-Expression"]:
        raise ReleaseError("the wheel's metadata names no license")
    named = metadata.get_all("License-File", [])
    for name, text in licenses.items():
        if name not in named or files.get(f"{info}/licenses/{name}") != text:
            raise ReleaseError(f"the wheel lacks the license file {name}")


def check_models(files: Mapping[str, bytes], third_party: str) -> int:
    """Check each model against its card, its license and its entry in THIRD_PARTY.md.

    Args:
        files: Files of the wheel, by name.
        third_party: Text of THIRD_PARTY.md.

    Returns:
        The number of models.
    """
    folders = sorted(
        name.removesuffix("card.toml") for name in files if name.endswith("/card.toml")
    )
    carried = {name for name in files if name.endswith(".onnx")}
    for folder in folders:
        card = tomllib.loads(files[f"{folder}card.toml"].decode())
        for name, sha256 in card["files"].items():
            content = files.get(folder + name)
            if content is None or hashlib.sha256(content).hexdigest() != sha256:
                raise ReleaseError(f"{folder}{name} does not match the SHA-256 on its card")
            carried.discard(folder + name)
        if not files.get(f"{folder}LICENSE", b"").strip():
            raise ReleaseError(f"{folder} has no LICENSE")
        if folder not in third_party:
            raise ReleaseError(f"THIRD_PARTY.md does not name {folder}")
    if carried or not folders:
        raise ReleaseError(f"no card lists {_some(sorted(carried)) or 'any model'}")
    return len(folders)
