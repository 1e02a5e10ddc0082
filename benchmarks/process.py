"""Worker processes that are measured in turn, so that all see the same noise.

They implement benchmarks/peers/protocol.py.
"""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any

ROOT = Path(__file__).parents[1]

# Threads of the worker before may spin for a while after their work.
PAUSE_S = 0.25
# Timeout of a response.
PATIENCE_S = 300.0
_SHOWN = 200


class WorkerError(SystemExit):
    """A worker ended, timed out, sent invalid output or reported an error."""


@dataclass
class Worker:
    """A process that replies to requests.

    Attributes:
        name: For messages.
        process: The process.
        started: Time of its start, from ``time.perf_counter``.
        import_s: Seconds from its start until its library was imported.
        first_answer_s: Seconds from its start to its first result.
        peak_mb: Peak resident memory so far.
        patience_s: Timeout of a response in seconds.
    """

    name: str
    process: subprocess.Popen[str]
    started: float
    import_s: float = 0.0
    first_answer_s: float = 0.0
    peak_mb: float = 0.0
    patience_s: float = PATIENCE_S

    @classmethod
    def start(
        cls, name: str, *command: str, log: IO[str] | None = None, patience_s: float = PATIENCE_S
    ) -> "Worker":
        """Start a worker and wait until its library is imported.

        Args:
            name: For messages.
            *command: Program and arguments.
            log: Receives its standard error; None: that of this process.
            patience_s: Timeout of a response in seconds.

        Raises:
            WorkerError: It ended or timed out before.
        """
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT
        )
        worker = cls(name, process, started, patience_s=patience_s)
        try:
            # Libraries may print before this line.
            while not worker._line().startswith('{"imported"'):
                pass
        except WorkerError:
            worker.stop()
            raise
        worker.import_s = time.perf_counter() - started
        return worker

    def ask(self, photo: Path) -> dict[str, Any]:
        """Return the faces of a photo and the seconds that the analysis took.

        Raises:
            WorkerError: See the class.
        """
        reply = self.request({"photo": str(photo)})
        self.first_answer_s = self.first_answer_s or time.perf_counter() - self.started
        return reply

    def ask_again(self, photo: Path, repeats: int = 3) -> dict[str, Any]:
        """Pause, analyze a photo several times, and return the result with the median time."""
        time.sleep(PAUSE_S)
        replies = [self.ask(photo) for _ in range(repeats)]
        return sorted(replies, key=lambda reply: float(reply["seconds"]))[repeats // 2]

    def scores(self, crops: Sequence[str]) -> list[Mapping[str, float]]:
        """Return the scores of cropped faces, each 48 * 48 bytes of grey in base64.

        Raises:
            WorkerError: See the class.
        """
        scores: list[Mapping[str, float]] = self.request({"crops": list(crops)})["scores"]
        if len(scores) != len(crops):
            raise WorkerError(
                f"{self.name} returned scores for {len(scores)} of {len(crops)} faces"
            )
        return scores

    def about(self) -> dict[str, Any]:
        """Return the versions of the worker's main packages, and what it lacks, if anything.

        Raises:
            WorkerError: See the class.
        """
        return self.request({"about": True})

    def request(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Send a request and return the response.

        Raises:
            WorkerError: See the class.
        """
        if self.process.stdin is None:
            raise RuntimeError("no pipe")
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._ended()) from None
        reply = self._read()
        if "error" in reply:
            raise WorkerError(f"{self.name}: {reply['error']}")
        self.peak_mb = reply["peak_mb"]
        return reply

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate()

    def _line(self) -> str:
        if self.process.stdout is None:
            raise RuntimeError("no pipe")
        until = time.perf_counter() + self.patience_s
        timer = Timer(self.patience_s, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            late = f"{self.name} gave no reply in {self.patience_s:.0f} s"
            raise WorkerError(late if time.perf_counter() >= until else self._ended())
        return line

    def _read(self) -> dict[str, Any]:
        line = self._line()
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            self.stop()
            raise WorkerError(f"{self.name} did not return JSON: {line.strip()[:_SHOWN]!r}")
        return reply

    def _ended(self) -> str:
        return f"{self.name} ended with status {self.process.wait()}"


def commit(folder: Path = ROOT) -> str:
    """Return the short hash of the checked-out commit; ``unknown`` without git or a commit."""
    try:
        arguments = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.check_output(
            arguments, cwd=folder, text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
