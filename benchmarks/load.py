"""Load generator with closed and open loops.

In an open loop requests are sent at scheduled times, however slow the responses are, and each is
timed from its scheduled time. Delays of a slow server are therefore counted, which avoids what Gil
Tene calls "coordinated omission". Times are recorded in an HDR histogram with three significant
digits.

Vegeta, wrk2 and k6 do the same, but are not available from pip, npm or Debian 12. The tools that
are do less: wrk and hey have a fixed number of clients, autocannon 8.0.0 sends the requests of each
second at its beginning, loadtest 8.2.1 has ten connections.
"""

import asyncio
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
from hdrh.histogram import HdrHistogram

from benchmarks.arrivals import Arrivals, due_times

__all__ = ["Report", "closed_loop", "form_of", "open_loop"]

_LONGEST_US = 600_000_000
_TIMEOUT = aiohttp.ClientTimeout(total=120)
_DURATION = re.compile(r"dur=([\d.]+)")
_BOUNDARY = "8d3f5c1e9a704b62"
FORM_HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
OK, BUSY = 200, 429


def form_of(*photos: bytes) -> bytes:
    """Return the body of a multipart form with photos, each in a field ``image``."""
    header = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        'name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    ).encode()
    parts = b"".join(header + photo + b"\r\n" for photo in photos)
    return parts + f"--{_BOUNDARY}--\r\n".encode()


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, _LONGEST_US, 3)


@dataclass(slots=True)
class Report:
    """Responses of a loop.

    Attributes:
        seconds: Length of the loop.
        statuses: Number of responses by status; 0 is a request without response.
        answered: Times of responses with status 200, in microseconds.
        refused: Times of responses with status 429, in microseconds.
        overhead: For responses with Server-Timing, the time outside of its stages, in microseconds:
            HTTP, the form, JSON and the client.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    answered: HdrHistogram = field(default_factory=_histogram)
    refused: HdrHistogram = field(default_factory=_histogram)
    overhead: HdrHistogram = field(default_factory=_histogram)

    def add(self, status: int, took_s: float, stages: str = "") -> None:
        self.statuses[status] += 1
        if status in (OK, BUSY):
            times = self.answered if status == OK else self.refused
            times.record_value(max(1, round(took_s * 1e6)))
        if stages and status == OK:
            stages_s = sum(map(float, _DURATION.findall(stages))) / 1e3
            self.overhead.record_value(max(1, round((took_s - stages_s) * 1e6)))

    @property
    def responses_per_s(self) -> float:
        return self.statuses[OK] / self.seconds

    def milliseconds(self, percentile: float) -> float:
        """Return a percentile of the times of responses with status 200."""
        return float(self.answered.get_value_at_percentile(percentile)) / 1e3

    def __str__(self) -> str:
        times = " ".join(f"p{p} {self.milliseconds(p):.0f}" for p in (50, 95, 99))
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(self.statuses.items())
        )
        text = f"{self.responses_per_s:.1f}/s, {times} ms; {statuses}"
        if self.statuses[BUSY]:
            p99_ms = self.refused.get_value_at_percentile(99) / 1e3
            text += f"; refused in p99 {p99_ms:.0f} ms"
        return text


async def closed_loop(
    address: str, photos: Sequence[bytes], *, clients: int, seconds: float
) -> Report:
    """Run clients that each send one request after the other.

    Args:
        address: URL of the endpoint.
        photos: Bodies of the requests. Complete rounds of all are sent.
        clients: Number of concurrent clients.
        seconds: Least duration.
    """
    report = Report()
    began = time.perf_counter()
    bodies = _rounds(photos, began + seconds)

    async def client(session: aiohttp.ClientSession) -> None:
        for photo in bodies:
            await _send(session, address, photo, time.perf_counter(), report)

    async with _session() as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    report.seconds = time.perf_counter() - began
    return report


async def open_loop(
    address: str, photos: Sequence[bytes], *, per_s: float, seconds: float, arrivals: Arrivals
) -> Report:
    """Send requests at scheduled times, then wait for all responses.

    Args:
        address: URL of the endpoint.
        photos: Bodies of the requests, in turn.
        per_s: Mean requests per second.
        seconds: Duration of sending.
        arrivals: Distribution of the scheduled times.
    """
    report = Report(seconds=seconds)
    async with _session() as session, asyncio.TaskGroup() as sending:
        began = time.perf_counter()
        due = zip(due_times(per_s, seconds, arrivals), itertools.cycle(photos), strict=False)
        for at_s, photo in due:
            await asyncio.sleep(began + at_s - time.perf_counter())
            sending.create_task(_send(session, address, photo, began + at_s, report))
    return report


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, headers=FORM_HEADERS)


def _rounds(photos: Sequence[bytes], until: float) -> Iterator[bytes]:
    while True:
        yield from photos
        if time.perf_counter() > until:
            return


async def _send(
    session: aiohttp.ClientSession, address: str, photo: bytes, due: float, report: Report
) -> None:
    try:
        async with session.post(address, data=photo) as response:
            await response.read()
            status, stages = response.status, response.headers.get("Server-Timing", "")
    except (aiohttp.ClientError, TimeoutError):
        status, stages = 0, ""
    report.add(status, time.perf_counter() - due, stages)
