"""The public surface: what users may import, and what an import costs."""

import subprocess
import sys

import pytest

import mien
from mien import errors, results

WEB = ["fastapi", "pydantic", "pydantic_settings", "starlette", "uvicorn"]


def test_public_names_are_sorted_and_exist() -> None:
    assert mien.__all__ == sorted(mien.__all__)
    for name in mien.__all__:
        assert getattr(mien, name) is not None
    assert set(mien.__all__) <= set(dir(mien))


def test_every_error_is_public() -> None:
    """All but those of the worker pool, which no library call raises."""
    classes = {name for name, kind in vars(errors).items() if isinstance(kind, type)} - {
        "DeadlineExceededError",
        "QueueFullError",
    }
    assert classes <= set(mien.__all__)


def test_result_types_are_the_same_objects() -> None:
    assert mien.ImageResult is results.ImageResult
    assert mien.Emotion.HAPPY == "happy"


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="Nothing"):
        _ = mien.Nothing


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import mien", ["numpy", "PIL", "onnxruntime"]),
        ("from mien.cli import main; main(['--version'])", ["numpy", "PIL", "onnxruntime"]),
        (
            "import mien.cli.analyze",
            [*WEB, "torch", "mien_train"],
        ),
        (
            "import mien; mien.Recognizer",
            [*WEB, "torch", "cv2", "tensorflow"],
        ),
        # A service's parent process and its worker processes.
        ("import mien.server.app", ["onnxruntime"]),
        ("import mien.workers.process, mien.server.in_worker", WEB),
    ],
)
def test_imports_load_only_what_is_needed(statement: str, absent: list[str]) -> None:
    check = f"{statement}\nimport sys\nprint(sorted(set(sys.modules) & set({absent!r})))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
