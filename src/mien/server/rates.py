"""Rate limits of each client, counted in this process or in a Redis."""

import ipaddress
import logging
import re
import time
from typing import cast
from urllib.parse import urlsplit

from limits import parse_many
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from starlette.requests import HTTPConnection

from mien.errors import InvalidParameterError
from mien.server.errors import RequestError
from mien.settings import Settings

__all__ = ["RateLimits"]

_REDIS = ("redis://", "rediss://", "unix://")
# A client with one IPv6 address usually has all 2**64 of its network.
_IPV6_PREFIX = 64
# Some proxies add the client's port, which differs for each connection.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](:\d+)?|(?P<v4>[\d.]+):\d+")
_WARN_EVERY_S = 60.0
# Otherwise, each request would wait for a Redis that does not respond.
_PATIENCE_S = 0.5

_log = logging.getLogger("mien.server")


class RateLimits:
    """Counts requests of each client over moving windows.

    Raises InvalidParameterError for limits or a storage that are not valid.
    """

    def __init__(self, settings: Settings) -> None:
        self._proxies = settings.trusted_proxies
        self._warned_at_s = -_WARN_EVERY_S
        try:
            self._limits = parse_many(settings.rate_limit) if settings.rate_limit else []
            if not all(limit.amount for limit in self._limits):
                raise ValueError("a limit of 0")
        except ValueError as error:
            raise InvalidParameterError(
                f"MIEN_RATE_LIMIT must be limits such as '60/minute; 1000/day', "
                f"not {settings.rate_limit!r}"
            ) from error
        storage = settings.rate_limit_storage
        address = storage.get_secret_value() if storage else ""
        self._limiter = MovingWindowRateLimiter(_storage(address))

    async def check(self, request: HTTPConnection, key: str | None) -> None:
        """Count a request of the client with this API key, or else of its address.

        Raises RequestError if the limit is exceeded. If Redis does not respond, requests are
        allowed, so that the service stays available.
        """
        client = key or _address(request, self._proxies)
        try:
            for limit in self._limits:
                if not await self._limiter.hit(limit, client):
                    reset_s, _ = await self._limiter.get_window_stats(limit, client)
                    raise RequestError("rate_limited", retry_after_s=reset_s - time.time())
        except StorageError as error:
            self._warn(error)

    def _warn(self, error: StorageError) -> None:
        now = time.monotonic()
        if now - self._warned_at_s >= _WARN_EVERY_S:
            self._warned_at_s = now
            _log.warning("rate limits are not counted: %s", type(error.storage_error).__name__)


def _storage(address: str) -> Storage:
    if not address:
        return _opened("async+memory://")
    if not address.startswith(_REDIS):
        raise InvalidParameterError(f"MIEN_RATE_LIMIT_STORAGE must begin with {', '.join(_REDIS)}")
    try:
        _ = urlsplit(address).port
    except ValueError as error:
        raise InvalidParameterError("MIEN_RATE_LIMIT_STORAGE is not a valid Redis URL") from error
    try:
        return _opened(
            f"async+{address}",
            implementation="redispy",
            wrap_exceptions=True,
            socket_timeout=_PATIENCE_S,
            socket_connect_timeout=_PATIENCE_S,
        )
    except ConfigurationError as error:
        raise InvalidParameterError("limits in a Redis need: pip install 'mien[redis]'") from error


def _opened(address: str, **options: str | bool | float) -> Storage:
    return cast("Storage", storage_from_string(address, **options))


def _address(request: HTTPConnection, proxies: int) -> str:
    """Return the client's address as the outermost trusted proxy saw it; for IPv6, its /64."""
    host = request.client.host if request.client else ""
    if proxies:
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
        # Each proxy appends the address it sees; entries before that may be forged.
        host = forwarded[-min(proxies, len(forwarded))].strip() or host
    if with_port := _WITH_PORT.fullmatch(host):
        host = with_port["v6"] or with_port["v4"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    # How a socket for both families names IPv4 clients.
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
