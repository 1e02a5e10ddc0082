"""A task with images that kill the process that analyzes them; imported by Ray's workers too."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from mien.batch.task import Content, Outcome, Progress

COLUMNS = ["path", "error_code"]


@dataclass(frozen=True)
class DeadlyTask:
    def __call__(self) -> Callable[[str, Content], Outcome]:
        return self.analyzed

    def analyzed(self, path: str, content: Content) -> Outcome:
        if "deadly" in path:
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"path": path, "error_code": None}], Progress(1, 0, 0.5, Counter(["happy"]))

    def crashed(self, path: str) -> Outcome:
        progress = Progress(1, 1, failures=[path])
        return [{"path": path, "error_code": "internal_error"}], progress
