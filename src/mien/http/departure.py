"""Noticing that a caller has left before the answer was there."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

__all__ = ["unless_gone"]

_Answer = TypeVar("_Answer")


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Answer]) -> _Answer:
    """Return what ``work`` returns; the request's body must have been read.

    Raises ClientDisconnect, and cancels ``work``, as soon as the caller has left.
    """
    working = asyncio.ensure_future(work)
    # After the body the only message left to come is that the connection has ended.
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        leaving.cancel()
        working.cancel()
        # What it works with must not be taken away under it.
        await asyncio.wait((leaving, working))
