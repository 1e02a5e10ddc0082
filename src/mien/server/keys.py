"""API keys. The service knows only their SHA-256."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from starlette.requests import HTTPConnection

from mien.errors import InvalidParameterError
from mien.server.errors import RequestError
from mien.settings import Settings

__all__ = ["ApiKeys", "digest_of", "new_key"]

_PREFIX = "mien_"
# Digits of the SHA-256 that stand for a key without a name.
_SHOWN_DIGITS = 8
_RANDOM_BYTES = 32
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEARER = "bearer "
_PROTOCOL = "key."


def new_key() -> str:
    """Return a new key of 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key in hex, for the settings.

    Keys are random, so neither a salt nor a slow hash is needed.
    """
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The accepted keys; without any, every request is accepted."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Take the SHA-256 of each key, and after it a name, if the key has one.

        Raises InvalidParameterError for anything else.
        """
        words = (line.split(maxsplit=1) for line in lines)
        self._names = {
            digest.lower(): name[0].strip() if name else digest[:_SHOWN_DIGITS].lower()
            for digest, *name in words
        }
        if not all(map(_DIGEST.fullmatch, self._names)):
            # Not shown: it may be the key itself.
            raise InvalidParameterError(
                "an API key must be given as its SHA-256, 64 hex digits; make both with mien keys"
            )

    @classmethod
    def from_settings(cls, settings: Settings) -> "ApiKeys":
        """Return the keys of the settings and of the file that they name.

        The file has one hash per line. A name may follow the hash, and # begins a comment.
        Raises InvalidParameterError if the file cannot be read, has no hash or has anything else.
        """
        given = settings.api_keys.get_secret_value() if settings.api_keys else ""
        listed = [digest for digest in given.split(",") if digest.strip()]
        if given and not listed:
            # As for an empty file: a list without keys must not disable authentication.
            raise InvalidParameterError("MIEN_API_KEYS has no key")
        return cls([*listed, *_in_file(settings.api_keys_file)])

    def __bool__(self) -> bool:
        return bool(self._names)

    def name(self, digest: str) -> str:
        """Return the name of an accepted key, for the log: by default the start of its SHA-256."""
        return self._names[digest]

    def check(self, request: HTTPConnection) -> str | None:
        """Return the digest of the request's key; None if no key is required.

        Clients send the key as ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``. For a WebSocket
        it may also be the subprotocol ``key.KEY``, percent-encoded, because browsers cannot set
        headers there.
        Raises RequestError if the key is missing or not accepted.
        """
        if not self._names:
            return None
        given = digest_of(_key_of(request))
        # Each hash is compared in constant time, so that the duration reveals nothing.
        if not sum(hmac.compare_digest(given, digest) for digest in self._names):
            raise RequestError("unauthorized")
        return given


def _in_file(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidParameterError(f"MIEN_API_KEYS_FILE cannot be read: {path}") from error
    found = [text for line in lines if (text := line.partition("#")[0].strip())]
    if not found:
        # An empty file must not disable authentication.
        raise InvalidParameterError(f"MIEN_API_KEYS_FILE has no key: {path}")
    return found


def _key_of(request: HTTPConnection) -> str:
    authorization = request.headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    offered = request.scope.get("subprotocols", [])
    keys = [unquote(name.removeprefix(_PROTOCOL)) for name in offered if name.startswith(_PROTOCOL)]
    return request.headers.get("x-api-key") or (keys[0] if keys else "")
