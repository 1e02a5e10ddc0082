"""``mien`` behind the same small protocol as the peers: a path in, one line of JSON out."""

import json
import resource
import sys
import time
from pathlib import Path

from mien import Recognizer
from mien.config import Settings

recognizer = Recognizer(settings=Settings(threads=1))

for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    started = time.perf_counter()
    result = recognizer.analyze(data)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "faces": len(result.faces), "peak_mb": peak}), flush=True)
