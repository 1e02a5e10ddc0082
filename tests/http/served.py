"""Run by the tests: ``serve`` with a fake pipeline.

Arguments: workers, and how long a picture takes in seconds, or ``broken``.
"""

import sys

from http_fakes import FakeClassifier, FakeDetector

from mien.config import Settings
from mien.http import app, server
from mien.pipeline import Pipeline


def build(settings: Settings) -> Pipeline:
    detector = FakeDetector()
    if sys.argv[2] == "broken":
        detector.error = RuntimeError("broken")
    else:
        detector.wait_s = float(sys.argv[2])
    return Pipeline(detector, FakeClassifier())


# Workers import this file again before they make their application.
server.build_pipeline = build
app.create_app.__kwdefaults__["build"] = build

if __name__ == "__main__":
    settings = Settings(port=0, workers=int(sys.argv[1]), deadline_s=10, threads=2)
    sys.exit(server.serve(settings))
