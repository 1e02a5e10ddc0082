"""Run by the tests: ``serve`` with a fake recognizer.

Arguments: workers; how long a picture takes in seconds, ``broken``, or ``endless``: until nobody
waits for it, or ``deaf``: even longer, or ``until:`` and a path: until a file is there, or a path:
broken from when a file is there; settings as JSON.
"""

import json
import sys
from pathlib import Path

from http_fakes import FakeClassifier, FakeDetector, wait_until
from mien.recognizer import Recognizer
from mien.server import app, run
from mien.settings import Settings


class LastingDetector(FakeDetector):
    """Quick with the first picture, by which it is warmed up."""

    def work(self) -> None:
        if len(self.received) > 1:
            self.endless, self.wait_s = sys.argv[2] == "endless", 15.0
        super().work()


class HeldDetector(FakeDetector):
    """Quick with the first picture; no other is done before a file is there."""

    def work(self) -> None:
        if len(self.received) > 1:
            wait_until(Path(sys.argv[2].removeprefix("until:")).exists)


def build() -> Recognizer:
    lasting = sys.argv[2] in ("endless", "deaf")
    held = sys.argv[2].startswith("until:")
    detector = LastingDetector() if lasting else HeldDetector() if held else FakeDetector()
    if sys.argv[2] == "broken" or Path(sys.argv[2]).is_file():
        detector.error = RuntimeError("broken")
    elif not lasting and "/" not in sys.argv[2]:
        detector.wait_s = float(sys.argv[2])
    return Recognizer(detector=detector, model=FakeClassifier())


# Server and worker processes import this file again before they begin.
app.create_app.__kwdefaults__["build"] = build
app._SPARE_S = 0.5

if __name__ == "__main__":
    chosen = {"port": 0, "deadline_s": 10, "threads": 2, "stop_delay_s": 0.3, "processes": False}
    chosen |= json.loads(sys.argv[3])
    run.SILENCE_S = chosen.pop("worker_silence_s", run.SILENCE_S)
    sys.exit(run.serve(Settings(workers=int(sys.argv[1]), **chosen)))
