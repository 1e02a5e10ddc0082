"""The compared systems, their environments and their sizes on disk."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from benchmarks.process import ROOT, Worker, WorkerError

PEERS = ROOT / "benchmarks" / "peers"
# Packages that install others do not count.
INSTALLERS = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")
_REASON = 300


class InstallError(Exception):
    """An environment cannot be made; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A system to measure.

    Attributes:
        name: Its name.
        folder: Folder of its worker and pins.
        python: Interpreter of its environment; None for Node.
        module: Module of its worker, on Python.
        outputs: Outputs of its network that are measured separately.
    """

    name: str
    folder: Path
    python: Path | None = None
    module: str = ""
    outputs: tuple[str, ...] = ()

    def start(
        self, log: IO[str] | None = None, threads: int | None = None, output: str | None = None
    ) -> Worker:
        """Start its worker.

        Args:
            log: Receives its standard error; None: that of this process.
            threads: Threads for one photo; None for its default.
            output: Output of its network to use for crops; None for its normal result.

        Raises:
            WorkerError: It does not start.
        """
        if self.python is None:
            command = ["node", str(self.folder / "worker.js")]
        else:
            command = [str(self.python), "-m", self.module]
        options = [str(threads or "all"), *([output] if output else [])]
        return Worker.start(self.name, *command, *options, log=log)

    def install(self) -> None:
        """Make its environment, once for each version of its pins.

        Raises:
            InstallError: That failed.
        """
        if self.python is None:
            self._install_node()
        elif self.folder.parent == PEERS:
            self._install_python(self.python)

    def installed_mb(self) -> float:
        """Return the size of its packages in MiB, without those that install others."""
        folder = self.folder / "node_modules"
        if self.python is not None:
            folder = next(self.python.parents[1].glob("lib/python*/site-packages"))
        size = size_mb(folder)
        # mien itself is installed in place.
        return size + size_mb(ROOT / "src" / "mien") if self.name == "mien" else size

    def _install_python(self, python: Path) -> None:
        environment = python.parents[1]
        needs = self.folder / "requirements.txt"
        if is_ready(environment / ".ready", needs):
            return
        _run(sys.executable, "-m", "venv", str(environment))
        _run(str(python), "-m", "pip", "install", "--quiet", "-r", str(needs))
        (environment / ".ready").touch()

    def _install_node(self) -> None:
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise InstallError("needs Node.js with npm")
        ready = self.folder / "node_modules" / ".ready"
        if is_ready(ready, self.folder / "package-lock.json"):
            return
        # The install scripts only print requests for donations.
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=self.folder)
        ready.touch()


def systems(python: Path) -> tuple[System, ...]:
    """Return all systems, ``mien`` first.

    Args:
        python: Interpreter of an environment with ``mien`` only.
    """
    return (
        System(
            name="mien",
            folder=ROOT / "benchmarks",
            python=python,
            module="benchmarks.worker",
            outputs=("fer2013",),
        ),
        _python_peer("reference"),
        _python_peer("fer"),
        _python_peer("deepface"),
        System(name="human", folder=PEERS / "human"),
        System(name="face-api", folder=PEERS / "face-api"),
    )


def prepare(
    chosen: Sequence[System], log: IO[str]
) -> tuple[list[System], dict[str, Any], dict[str, str]]:
    """Install the systems.

    Args:
        chosen: The systems.
        log: Receives the standard error of workers.

    Returns:
        The systems that start; their versions and sizes; the reasons of the others.
    """
    ready, about, left_out = [], {}, {}
    for system in chosen:
        print(f"{system.name}: its environment", file=sys.stderr)
        try:
            system.install()
            with system.start(log) as worker:
                versions = worker.about()["versions"]
        except (InstallError, WorkerError, OSError) as error:
            print(f"  left out: {error}", file=sys.stderr)
            left_out[system.name] = str(error).removeprefix(f"{system.name}: ")
            continue
        about[system.name] = {"versions": versions, "installed_mb": system.installed_mb()}
        ready.append(system)
    return ready, about, left_out


def is_ready(mark: Path, needs: Path) -> bool:
    """Return whether an environment is newer than its pins."""
    return mark.exists() and mark.stat().st_mtime >= needs.stat().st_mtime


def size_mb(folder: Path) -> float:
    """Return the size of all files below a folder in MiB, without installers."""
    files = (
        path
        for entry in folder.iterdir()
        if entry.name.split("-")[0] not in INSTALLERS
        for path in ([entry] if entry.is_file() else entry.rglob("*"))
    )
    return sum(p.stat().st_size for p in files if p.is_file() and not p.is_symlink()) / 2**20


def _python_peer(name: str) -> System:
    return System(
        name=name,
        folder=PEERS / name,
        python=ROOT / f".venv-{name}" / "bin" / "python",
        module=f"benchmarks.peers.{name}.worker",
    )


def _run(*command: str, folder: Path = ROOT) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        errors = [line for line in reason if "error" in line.lower()] or reason
        raise InstallError(f"{' '.join(command[:3])}: {errors[-1][:_REASON]}")
