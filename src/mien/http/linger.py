"""Closing a connection on a caller that is still sending, so that it can read why."""

import asyncio

from starlette.types import Receive

__all__ = ["discard_body"]

# Closing at once would reset the connection, and many clients then never see the answer.
_LINGER_S = 2.0
_LINGER_BYTES = 64_000_000


async def discard_body(receive: Receive) -> None:
    """Read and drop what is left of a body: until it ends, for 2 seconds, or for 64 MB."""
    discarded = 0
    try:
        async with asyncio.timeout(_LINGER_S):
            while discarded < _LINGER_BYTES:
                message = await receive()
                discarded += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
