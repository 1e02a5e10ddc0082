"""A task with images that kill the process that analyzes them; imported by Ray's workers too."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from mien.batch.task import ImageFile, ImageOutcome

COLUMNS = ["path", "error_code"]


@dataclass(frozen=True)
class DeadlyTask:
    def __call__(self) -> Callable[[ImageFile], ImageOutcome]:
        return self.analyzed

    def analyzed(self, file: ImageFile) -> ImageOutcome:
        if "deadly" in file.path:
            os.kill(os.getpid(), signal.SIGKILL)
        return ImageOutcome([{"path": file.path, "error_code": None}], ("happy",), seconds=0.5)

    def crashed(self, path: str) -> ImageOutcome:
        return ImageOutcome([{"path": path, "error_code": "internal_error"}], failure=path)
