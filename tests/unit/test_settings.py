"""Settings: from the environment, checked, shown and documented."""

import re
from pathlib import Path

import pytest

from mien import settings as module
from mien.errors import InvalidParameterError
from mien.settings import PREFIX, Settings, load_settings, table

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
SECRET = "redis://user:secret@host"


def load(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], **options: object) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings(**options)


def test_defaults_need_no_environment() -> None:
    assert load_settings() == Settings()


def test_options_take_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"MIEN_PORT": "8000", "MIEN_HOST": "0.0.0.0", "MIEN_MODEL": "a/b.onnx"}
    settings = load(monkeypatch, variables, port=7000, host=None)
    assert (settings.port, settings.host, settings.model) == (7000, "0.0.0.0", "a/b.onnx")


@pytest.mark.parametrize("texts", ["true false", "True FALSE", "1 0", "yes No", "ON off"])
def test_booleans(monkeypatch: pytest.MonkeyPatch, texts: str) -> None:
    values = [load(monkeypatch, {"MIEN_METRICS": text}).metrics for text in texts.split()]
    assert values == [True, False]


def test_an_empty_variable_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, {"MIEN_PORT": ""}).port == 9000


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"MIEN_PORT": "http"}, "MIEN_PORT"),
        ({"MIEN_PORT": "99999"}, "MIEN_PORT"),
        ({"MIEN_WORKERS": "0"}, "MIEN_WORKERS"),
        ({"MIEN_THREADS": "0"}, "MIEN_THREADS"),
        ({"MIEN_MIN_FACE_SIZE": "11"}, "MIEN_MIN_FACE_SIZE"),
        ({"MIEN_PROVIDERS": "gpu"}, "MIEN_PROVIDERS"),
        ({"MIEN_WORKERS": "100000"}, "workers times threads"),
        ({"MIEN_THREADS": "17"}, "workers times threads"),
        ({"MIEN_WORKERS": "3", "MIEN_THREADS": "6"}, "workers times threads"),
        ({"MIEN_CORS_ORIGINS": "example.org"}, "MIEN_CORS_ORIGINS"),
        ({"MIEN_CORS_ORIGINS": "https://example.org/"}, "MIEN_CORS_ORIGINS"),
        ({"MIEN_CORS_ORIGINS": "https://a.example,,*"}, "MIEN_CORS_ORIGINS"),
        ({"MIEN_MAX_UPLOAD_BYTES": "-1"}, "MIEN_MAX_UPLOAD_BYTES"),
        ({"MIEN_DEADLINE_S": "nan"}, "MIEN_DEADLINE_S"),
        ({"MIEN_MAX_QUEUE": "15"}, "max_queue"),
        ({"MIEN_STOP_DELAY_S": "-1"}, "MIEN_STOP_DELAY_S"),
        ({"MIEN_STOP_DELAY_S": "30"}, "drain_s"),
        ({"MIEN_DRAIN_S": "0"}, "MIEN_DRAIN_S"),
        ({"MIEN_DRAIN_S": "inf"}, "MIEN_DRAIN_S"),
        ({"MIEN_DRAIN_S": "1e300"}, "MIEN_DRAIN_S"),
        ({"MIEN_TRACE_ENDPOINT": "collector:4318"}, "MIEN_TRACE_ENDPOINT"),
        ({"MIEN_UPLOAD_TIMEOUT_S": "soon"}, "MIEN_UPLOAD_TIMEOUT_S"),
        ({"MIEN_HEAD_TIMEOUT_S": "0"}, "MIEN_HEAD_TIMEOUT_S"),
        ({"MIEN_MAX_PENDING_BYTES": "19999999"}, "max_pending_bytes"),
        ({"MIEN_METRICS": "perhaps"}, "MIEN_METRICS"),
        ({"MIEN_LOG_FORMAT": "xml"}, "MIEN_LOG_FORMAT"),
        ({"MIEN_ROOT_PATH": "mien"}, "MIEN_ROOT_PATH"),
        ({"MIEN_ROOT_PATH": "/mien/"}, "MIEN_ROOT_PATH"),
    ],
)
def test_a_wrong_value_is_named(
    variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    with pytest.raises(InvalidParameterError, match=named):
        load(monkeypatch, variables)


def test_limits_grow_with_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_cores", lambda: 64)
    assert load_settings(workers=8, threads=64).workers == 8
    with pytest.raises(InvalidParameterError, match="workers times threads"):
        load_settings(workers=8, threads=65)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("MIEN_PROT", "MIEN_PORT"),
        ("MIEN_MAX_PIXLES", "MIEN_MAX_PIXELS"),
        ("MIEN_FOOBAR", "--print-config"),
        ("MIEN_", "--print-config"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_hint(
    name: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidParameterError, match=rf"{name}; .*{hint}"):
        load(monkeypatch, {name: "", "MIENSCH": "?"})


def test_variables_of_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes sets these in the pods of a namespace with a service named mien."""
    variables = {
        "MIEN_SERVICE_HOST": "10.0.0.1",
        "MIEN_REDIS_SERVICE_HOST": "10.0.0.2",
        "MIEN_REDIS_PORT": "tcp://10.0.0.2:6379",
        "MIEN_SERVICE_PORT": "80",
        "MIEN_SERVICE_PORT_HTTP": "80",
        "MIEN_PORT": "tcp://10.0.0.1:80",
        "MIEN_PORT_80_TCP": "tcp://10.0.0.1:80",
        "MIEN_PORT_80_TCP_PROTO": "tcp",
        "MIEN_PORT_80_TCP_PORT": "80",
        "MIEN_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert load(monkeypatch, variables) == Settings(port=9000)
    with pytest.raises(InvalidParameterError, match=r"MIEN_SERVER_PORT; .*MIEN_PORT"):
        load(monkeypatch, {"MIEN_SERVER_PORT": "8080"})


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {"MIEN_API_KEYS": "a" * 64, "MIEN_RATE_LIMIT_STORAGE": SECRET})
    shown = repr([*table(settings)]) + repr(settings)
    assert "aaaa" not in shown
    assert "secret" not in shown
    with pytest.raises(InvalidParameterError) as error:
        load_settings(trace_endpoint=[SECRET], api_keys=["b" * 64])
    assert "bbbb" not in str(error.value)


def test_sources_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"port": 7000, "workers": None}
    settings = load(monkeypatch, {"MIEN_PORT": "8000", "MIEN_HOST": "::"}, **options)
    sources = {row.name: row.source for row in table(settings, **options)}
    assert (sources["port"], sources["host"], sources["workers"]) == (
        "option",
        "MIEN_HOST",
        "default",
    )
    assert set(sources) == set(Settings.model_fields)


def test_every_setting_is_described() -> None:
    assert all(row.group and row.description for row in table(Settings()))


def test_the_document_has_every_setting_with_its_default() -> None:
    """``make settings-table`` writes it."""
    rows = {
        found[1]: found[2]
        for found in re.finditer(r"^\| `(MIEN_\w+)` \| (.*?) \|", DOCUMENT.read_text(), re.M)
    }
    assert rows == {
        row.variable: f"`{row.default}`" if row.default else ""
        for row in table(Settings())
        if row.variable.startswith(PREFIX)
    }


def test_an_unknown_option_is_refused_like_a_variable() -> None:
    with pytest.raises(InvalidParameterError) as caught:
        load_settings(max_pixel=1)
    assert "MIEN_MAX_PIXELS" in caught.value.message
    # Also one that would be a variable of Kubernetes.
    with pytest.raises(InvalidParameterError):
        load_settings(service_host="10.0.0.1")


def test_a_wrong_value_is_reported_under_the_name_that_was_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variables, options, name in (
        ({}, {"port": 99999}, "--port: "),
        ({"MIEN_PORT": "99999"}, {"port": None}, "MIEN_PORT: "),
        ({}, {"root_path": "x/"}, "--root-path: "),
        ({"MIEN_ROOT_PATH": "x/"}, {}, "MIEN_ROOT_PATH: "),
    ):
        with pytest.raises(InvalidParameterError) as caught:
            load(monkeypatch, variables, flags=True, **options)
        assert caught.value.message.startswith(name)
        assert "pattern" not in caught.value.message
        for variable in variables:
            monkeypatch.delenv(variable)
