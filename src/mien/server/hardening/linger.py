"""Keep reading after an early response, so that the client can read the response."""

import asyncio

from starlette.types import Receive

__all__ = ["discard_body"]

# Closing at once would reset the connection, and many clients would never see the response.
_LINGER_S = 2.0
_LINGER_BYTES = 64_000_000


async def discard_body(receive: Receive) -> None:
    """Read and drop the rest of a body: until it ends, for 2 seconds, or for 64 MB."""
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
