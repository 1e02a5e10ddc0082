import dataclasses
from pathlib import Path

import pytest

from mien import config
from mien.config import Settings
from mien.errors import InvalidParameterError


def test_defaults_need_no_environment() -> None:
    assert Settings.from_environment({}) == Settings()


def test_the_environment_sets_and_arguments_win() -> None:
    environment = {"MIEN_PORT": "8000", "MIEN_HOST": "0.0.0.0", "MIEN_MODEL": "a/b.onnx"}
    settings = Settings.from_environment(environment, port=7000, host=None)
    assert (settings.port, settings.host, settings.model) == (7000, "0.0.0.0", Path("a/b.onnx"))


def test_switches() -> None:
    settings = Settings.from_environment({"MIEN_METRICS": "false", "MIEN_DOCS": "true"})
    assert (settings.metrics, settings.docs) == (False, True)


def test_an_empty_variable_is_no_variable() -> None:
    assert Settings.from_environment({"MIEN_PORT": ""}).port == 9000


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"MIEN_PORT": "http"}, "MIEN_PORT"),
        ({"MIEN_PORT": "99999"}, "port"),
        ({"MIEN_WORKERS": "0"}, "workers"),
        ({"MIEN_THREADS": "0"}, "threads"),
        ({"MIEN_MIN_FACE_SIZE": "11"}, "min_face_size"),
        ({"MIEN_PORT": "9_0_0_1"}, "MIEN_PORT.*9_0_0_1"),
        ({"MIEN_PORT": "\u0669\u0660"}, "MIEN_PORT"),
        ({"MIEN_DRAIN_S": "2_5"}, "MIEN_DRAIN_S"),
        ({"MIEN_WORKERS": "100000"}, "workers"),
        ({"MIEN_THREADS": "17"}, "threads"),
        ({"MIEN_WORKERS": "3", "MIEN_THREADS": "6"}, "threads"),
        ({"MIEN_CORS_ORIGINS": "example.org"}, "cors_origins"),
        ({"MIEN_CORS_ORIGINS": "https://example.org/"}, "cors_origins"),
        ({"MIEN_CORS_ORIGINS": "https://a.example,,*"}, "cors_origins"),
        ({"MIEN_MAX_UPLOAD_BYTES": "-1"}, "max_upload_bytes"),
        ({"MIEN_DEADLINE_S": "nan"}, "deadline_s"),
        ({"MIEN_MAX_QUEUE": "15"}, "max_queue"),
        ({"MIEN_STOP_DELAY_S": "-1"}, "stop_delay_s"),
        ({"MIEN_STOP_DELAY_S": "30"}, "stop_delay_s.*drain_s"),
        ({"MIEN_DRAIN_S": "0"}, "drain_s"),
        ({"MIEN_DRAIN_S": "inf"}, "drain_s"),
        ({"MIEN_DRAIN_S": "1e300"}, "drain_s"),
        ({"MIEN_TRACE_ENDPOINT": "collector:4318"}, "trace_endpoint"),
        ({"MIEN_UPLOAD_TIMEOUT_S": "soon"}, "MIEN_UPLOAD_TIMEOUT_S"),
        ({"MIEN_HEAD_TIMEOUT_S": "0"}, "head_timeout_s"),
        ({"MIEN_MAX_PENDING_BYTES": "19999999"}, "max_pending_bytes"),
        ({"MIEN_METRICS": "no"}, "MIEN_METRICS"),
        ({"MIEN_DOCS": "False"}, "MIEN_DOCS"),
        ({"MIEN_LOG_FORMAT": "xml"}, "log_format"),
    ],
)
def test_a_wrong_value_is_named(
    environment: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "available_cores", lambda: 2)
    with pytest.raises(InvalidParameterError, match=named):
        Settings.from_environment(environment)


def test_more_cores_may_have_more_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "available_cores", lambda: 64)
    assert Settings(workers=8, threads=64).workers == 8
    with pytest.raises(InvalidParameterError, match="threads"):
        Settings(workers=8, threads=65)


def test_an_unknown_variable_is_an_error_that_helps() -> None:
    with pytest.raises(InvalidParameterError, match=r"MIEN_PROT\b.*MIEN_PORT\b"):
        Settings.from_environment({"MIEN_PROT": "8000", "PATH": "/bin", "MIENSCH": "?"})
    for far in ("MIEN_XYZ", "MIEN_FOOBAR", "MIEN_"):
        with pytest.raises(InvalidParameterError, match=rf"{far}\b.*--print-config"):
            Settings.from_environment({far: ""})


def test_where_a_setting_comes_from() -> None:
    environment = {"MIEN_PORT": "8000", "MIEN_HOST": "::", "MIEN_THREADS": ""}
    origins = Settings.origins(environment, port=7000, workers=None)
    assert origins["port"] == "option"
    assert origins["host"] == "MIEN_HOST"
    assert origins["threads"] == origins["workers"] == "default"
    assert list(origins) == [field.name for field in dataclasses.fields(Settings)]
