"""ONNX Runtime providers: the setting, sessions, and errors if one is missing."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mien.artifacts import load_card
from mien.cli import main
from mien.errors import InvalidParameterError
from mien.recognizer import Recognizer
from mien.runtime.ort import OrtSession
from mien.runtime.providers import PROVIDERS, parse_providers
from mien.settings import load_settings
from mien.types import RgbImage

GRAPH = load_card("mtcnn").read("rnet.onnx")


class Runtime:
    """Stands for another build of ONNX Runtime, on a machine where only some providers start."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, has: str, starts: str) -> None:
        self.has = [PROVIDERS[name].ort_name for name in has.split()]
        self.starts = [PROVIDERS[name].ort_name for name in starts.split()]
        self.received: list[Sequence[tuple[str, dict[str, str]]]] = []
        self.preloaded = 0
        self._real = onnxruntime.InferenceSession
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: self.has)
        monkeypatch.setattr(onnxruntime, "InferenceSession", self._session)
        monkeypatch.setattr(onnxruntime, "preload_dlls", self._preload, raising=False)

    def _session(self, model: bytes, options: Any, *, providers: Any) -> Any:
        self.received.append(providers)
        started = [name for name, _ in providers if name in self.starts]
        session = self._real(model, options, providers=["CPUExecutionProvider"])
        session.get_providers = lambda: started
        return session

    def _preload(self) -> None:
        self.preloaded += 1
        sys.stdout.write("what was not found\n")


@pytest.mark.parametrize(
    ("text", "names"),
    [("cpu", ["cpu"]), ("cuda,cpu", ["cuda", "cpu"]), (" openvino , cpu ", ["openvino", "cpu"])],
)
def test_the_setting_is_a_list(text: str, names: list[str]) -> None:
    assert [provider.name for provider in parse_providers(text)] == names


@pytest.mark.parametrize("text", ["", ",", "cpu,", "gpu", "CUDA", "CPUExecutionProvider"])
def test_unknown_names_list_known_ones(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="cpu, cuda, openvino"):
        load_settings(providers=text)


def test_repeated_names_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="twice"):
        load_settings(providers="cpu,cpu")


def test_the_cpu_alone_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(monkeypatch, has="cuda cpu", starts="cuda cpu")
    OrtSession(GRAPH)
    assert runtime.received == [[("CPUExecutionProvider", {})]]
    assert runtime.preloaded == 0


def test_all_graphs_use_the_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = Runtime(monkeypatch, has="cuda cpu", starts="cuda cpu")
    recognizer = Recognizer(providers="cuda")
    assert len(runtime.received) == 3
    assert {tuple(name for name, _ in received) for received in runtime.received} == {
        ("CUDAExecutionProvider", "CPUExecutionProvider")
    }
    assert recognizer.analyze(RgbImage(np.zeros((64, 64, 3), dtype=np.uint8))).faces == ()
    # Standard output is for results.
    assert capsys.readouterr().out == ""


def test_openvino_keeps_precision_and_thread_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runtime = Runtime(monkeypatch, has="openvino cpu", starts="openvino cpu")
    OrtSession(GRAPH, threads=3, providers=parse_providers("openvino,cpu"))
    ((first, second),) = runtime.received
    assert first[1] == {"device_type": "CPU", "num_of_threads": "3", "precision": "FP32"}
    assert second == ("CPUExecutionProvider", {})


def test_a_build_without_the_provider_names_the_extra() -> None:
    with pytest.raises(InvalidParameterError, match="onnxruntime-gpu"):
        Recognizer(providers="cuda,cpu")


@pytest.mark.parametrize(("name", "needed"), [("cuda", "NVIDIA"), ("openvino", "AVX2")])
def test_a_provider_that_does_not_start_is_an_error_not_a_slow_service(
    monkeypatch: pytest.MonkeyPatch, name: str, needed: str
) -> None:
    Runtime(monkeypatch, has=f"{name} cpu", starts="cpu")
    with pytest.raises(InvalidParameterError, match=f"{name}.*{needed}"):
        OrtSession(GRAPH, providers=parse_providers(name))


def test_the_command_reports_it_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MIEN_PROVIDERS", "openvino")
    assert main(["analyze", "no-such-photo.jpg"]) == 2
    reported = capsys.readouterr()
    assert reported.out == ""
    assert reported.err.count("\n") == 1
    assert "onnxruntime-openvino" in reported.err
