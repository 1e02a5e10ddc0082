"""Latency of the service on one connection, one request at a time.

    python -m benchmarks.latency

Starts ``mien serve`` on a free port and sends photos with one face as JPEG. Prints the median time
from the first byte sent to the last byte received, and the 10th and 90th percentiles.
"""

import argparse
import http.client
import statistics
import time
from urllib.parse import urlsplit

from benchmarks.servers import mien_server
from benchmarks.synthetic import one_face

SIZES = ((640, 480), (1280, 720), (1920, 1080), (4000, 3000))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=40)
    arguments = parser.parse_args()
    with mien_server() as server:
        connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60)
        for width, height in SIZES:
            print(f"{width} x {height}: {_times(connection, width, height, arguments.repeats)}")


def _times(connection: http.client.HTTPConnection, width: int, height: int, repeats: int) -> str:
    photo = one_face(width, height)
    for _ in range(3):
        _ask(connection, photo)
    taken = sorted(_ask(connection, photo) for _ in range(repeats))
    tenth = repeats // 10
    return (
        f"{statistics.median(taken):.1f} ms ({taken[tenth]:.1f} to {taken[-1 - tenth]:.1f}), "
        f"{len(photo) / 1e3:.0f} kB"
    )


def _ask(connection: http.client.HTTPConnection, photo: bytes) -> float:
    """Return the milliseconds until the response is read."""
    started = time.perf_counter()
    connection.request("POST", "/emotion", photo, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    body = response.read()
    if response.status != http.client.OK:
        raise SystemExit(f"{response.status}: {body!r}")
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
