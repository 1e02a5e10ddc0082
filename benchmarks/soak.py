"""Soak test: whether memory of the service stays constant over many requests of all kinds.

    make soak PHOTOS=FOLDER
    python -m benchmarks.soak --worst 3

Of twenty requests thirteen have photos of the folder, one of them in a batch and one with a small
``min_face_size``. The others are corrupt, far too large, truncated by the client, abandoned before
the response, or have an unknown parameter. Prints the resident memory during the run, all statuses,
and whether the goals are met (benchmarks/goals.py). The exit status is 1 if they are not, or if the
process has ended.

The second command sends the most expensive image with the smallest ``min_face_size``, four at once,
repeatedly, and prints the peak resident memory.
"""

import argparse
import asyncio
import io
import itertools
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from PIL import Image

from benchmarks import goals
from benchmarks.load import FORM_HEADERS, form_of
from benchmarks.servers import Server, mien_server, photos_in
from benchmarks.synthetic import nothing_but_faces

Kind = Callable[["Requests", bytes], Awaitable[int]]
GONE = 0
SAMPLES = 100
BOMB_SIDE_PX = 12_000
TOO_MANY_BYTES = 20_000_001
# The most pixels that are accepted, and the most that are summed in one table.
WORST_SIDES_PX = (7071, 4000)
AT_ONCE = 4


class Requests:
    """Requests of all kinds; each method sends one and returns its status, 0 for no response."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._address = address
        self._bomb = form_of(_bomb())

    async def photo(self, photo: bytes) -> int:
        return await self._post(form_of(photo))

    async def crop(self, photo: bytes) -> int:
        return await self._post(form_of(photo), "?crop=true&labels=eight&include=scores")

    async def batch(self, photo: bytes) -> int:
        return await self._post(form_of(photo, photo[::-1]), "/batch")

    async def small(self, photo: bytes) -> int:
        return await self._post(form_of(photo), "?min_face_size=20")

    async def smallest(self, photo: bytes) -> int:
        return await self._post(form_of(photo), "?min_face_size=12")

    async def broken(self, photo: bytes) -> int:
        return await self._post(form_of(photo[: len(photo) // 3]))

    async def nonsense(self, photo: bytes) -> int:
        return await self._post(form_of(photo[::-1]))

    async def bomb(self, _: bytes) -> int:
        return await self._post(self._bomb)

    async def too_large(self, _: bytes) -> int:
        return await self._post(bytes(TOO_MANY_BYTES))

    async def unknown_parameter(self, photo: bytes) -> int:
        return await self._post(form_of(photo), "?size=9")

    async def truncated(self, photo: bytes) -> int:
        return await self._raw(photo, len(photo) // 2, 0)

    async def abandoned(self, photo: bytes) -> int:
        return await self._raw(photo, len(photo), 0.01)

    async def _post(self, body: bytes, rest: str = "") -> int:
        async with self._session.post(
            f"{self._address}/emotion{rest}", data=io.BytesIO(body), headers=FORM_HEADERS
        ) as response:
            await response.read()
            return response.status

    async def _raw(self, photo: bytes, sent: int, wait_s: float) -> int:
        where = urlsplit(self._address)
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        headers = "POST /emotion HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        writer.write(f"{headers}Content-Length: {len(photo)}\r\n\r\n".encode() + photo[:sent])
        with suppress(ConnectionError):
            await writer.drain()
            await asyncio.sleep(wait_s)
            writer.close()
            await writer.wait_closed()
        return GONE


KINDS: tuple[Kind, ...] = (
    *(Requests.photo,) * 5,
    Requests.batch,
    Requests.crop,
    Requests.broken,
    Requests.photo,
    Requests.truncated,
    *(Requests.photo,) * 4,
    Requests.small,
    Requests.nonsense,
    Requests.abandoned,
    Requests.bomb,
    Requests.unknown_parameter,
    Requests.too_large,
)


def main() -> int:
    """Return 1 if a goal is missed or the process has ended."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?", help="a folder with JPEG files")
    parser.add_argument(
        "--worst", type=int, metavar="ROUNDS", help="send the most expensive image instead"
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=4)
    arguments = parser.parse_args()
    if not (arguments.photos or arguments.worst):
        parser.error("give a folder with photos or --worst")
    reached = True
    with mien_server() as server:
        if arguments.worst:
            asyncio.run(worst(server, arguments.worst))
        else:
            photos = photos_in(arguments.photos)
            reached = asyncio.run(soak(server, photos, arguments.requests, arguments.clients))
        same = server.process.poll() is None
    print("the process is still the same" if same else "the process has ended")
    return 0 if reached and same else 1


async def soak(server: Server, photos: list[bytes], requests: int, clients: int) -> bool:
    """Send requests, print statuses and memory, and return whether all goals are met."""
    statuses: Counter[int] = Counter()
    resident_mb: list[float] = []
    work = _work(photos, requests)
    every = max(requests // SAMPLES, 1)
    began = time.perf_counter()

    async def client(kinds: Requests) -> None:
        for number, kind, photo in work:
            statuses[await kind(kinds, photo)] += 1
            if number % every == 0:
                resident_mb.append(server.resident_mb)
                print(f"  {number:6} requests, {resident_mb[-1]:.0f} MB", flush=True)

    async with aiohttp.ClientSession() as session:
        kinds = Requests(session, server.address)
        await asyncio.gather(*(client(kinds) for _ in range(clients)))
    counts = ", ".join(
        f"{count} x {status or 'no response'}" for status, count in sorted(statuses.items())
    )
    print(f"{requests} requests in {time.perf_counter() - began:.0f} s: {counts}")
    lines, reached = goals.soak(resident_mb, statuses)
    print(*lines, sep="\n")
    return reached


async def worst(server: Server, rounds: int) -> None:
    """Send the most expensive images and print the peak memory."""
    print(f"{server.resident_mb:.0f} MB at rest")
    async with aiohttp.ClientSession() as session:
        requests = Requests(session, server.address)
        for side in WORST_SIDES_PX:
            image = nothing_but_faces(side)
            for _ in range(rounds):
                sent = [requests.smallest(image) for _ in range(AT_ONCE)]
                responses = asyncio.gather(*sent)
                most_mb = 0.0
                while not responses.done():
                    most_mb = max(most_mb, server.resident_mb)
                    await asyncio.sleep(0.05)
                text = f"{AT_ONCE} of {side} x {side} pixels, {len(image) / 1000:.0f} kB"
                print(f"  {text}: {most_mb:.0f} MB at most, {await responses}", flush=True)


def _work(photos: list[bytes], requests: int) -> Iterator[tuple[int, Kind, bytes]]:
    pairs = zip(itertools.cycle(KINDS), itertools.cycle(photos), strict=False)
    for number, (kind, photo) in enumerate(itertools.islice(pairs, requests), start=1):
        yield number, kind, photo


def _bomb() -> bytes:
    """Return a small file of an image with more pixels than are accepted."""
    buffer = io.BytesIO()
    Image.new("1", (BOMB_SIDE_PX, BOMB_SIDE_PX)).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    sys.exit(main())
