"""Systems to measure that are made up, with workers as real processes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.process import ROOT
from benchmarks.versus_peers.systems import System

GOOD = """
from benchmarks.peers.protocol import System, imported, serve
print("a library that talks")
imported()

def analyze(data):
    print("while it works")
    if not data.startswith(b"\\xff\\xd8"):
        raise ValueError("no JPEG")
    return [{"box": [0, 0, 10, 20], "scores": {"happy": 1.0}}]

serve(System(analyze, lambda crops: [{"happy": crop[0] / 255, "sad": 0.5} for crop in crops]))
"""
STARTED = """print('{"imported": true}', flush=True)"""
BODIES = {
    "good": GOOD,
    "lacking": GOOD.replace("for crop in crops]))", 'for crop in crops], lacks="its weights"))'),
    "stillborn": "raise SystemExit(3)",
    "mortal": GOOD.replace('print("while it works")', "import os; os._exit(9)"),
    # In the first round that counts: a round has three photos, each analyzed three times.
    "weary": GOOD.replace(
        'print("while it works")',
        "import os; globals()['left'] = globals().get('left', 12) - 1; left < 0 and os._exit(9)",
    ),
    "rubbish": f'{STARTED}\nfor line in open(0):\n    print("Segmentation", flush=True)',
    "number": f"{STARTED}\nfor line in open(0):\n    print(7, flush=True)",
    "silent": f"{STARTED}\nimport time; time.sleep(60)",
}


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], System]:
    """Return the system of a name in BODIES, which its worker lives up to."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}:{ROOT / 'src'}")

    def made(name: str) -> System:
        (tmp_path / f"{name}_worker.py").write_text(BODIES[name])
        return System(
            name=name, folder=tmp_path, python=Path(sys.executable), module=f"{name}_worker"
        )

    return made
