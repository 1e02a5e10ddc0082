"""Settings: read once at the entry point, then passed down. The only reader of the environment."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mien.cores import available_cores
from mien.detect import MIN_FACE_SIZE_PX
from mien.detect.registry import DEFAULT_DETECTOR
from mien.errors import InvalidParameterError
from mien.runtime.providers import parse_providers

__all__ = ["PREFIX", "Settings"]

PREFIX = "MIEN_"
_POSITIVE = (
    "workers",
    "max_pixels",
    "max_upload_bytes",
    "max_batch_images",
    "head_timeout_s",
    "upload_timeout_s",
    "deadline_s",
    "send_timeout_s",
    "drain_s",
    "max_video_bytes",
    "max_video_seconds",
    "max_video_pixels",
    "max_live",
    "live_idle_s",
)
# Far more than anybody waits: what is endless can't be counted down.
_LONGEST_S = 1_000_000
_NUMERIC = re.compile(r"[-+.0-9A-Za-z]+")
_ORIGIN = re.compile(r"\*|https?://[^\s/?#@,*]+")
# More would only wait for one another; each may be a process with models of its own.
_AT_ONCE_PER_CORE = 8
_AT_ONCE_ANYWHERE = 16
_LOG_FORMATS = ("auto", "json", "text")
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set from outside, with its default.

    Each field can be given as an environment variable: ``max_upload_bytes`` as
    ``MIEN_MAX_UPLOAD_BYTES`` and so on.

    detector: a registered name; detector_model: its file where it brings none;
    model: an ONNX file with its ``card.toml`` beside it, None for the one in the wheel;
    providers: what ONNX Runtime runs on, ``cpu``, ``cuda`` or ``openvino``, several separated by
    commas, the first preferred;
    min_face_size: 12 pixels or more, None for the detector's own rule;
    max_pixels: larger pictures are refused before decoding;
    threads: pictures worked on at once by each worker, None for its share of the cores that may
    be used; processes: whether each is worked on in a process of its own, not in a thread of the
    server: more answers a second, and a fault costs one picture, for some 100 MB each;
    max_upload_bytes: one request's body, however many pictures it holds;
    max_batch_images: parts of one ``/emotion/batch`` request;
    max_pending_bytes: of all bodies that are arriving, waiting or worked on, in each worker;
    head_timeout_s: for the head of a request to arrive; upload_timeout_s: for a whole body;
    deadline_s: from then to the answer; send_timeout_s: how long a caller may take nothing of it;
    max_queue: pictures that may wait for a thread, at least ``max_batch_images``;
    stop_delay_s: after SIGTERM, how long new requests are still taken, by whoever has not yet seen
    that the service is not ready; drain_s: from SIGTERM until what is not done is given up;
    api_keys: SHA-256 of accepted API keys, separated by commas; api_keys_file: the same, one a
    line. Without either, everybody may ask.
    rate_limit: such as ``60/minute`` or ``5/second; 1000/day``, for each API key or, without
    keys, each address; rate_limit_storage: the Redis that counts for several servers, as
    ``redis://host:6379``, None for each process's own memory; trusted_proxies: how many proxies
    stand in front and add to X-Forwarded-For.
    cors_origins: web sites whose pages may call this service, as ``https://example.org``, separated
    by commas, or ``*`` for all; max_videos: clips that each worker reads at once, 0 for none;
    max_video_bytes, within max_pending_bytes, and max_video_seconds: of one clip; max_video_pixels:
    of each of its pictures; max_live: callers of ``/live`` at once, in each worker; live_idle_s:
    after so long without a frame they are let go; page, metrics, docs: whether there is the page at
    ``/``, ``/metrics``, and ``/docs`` with ``/openapi.json``; log_format: ``json``, ``text``, or
    ``auto``: text on a terminal only; trace_endpoint: the collector of OpenTelemetry traces, as
    ``http://host:4318/v1/traces``.
    """

    host: str = "127.0.0.1"
    port: int = 9000
    workers: int = 1
    detector: str = DEFAULT_DETECTOR
    detector_model: Path | None = None
    model: Path | None = None
    providers: str = "cpu"
    min_face_size: int | None = None
    max_pixels: int = 50_000_000
    max_upload_bytes: int = 20_000_000
    max_batch_images: int = 16
    max_queue: int = 64
    max_pending_bytes: int = 250_000_000
    head_timeout_s: float = 10.0
    upload_timeout_s: float = 30.0
    deadline_s: float = 30.0
    send_timeout_s: float = 30.0
    stop_delay_s: float = 1.0
    drain_s: float = 25.0
    threads: int | None = None
    processes: bool = True
    api_keys: str | None = None
    api_keys_file: Path | None = None
    rate_limit: str | None = None
    rate_limit_storage: str | None = None
    trusted_proxies: int = 0
    cors_origins: str | None = None
    max_videos: int = 2
    max_video_bytes: int = 100_000_000
    max_video_seconds: float = 300.0
    max_video_pixels: int = 9_000_000
    max_live: int = 16
    live_idle_s: float = 60.0
    page: bool = True
    metrics: bool = True
    docs: bool = True
    log_format: str = "auto"
    trace_endpoint: str | None = None

    def __post_init__(self) -> None:
        parse_providers(self.providers)
        for name in (*_POSITIVE, *(["threads"] if self.threads is not None else [])):
            # Written so that NaN is refused too.
            if not getattr(self, name) > 0:
                raise InvalidParameterError(f"{name} must be greater than 0")
            if name.endswith("_s") and getattr(self, name) > _LONGEST_S:
                raise InvalidParameterError(f"{name} must be at most {_LONGEST_S:,}")
        cores = available_cores()
        most = max(cores * _AT_ONCE_PER_CORE, _AT_ONCE_ANYWHERE)
        for sound, words in (
            (
                0 <= self.stop_delay_s < self.drain_s,
                "stop_delay_s must be at least 0 and less than drain_s",
            ),
            (
                self.max_queue >= self.max_batch_images,
                "max_queue must be at least max_batch_images",
            ),
            (
                self.max_pending_bytes >= self.max_upload_bytes,
                "max_pending_bytes must be at least max_upload_bytes",
            ),
            (
                self.log_format in _LOG_FORMATS,
                f"log_format must be one of {', '.join(_LOG_FORMATS)}",
            ),
            (
                (self.trace_endpoint or "http://").startswith(("http://", "https://")),
                "trace_endpoint must begin with http:// or https://",
            ),
            (
                self.min_face_size is None or self.min_face_size >= MIN_FACE_SIZE_PX,
                f"min_face_size must be at least {MIN_FACE_SIZE_PX}",
            ),
            (
                self.workers * (self.threads or 1) <= most,
                f"workers times threads must be at most {most} on {cores} cores",
            ),
            (
                all(
                    _ORIGIN.fullmatch(one.strip()) for one in (self.cors_origins or "*").split(",")
                ),
                "cors_origins must be * or origins such as https://example.org, without a path",
            ),
            (self.trusted_proxies >= 0, "trusted_proxies must be at least 0"),
            (self.max_videos >= 0, "max_videos must be at least 0"),
            (0 <= self.port <= 65535, "port must be 0 to 65535"),
        ):
            if not sound:
                raise InvalidParameterError(words)

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> "Settings":
        """Return the settings of the environment; ``overrides`` that are not None win.

        Raises InvalidParameterError naming the variable that does not parse or is not known.
        """
        values = _from_environment(os.environ if environment is None else environment)
        values.update({name: value for name, value in overrides.items() if value is not None})
        return cls(**values)

    @classmethod
    def origins(
        cls, environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> dict[str, str]:
        """Return where each setting of ``from_environment`` comes from.

        ``option``, the name of a variable, or ``default``. Raises as ``from_environment`` does.
        """
        given = _from_environment(os.environ if environment is None else environment)
        return {
            field.name: "option"
            if overrides.get(field.name) is not None
            else _variable(field.name)
            if field.name in given
            else "default"
            for field in fields(cls)
        }


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    kinds = {_variable(field.name): field for field in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environment.items():
        if name in kinds and text:
            values[kinds[name].name] = _parse(kinds[name].name, str(kinds[name].type), text)
        elif name.startswith(PREFIX) and name not in kinds:
            # Without what all begin with, by which any two of them are alike.
            meant = name.removeprefix(PREFIX).lower()
            hint = "mien serve --print-config lists them"
            for close in difflib.get_close_matches(meant, Settings.__slots__, 1, 0.5):
                hint = f"did you mean {_variable(close)}?"
            raise InvalidParameterError(f"there is no setting {name}; {hint}")
    return values


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _parse(name: str, kind: str, text: str) -> Any:
    if "bool" in kind:
        if text not in _BOOLEANS:
            raise InvalidParameterError(f"{_variable(name)} must be true or false, not {text!r}")
        return _BOOLEANS[text]
    try:
        # Both take digits of other scripts, and 9_0_0_0.
        if ("int" in kind or "float" in kind) and not _NUMERIC.fullmatch(text):
            raise ValueError
        if "int" in kind:
            return int(text)
        if "float" in kind:
            return float(text)
    except ValueError as error:
        raise InvalidParameterError(f"{_variable(name)}: {text!r} is not a number") from error
    return Path(text) if "Path" in kind else text
