"""Settings of the service, from ``MIEN_*`` environment variables and command-line options.

They are read once, at startup, and passed as arguments.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Set
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from mien.cores import available_cores
from mien.detect import MIN_FACE_SIZE_PX
from mien.detect.registry import DEFAULT_DETECTOR, DETECTORS
from mien.errors import InvalidParameterError
from mien.recognizer import MAX_PIXELS, Recognizer
from mien.runtime.providers import parse_providers

__all__ = ["PREFIX", "SettingRow", "Settings", "load_settings", "recognizer_builder", "table"]

PREFIX = "MIEN_"
# Variables that Kubernetes sets in the pods of a namespace with a service named mien or mien-...
_KUBERNETES = re.compile(
    r"MIEN_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")
_ORIGIN = re.compile(r"\*|https?://[^\s/?#@,*]+")
_LARGEST = 1_000_000
# More workers would only wait for each other, and each may be a process with its own models.
_AT_ONCE_PER_CORE = 8
_AT_ONCE_ANYWHERE = 16

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, le=_LARGEST, allow_inf_nan=False)]


class _Network(BaseModel):
    """Network."""

    host: str = Field("127.0.0.1", description="Address to listen on. 0.0.0.0: all interfaces.")
    port: int = Field(9000, ge=0, le=65535, description="Port. 0: any free port.")
    root_path: str = Field(
        "",
        pattern=r"^(/[^/?#\s]+)*$",
        description="Path prefix below which a proxy serves this service, such as /mien.",
    )
    trusted_proxies: int = Field(
        0, ge=0, description="Number of proxies in front that add to X-Forwarded-For."
    )
    cors_origins: str | None = Field(
        None,
        description="Web origins whose pages may call this service, separated by commas, "
        "such as https://example.org. *: all.",
    )

    @field_validator("port", mode="before")
    @classmethod
    def _not_a_kubernetes_service(cls, value: Any) -> Any:
        """Ignore ``MIEN_PORT=tcp://...``, which Kubernetes sets for a service named mien."""
        return 9000 if isinstance(value, str) and value.startswith("tcp://") else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str | None) -> str | None:
        if value and not all(_ORIGIN.fullmatch(one.strip()) for one in value.split(",")):
            raise ValueError("must be * or origins such as https://example.org, without a path")
        return value


class _Models(BaseModel):
    """Models."""

    detector: str = Field(
        DEFAULT_DETECTOR,
        description=f"Face detector: {', '.join(DETECTORS)} or the name of a plug-in.",
    )
    detector_model: Path | None = Field(
        None,
        description="ONNX file to use instead of the detector's own; only for yunet and plug-ins.",
    )
    model: str | None = Field(
        None,
        description="Emotion model: an ONNX file with its card.toml in the same folder, or the "
        "name of a plug-in.",
    )
    providers: str = Field(
        "cpu",
        description="ONNX Runtime execution providers: cpu, cuda or openvino; several separated "
        "by commas, the preferred one first.",
    )
    min_face_size: int | None = Field(
        None,
        ge=MIN_FACE_SIZE_PX,
        description="Longer side of the smallest face to return, in pixels; mtcnn may return "
        "smaller ones. Default: the detector's own.",
    )

    @field_validator("providers")
    @classmethod
    def _are_providers(cls, value: str) -> str:
        try:
            parse_providers(value)
        except InvalidParameterError as error:
            raise ValueError(error.message) from error
        return value


class _Workers(BaseModel):
    """Processes."""

    workers: Count = Field(1, description="Server processes that share the port.")
    threads: Count | None = Field(
        None,
        description="Images that each server analyzes at once. Default: its share of the cores.",
    )
    processes: bool = Field(
        True,
        description="Analyze images in worker processes instead of threads: higher throughput, and "
        "a crash affects one image only, for about 100 MB per process.",
    )
    max_queue: int = Field(
        64, description="Images that may wait for a worker; at least max_batch_images."
    )


class _Limits(BaseModel):
    """Limits."""

    max_pixels: Count = Field(
        MAX_PIXELS, description="Images with more pixels are refused before decoding."
    )
    max_upload_bytes: Count = Field(20_000_000, description="Largest request body.")
    max_batch_images: Count = Field(16, description="Most images of one /emotion/batch request.")
    max_pending_bytes: Count = Field(
        250_000_000,
        description="Bytes of all bodies that each server holds at once; "
        "at least max_upload_bytes.",
    )
    max_videos: int = Field(
        2, ge=0, description="Videos that each server analyzes at once. 0: /video is off."
    )
    max_video_bytes: Count = Field(
        100_000_000, description="Largest video, within max_pending_bytes."
    )
    max_video_seconds: Seconds = Field(300.0, description="Longest video.")
    max_video_pixels: Count = Field(9_000_000, description="Most pixels of a video frame.")
    max_live: Count = Field(16, description="Live connections of each server at once.")


class _Timeouts(BaseModel):
    """Timeouts."""

    head_timeout_s: Seconds = Field(
        10.0, description="Time for the headers of a request to arrive."
    )
    keep_alive_s: Seconds = Field(
        75.0,
        description="Idle time after which a connection is closed. Must exceed the idle timeout of"
        " a load balancer (60 s on AWS), which would otherwise reuse closed connections.",
    )
    upload_timeout_s: Seconds = Field(30.0, description="Time for the body to arrive.")
    deadline_s: Seconds = Field(30.0, description="Time from the complete body to the result.")
    send_timeout_s: Seconds = Field(
        30.0, description="Time after which a client that accepts no data is disconnected."
    )
    live_idle_s: Seconds = Field(
        60.0, description="Time after which a live connection without a frame is closed."
    )
    stop_delay_s: float = Field(
        1.0,
        ge=0,
        le=_LARGEST,
        description="Time after SIGTERM in which requests are accepted while /readyz returns 503.",
    )
    drain_s: Seconds = Field(
        25.0,
        description="Time from SIGTERM until unfinished requests are cancelled; more than "
        "stop_delay_s.",
    )


class _Access(BaseModel):
    """Access."""

    api_keys: SecretStr | None = Field(
        None, description="SHA-256 of each accepted API key, separated by commas; see mien keys."
    )
    api_keys_file: Path | None = Field(
        None, description="File with the SHA-256 of an accepted API key on each line."
    )
    rate_limit: str | None = Field(
        None,
        description="Requests per API key, or per address without keys: 60/minute, or "
        "5/second; 1000/day.",
    )
    rate_limit_storage: SecretStr | None = Field(
        None,
        description="Redis to count requests across servers, such as redis://host:6379. "
        "Default: memory of each process.",
    )


class _Features(BaseModel):
    """Pages, logs and traces."""

    page: bool = Field(True, description="Serve the page at /.")
    docs: bool = Field(True, description="Serve /docs and /openapi.json.")
    metrics: bool = Field(True, description="Serve /metrics.")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="json, text, or auto: text on a terminal only."
    )
    trace_endpoint: str | None = Field(
        None,
        pattern="^https?://",
        description="Collector of OpenTelemetry traces, such as http://host:4318/v1/traces.",
    )


_GROUPS = (_Network, _Models, _Workers, _Limits, _Timeouts, _Access, _Features)


class Settings(_Features, _Access, _Timeouts, _Limits, _Workers, _Models, _Network, BaseSettings):
    """All settings. The environment variable of ``max_pixels`` is ``MIEN_MAX_PIXELS``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True
    )

    @model_validator(mode="after")
    def _fit_together(self) -> "Settings":
        cores = available_cores()
        most = max(cores * _AT_ONCE_PER_CORE, _AT_ONCE_ANYWHERE)
        if not self.stop_delay_s < self.drain_s:
            raise ValueError(
                f"stop_delay_s ({self.stop_delay_s:g}) must be less than drain_s ({self.drain_s:g})"
            )
        if self.max_queue < self.max_batch_images:
            raise ValueError(
                f"max_queue ({self.max_queue}) must be at least max_batch_images "
                f"({self.max_batch_images})"
            )
        if self.max_pending_bytes < self.max_upload_bytes:
            raise ValueError(
                f"max_pending_bytes ({self.max_pending_bytes:,}) must be at least max_upload_bytes "
                f"({self.max_upload_bytes:,})"
            )
        if self.workers * (self.threads or 1) > most:
            raise ValueError(f"workers times threads must be at most {most} on {cores} cores")
        return self


def load_settings(*, flags: bool = False, **options: Any) -> Settings:
    """Return the settings of the environment; options that are not None take precedence.

    Args:
        flags: Whether the options were typed as flags, such as ``--port``; errors then name those
            instead of variables.
        **options: Settings by name.

    Raises:
        InvalidParameterError: A variable or option is unknown or out of range.
    """
    variables = [name for name in os.environ if name.startswith(PREFIX)]
    own = [name for name in variables if not _is_set_by_kubernetes(name)]
    for name in (*own, *map(_variable, options)):
        _check_known(name)
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        typed = given.keys() if flags else frozenset()
        problems = [_described(problem, typed) for problem in error.errors()]
        raise InvalidParameterError("; ".join(problems)) from None


def recognizer_builder(settings: Settings) -> Callable[[], Recognizer]:
    """Return a function that loads the models and raises as ``Recognizer`` does.

    It holds plain values only: worker processes unpickle it without importing pydantic.
    """
    return partial(
        Recognizer,
        detector=settings.detector,
        detector_model=settings.detector_model,
        model=settings.model,
        providers=settings.providers,
        max_pixels=settings.max_pixels,
        threads=settings.threads,
        min_face_size=settings.min_face_size,
    )


class SettingRow(NamedTuple):
    """A setting with its values as text, as in an environment variable.

    Attributes:
        group: Heading.
        name: As an option of ``load_settings``.
        variable: Environment variable.
        value: Empty if the setting has none.
        source: ``option``, the variable, or ``default``.
        default: Empty if there is none.
        description: Sentences.
        masked: ``value`` is not what was set: a secret, or a URL with credentials.
    """

    group: str
    name: str
    variable: str
    value: str
    source: str
    default: str
    description: str
    masked: bool


def table(settings: Settings, **options: Any) -> Iterator[SettingRow]:
    """Yield each setting with its value and source; secrets are masked.

    Args:
        settings: From ``load_settings``.
        options: Options of the command that ``load_settings`` was given.
    """
    for group in _GROUPS:
        for name, field in group.model_fields.items():
            variable = _variable(name)
            given = options.get(name) is not None
            source = variable if name in settings.model_fields_set else "default"
            value = getattr(settings, name)
            yield SettingRow(
                (group.__doc__ or "").rstrip("."),
                name,
                variable,
                _shown(value),
                "option" if given else source,
                _shown(field.default),
                field.description or "",
                isinstance(value, SecretStr) or _shown(value) != _plain(value),
            )


def _plain(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    # Names and passwords in URLs.
    return re.sub(r"(?<=://).*(?=@)", "***", _plain(value))


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _is_set_by_kubernetes(variable: str) -> bool:
    is_port = variable.endswith("_PORT") and _KUBERNETES_PORT.match(os.environ[variable])
    return bool(is_port or _KUBERNETES.fullmatch(variable))


def _check_known(variable: str) -> None:
    name = variable.removeprefix(PREFIX).lower()
    if name in Settings.model_fields:
        return
    hint = "mien serve --print-config lists all settings"
    for close in difflib.get_close_matches(name, Settings.model_fields, 1, 0.5):
        hint = f"did you mean {_variable(close)}?"
    raise InvalidParameterError(f"there is no setting {variable}; {hint}")


def _described(error: Any, flags: Set[str]) -> str:
    """Return what is wrong with a setting, which is named as a flag if it is in ``flags``."""
    text = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return text
    name = str(error["loc"][0])
    field = Settings.model_fields[name]
    shown = "--" + name.replace("_", "-") if name in flags else _variable(name)
    if field.annotation == SecretStr | None:
        return f"{shown}: {text}"
    if error["type"] == "string_pattern_mismatch":
        return f"{shown}: expected: {(field.description or '').rstrip('.')}, not {error['input']!r}"
    return f"{shown}: {text[0].lower()}{text[1:]}, not {error['input']!r}"
