"""Requests to a server, closed loop or open, and how long their answers took.

Open loop: requests leave at times that were fixed before, however slow the answers are, and each is
timed from when it was due. What a slow server holds up is thus counted (Gil Tene's "coordinated
omission"). Times go into an HDR histogram, with three significant digits.

Vegeta, wrk2 and k6 do the same, but come with neither pip nor npm nor Debian 12. What does come
does less: wrk and hey keep a fixed number of callers, autocannon 8.0.0 sends what is due in a
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
    """Return the body of a form with photos, each in a field ``image``."""
    head = (
        f"--{_BOUNDARY}\r\nContent-Disposition: form-data; "
        'name="image"; filename="photo.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    ).encode()
    parts = b"".join(head + photo + b"\r\n" for photo in photos)
    return parts + f"--{_BOUNDARY}--\r\n".encode()


def _histogram() -> HdrHistogram:
    return HdrHistogram(1, _LONGEST_US, 3)


@dataclass(slots=True)
class Report:
    """What came back: the times of the answers that were given, and how many of each status.

    Status 0: no answer, such as a connection that broke. besides: of given answers whose server
    tells its stages (Server-Timing), the time that is in none: HTTP, the form, JSON, the caller.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    answered: HdrHistogram = field(default_factory=_histogram)
    refused: HdrHistogram = field(default_factory=_histogram)
    besides: HdrHistogram = field(default_factory=_histogram)

    def add(self, status: int, took_s: float, stages: str = "") -> None:
        self.statuses[status] += 1
        if status in (OK, BUSY):
            times = self.answered if status == OK else self.refused
            times.record_value(max(1, round(took_s * 1e6)))
        if stages and status == OK:
            told_s = sum(map(float, _DURATION.findall(stages))) / 1e3
            self.besides.record_value(max(1, round((took_s - told_s) * 1e6)))

    @property
    def answers_per_s(self) -> float:
        return self.statuses[OK] / self.seconds

    def milliseconds(self, percentile: float) -> float:
        """Return the percentile of the given answers' times."""
        return float(self.answered.get_value_at_percentile(percentile)) / 1e3

    def __str__(self) -> str:
        times = " ".join(f"p{p} {self.milliseconds(p):.0f}" for p in (50, 95, 99))
        statuses = ", ".join(
            f"{count} x {status}" for status, count in sorted(self.statuses.items())
        )
        words = f"{self.answers_per_s:.1f}/s, {times} ms; {statuses}"
        if self.statuses[BUSY]:
            p99_ms = self.refused.get_value_at_percentile(99) / 1e3
            words += f"; refused in p99 {p99_ms:.0f} ms"
        return words


async def closed_loop(
    address: str, photos: Sequence[bytes], *, callers: int, seconds: float
) -> Report:
    """Have so many callers ask one photo after the other, whole rounds of all, at least so long."""
    report = Report()
    began = time.perf_counter()
    turns = _rounds(photos, began + seconds)

    async def caller(session: aiohttp.ClientSession) -> None:
        for photo in turns:
            await _ask(session, address, photo, time.perf_counter(), report)

    async with _session() as session:
        await asyncio.gather(*(caller(session) for _ in range(callers)))
    report.seconds = time.perf_counter() - began
    return report


async def open_loop(
    address: str, photos: Sequence[bytes], *, per_s: float, seconds: float, arrivals: Arrivals
) -> Report:
    """Send so many requests a second, whatever becomes of them, and wait for all answers."""
    report = Report(seconds=seconds)
    async with _session() as session, asyncio.TaskGroup() as sending:
        began = time.perf_counter()
        due = zip(due_times(per_s, seconds, arrivals), itertools.cycle(photos), strict=False)
        for at_s, photo in due:
            await asyncio.sleep(began + at_s - time.perf_counter())
            sending.create_task(_ask(session, address, photo, began + at_s, report))
    return report


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT, headers=FORM_HEADERS)


def _rounds(photos: Sequence[bytes], until: float) -> Iterator[bytes]:
    while True:
        yield from photos
        if time.perf_counter() > until:
            return


async def _ask(
    session: aiohttp.ClientSession, address: str, photo: bytes, due: float, report: Report
) -> None:
    try:
        async with session.post(address, data=photo) as answer:
            await answer.read()
            status, stages = answer.status, answer.headers.get("Server-Timing", "")
    except (aiohttp.ClientError, TimeoutError):
        status, stages = 0, ""
    report.add(status, time.perf_counter() - due, stages)
