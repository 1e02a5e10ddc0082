"""Run by the tests: ``serve`` with a fake pipeline.

Arguments: workers; how long a picture takes in seconds, ``broken``, or ``endless``: until nobody
waits for it, or ``deaf``: even longer, or a path: broken from when a file is there; settings as
JSON.
"""

import json
import sys
import threading
from pathlib import Path

from http_fakes import FakeClassifier, FakeDetector
from mien.config import Settings
from mien.http import app, server, service
from mien.pipeline import Pipeline

LASTING = {"endless": ("endless", True), "deaf": ("wait_s", 15.0)}


def build(settings: Settings) -> Pipeline:
    detector = FakeDetector()
    if sys.argv[2] == "broken" or Path(sys.argv[2]).is_file():
        detector.error = RuntimeError("broken")
    elif sys.argv[2] in LASTING:
        # Not while it warms up.
        threading.Timer(0.2, setattr, (detector, *LASTING[sys.argv[2]])).start()
    elif "/" not in sys.argv[2]:
        detector.wait_s = float(sys.argv[2])
    return Pipeline(detector, FakeClassifier())


# Workers, and processes for pictures, import this file again before they begin.
server.build_pipeline = service.build_pipeline = build
app.create_app.__kwdefaults__["build"] = build
app._SPARE_S = 0.5

if __name__ == "__main__":
    chosen = {"port": 0, "deadline_s": 10, "threads": 2, "stop_delay_s": 0.3, "processes": False}
    chosen |= json.loads(sys.argv[3])
    server.WORKER_SILENCE_S = chosen.pop("worker_silence_s", server.WORKER_SILENCE_S)
    sys.exit(server.serve(Settings(workers=int(sys.argv[1]), **chosen)))
