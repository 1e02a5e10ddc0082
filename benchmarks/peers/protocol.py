"""The way all measured systems are asked: lines of JSON in, one line of JSON out for each.

Needs nothing but Python itself, since every peer has an environment of its own; protocol.js is the
same for Node. A worker imports its library, says ``imported()`` and then ``serve(...)``s:

    {"photo": PATH}     -> {"seconds", "faces": [{"box": [left, top, right, bottom], ...}]}
    {"crops": [BASE64]} -> {"seconds", "scores": [{label: score}]}, for faces of 48 x 48 grey pixels
    {"about": true}     -> {"versions": {package: version}, "lacks": words}

Every answer has ``peak_mb`` too, or is {"error": words}. Seconds count from the file's bytes to
the answer. What a library prints when it is imported is skipped, later it goes to standard error.
"""

import base64
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

CROP_SIDE = 48

_answers: TextIO = sys.stdout


class Unasked(Exception):  # noqa: N818, no error: what a system has no answer to
    """A system is asked for what it doesn't do; the words say why."""


def threads() -> int | None:
    """Return how many threads a picture may have; None for as many as the library takes itself."""
    given = sys.argv[1] if len(sys.argv) > 1 else "all"
    return None if given == "all" else int(given)


def imported() -> None:
    """Tell that the library is imported; models may be loaded later.

    From now on standard output is for answers alone.
    """
    global _answers  # noqa: PLW0603, one process is one worker
    sys.stdout.flush()
    _answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _say({"imported": True})


@dataclass(frozen=True)
class System:
    """What is asked.

    analyze: a file's bytes, or what ``prepare`` made of them outside the measured time, to faces;
    classify: faces, each of 48 * 48 bytes, to scores with labels in mien's words, None where nobody
    asks for it; packages: those that decide; lacks: what emotions need and is not there.
    """

    analyze: Callable[[Any], list[dict[str, Any]]]
    classify: Callable[[list[bytes]], list[dict[str, float]]] | None = None
    packages: tuple[str, ...] = ()
    lacks: str | None = None
    prepare: Callable[[bytes], Any] = bytes


def serve(system: System) -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), system)
        except Unasked as why:
            answer = {"error": str(why)}
        except Exception as error:  # noqa: BLE001, of any library
            answer = {"error": f"{type(error).__name__}: {error}"}
        _say(answer | {"peak_mb": peak_mb()})


def peak_mb() -> float:
    """Return the most memory that this program has had resident."""
    # Where there is none of it, the number may be that of whoever started this process.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def _answer(request: dict[str, Any], system: System) -> dict[str, Any]:
    if "about" in request:
        versions = {name: version(name) for name in system.packages}
        own = {"Python": platform.python_version()}
        return {"versions": own | versions, "lacks": system.lacks}
    if "photo" in request:
        photo = system.prepare(Path(request["photo"]).read_bytes())
        started = time.perf_counter()
        faces = system.analyze(photo)
        return {"seconds": time.perf_counter() - started, "faces": faces}
    if system.classify is None:
        raise Unasked("nobody asks it about crops")
    crops = [base64.b64decode(crop) for crop in request["crops"]]
    started = time.perf_counter()
    scores = system.classify(crops)
    return {"seconds": time.perf_counter() - started, "scores": scores}


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), file=_answers, flush=True)
