"""The protocol of benchmarks and measured systems: a line of JSON for each request and response.

It needs only the standard library, because every peer has an environment of its own; protocol.js is
the same for Node. A worker imports its library, calls ``imported()`` and then ``serve(...)``:

    {"photo": PATH}     -> {"seconds", "faces": [{"box": [left, top, right, bottom],
                                                  "scores": {label: score}}]}
    {"crops": [BASE64]} -> {"seconds", "scores": [{label: score}]}, for faces of 48 x 48 grey pixels
    {"about": true}     -> {"versions": {package: version}, "lacks": text or null}

Every response also has ``peak_mb``, or it is {"error": text}. Seconds count from the bytes of the
file to the result. Output that a library prints while it is imported is skipped; later output goes
to standard error.
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

_responses: TextIO = sys.stdout


class Unsupported(Exception):  # noqa: N818, not an error of the system
    """The system does not support the request; the message says why."""


def threads() -> int | None:
    """Return the number of threads for an image; None for the library's default."""
    given = sys.argv[1] if len(sys.argv) > 1 else "all"
    return None if given == "all" else int(given)


def imported() -> None:
    """Report that the library is imported; models may be loaded later.

    From now on standard output is for responses only.
    """
    global _responses  # noqa: PLW0603, one process is one worker
    sys.stdout.flush()
    _responses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _send({"imported": True})


@dataclass(frozen=True)
class System:
    """The functions of a system.

    Attributes:
        analyze: Returns faces for the bytes of a file, or for what ``prepare`` returned.
        classify: Returns scores by mien's labels for crops of 48 * 48 bytes; None if not needed.
        packages: The system's main packages.
        lacks: What is missing to classify emotions; None for nothing.
        prepare: Decodes the bytes of a file, outside of the measured time.
    """

    analyze: Callable[[Any], list[dict[str, Any]]]
    classify: Callable[[list[bytes]], list[dict[str, float]]] | None = None
    packages: tuple[str, ...] = ()
    lacks: str | None = None
    prepare: Callable[[bytes], Any] = bytes


def serve(system: System) -> None:
    """Respond to requests until standard input ends."""
    for line in sys.stdin:
        try:
            response = _respond(json.loads(line), system)
        except Unsupported as why:
            response = {"error": str(why)}
        except Exception as error:  # noqa: BLE001, of any library
            response = {"error": f"{type(error).__name__}: {error}"}
        _send(response | {"peak_mb": peak_mb()})


def peak_mb() -> float:
    """Return the peak resident memory of this program in MiB."""
    # getrusage may include the memory of the parent process from before the program was started.
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.exists() else ():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def _respond(request: dict[str, Any], system: System) -> dict[str, Any]:
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
        raise Unsupported("it does not classify crops")
    crops = [base64.b64decode(crop) for crop in request["crops"]]
    started = time.perf_counter()
    scores = system.classify(crops)
    return {"seconds": time.perf_counter() - started, "scores": scores}


def _send(response: dict[str, Any]) -> None:
    print(json.dumps(response), file=_responses, flush=True)
