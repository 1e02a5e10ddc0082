"""The queue: order, bounds, deadlines."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from functools import partial

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from http_fakes import FakeDetector, fake_app, part, picture, wait_until
from mien.deadline import Deadline, check_deadline
from mien.errors import DeadlineExceededError, QueueFullError
from mien.http.work import Done, WorkQueue


def run(works: list[Callable[[], object]], seconds: float = 5.0, **queue: int) -> list[Done]:
    async def main() -> list[Done]:
        pool = WorkQueue(**{"threads": 2, "max_waiting": 10, **queue})
        try:
            return await pool.run_all(works, Deadline.after(seconds))
        finally:
            pool.close()

    return asyncio.run(main())


def test_nothing_to_do() -> None:
    assert run([]) == []


def test_order_and_failures() -> None:
    def fail() -> object:
        raise KeyError("x")

    first, second, third = run([lambda: time.sleep(0.05) or 1, fail, lambda: 3])
    assert (first.unwrap(), third.unwrap()) == (1, 3)
    with pytest.raises(KeyError):
        second.unwrap()


def test_more_than_fits_is_refused_at_once() -> None:
    with pytest.raises(QueueFullError):
        run([lambda: 1] * 4, threads=1, max_waiting=2)
    assert len(run([lambda: 1] * 3, threads=1, max_waiting=2)) == 3


def test_waiting_is_measured() -> None:
    first, second = run([lambda: time.sleep(0.05)] * 2, threads=1)
    assert second.queued_s - first.queued_s > 0.04


def test_deadline_of_what_waits_and_of_what_runs() -> None:
    ran = []
    release = threading.Event()

    async def main() -> list[Done]:
        queue = WorkQueue(threads=1, max_waiting=10)
        done = await queue.run_all([release.wait, lambda: ran.append(1)], Deadline.after(0.05))
        release.set()
        queue.close()
        return done

    slow, waiting = asyncio.run(main())
    assert isinstance(slow.answer, DeadlineExceededError)
    assert isinstance(waiting.answer, DeadlineExceededError)
    assert waiting.queued_s > 0
    assert ran == []


def test_a_thread_is_free_only_when_its_work_returns() -> None:
    release = threading.Event()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=3)
        abandoned = await queue.run_all([release.wait], Deadline.after(0.02))
        assert isinstance(abandoned[0].answer, DeadlineExceededError)
        late = await queue.run_all([lambda: 1], Deadline.after(0.02))
        assert isinstance(late[0].answer, DeadlineExceededError)
        release.set()
        assert (await queue.run_all([lambda: 1], Deadline.after(5)))[0].unwrap() == 1
        queue.close()

    asyncio.run(main())


def test_work_that_fails_after_its_deadline_is_quiet() -> None:
    def fail() -> object:
        time.sleep(0.1)
        raise KeyError("late")

    assert isinstance(run([fail], 0.02)[0].answer, DeadlineExceededError)


def test_work_learns_that_it_is_late() -> None:
    noticed = threading.Event()

    def work() -> None:
        while True:
            try:
                check_deadline()
            except DeadlineExceededError:
                noticed.set()
                raise

    assert isinstance(run([work], 0.05)[0].answer, DeadlineExceededError)
    assert noticed.wait(60)


@pytest.mark.parametrize(
    "error", [StopIteration(1), SystemExit(3), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_stops_a_piece_stops_only_that_piece(error: BaseException) -> None:
    def fail() -> object:
        raise error

    failed, other = run([fail, lambda: 1], threads=1)
    assert failed.answer is error
    assert other.unwrap() == 1


def test_what_is_cancelled_is_dropped() -> None:
    """Begun or not: the thread is free as soon as the work notices."""
    ran: list[str] = []

    def endless() -> None:
        ran.append("begun")
        while True:
            check_deadline()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=3)
        deadline = Deadline.after(60)
        works = [endless, *[lambda: ran.append("waiting")] * 3]
        asking = asyncio.create_task(queue.run_all(works, deadline))
        while not ran:
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFullError):
            queue.check_room()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert deadline.left_s < 0
        # Room for two at once; that of the one that had begun and of the next for its thread is
        # free once it has noticed.
        done = await queue.run_all([lambda: 1] * 2, Deadline.after(5))
        assert [piece.unwrap() for piece in done] == [1, 1]
        queue.close()

    asyncio.run(main())
    assert ran == ["begun"]


def test_what_is_cancelled_before_it_begins_takes_up_no_room() -> None:
    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=1)
        asking = asyncio.create_task(queue.run_all([lambda: 1] * 2, Deadline.after(60)))
        # One turn of the loop: it has begun, its pieces have not.
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        queue.check_room(2)
        queue.close()

    asyncio.run(main())


def test_what_waits_past_its_deadline_takes_up_no_room() -> None:
    release = threading.Event()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=3)
        # One runs, one is at hand, two wait.
        await queue.run_all([release.wait] * 4, Deadline.after(0.05))
        queue.check_room(2)
        release.set()
        await queue.run_all([lambda: 1], Deadline.after(5))
        queue.check_room(4)
        queue.close()

    asyncio.run(main())


def test_a_thread_has_its_next_piece_at_hand() -> None:
    """The loop is not needed between two pieces."""
    began: list[int] = []
    both = threading.Event()

    def work(number: int) -> None:
        began.append(number)
        if len(began) == 2:
            both.set()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=1)
        go = threading.Event()
        works = [lambda: (go.wait(), work(1)), lambda: work(2)]
        asking = asyncio.create_task(queue.run_all(works, Deadline.after(60)))
        await asyncio.sleep(0.05)
        go.set()
        # Holds up the loop.
        assert both.wait(60)
        await asking
        queue.close()

    asyncio.run(main())


def test_what_still_runs_takes_up_room() -> None:
    """Whoever gave it up: its picture is in memory, and its thread is busy."""
    began, release = threading.Event(), threading.Event()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=1)
        works = [lambda: (began.set(), release.wait())]
        asking = asyncio.create_task(queue.run_all(works, Deadline.after(60)))
        await asyncio.to_thread(began.wait)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        queue.check_room(1)
        with pytest.raises(QueueFullError):
            queue.check_room(2)
        release.set()
        await queue.run_all([lambda: 1], Deadline.after(5))
        queue.check_room(2)
        queue.close()

    asyncio.run(main())


def test_when_to_come_again() -> None:
    """By the median: a few pictures that took long among many say little."""
    release = threading.Event()

    async def main() -> float:
        queue = WorkQueue(threads=2, max_waiting=20)
        assert queue.retry_after_s == 0
        pieces = [0.4, *[0.05] * 8]
        await queue.run_all([partial(time.sleep, s) for s in pieces], Deadline.after(5))
        asking = asyncio.create_task(queue.run_all([release.wait] * 22, Deadline.after(5)))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError) as full:
            queue.check_room()
        release.set()
        await asking
        queue.close()
        return full.value.retry_after_s

    assert 0.05 * 22 / 2 <= asyncio.run(main()) < 0.2 * 22 / 2


def test_those_who_wait_are_counted() -> None:
    release = threading.Event()
    depths: list[int] = []

    async def main() -> None:
        queue = WorkQueue(threads=2, max_waiting=10, tell_depth=depths.append)
        asking = asyncio.create_task(queue.run_all([release.wait] * 7, Deadline.after(60)))
        await asyncio.sleep(0)
        assert depths[-1] == 5
        release.set()
        await asking
        assert depths[-1] == 0
        queue.close()

    asyncio.run(main())


def test_what_runs_past_its_deadline_waited_until_it_began() -> None:
    began: list[float] = []
    release = threading.Event()

    async def main() -> list[Done]:
        queue = WorkQueue(threads=1, max_waiting=1)
        works = [lambda: (began.append(time.perf_counter()), release.wait())]
        done = await queue.run_all(works, Deadline.after(1))
        release.set()
        queue.close()
        return done

    (late,) = asyncio.run(main())
    assert isinstance(late.answer, DeadlineExceededError)
    assert late.asked_s + late.queued_s <= began[0]


def test_what_nobody_worked_on_says_nothing_of_how_long_it_takes() -> None:
    release = threading.Event()

    async def main() -> None:
        queue = WorkQueue(threads=1, max_waiting=20)
        for _ in range(3):
            release.clear()
            works = [lambda: (release.wait(), time.sleep(0.05)), *[lambda: 1] * 2]
            asking = asyncio.create_task(queue.run_all(works, Deadline.after(60)))
            # Handed out: the first to work on, the second to be at hand.
            await asyncio.sleep(0.02)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            release.set()
            await queue.run_all([lambda: time.sleep(0.05)], Deadline.after(60))
        assert min(queue._recent_s) >= 0.05
        queue.close()

    asyncio.run(main())


def test_deadline_over_http(photo: bytes) -> None:
    app, detector = fake_app(deadline_s=0.1)
    with TestClient(app) as client, detector.held():
        answer = client.post("/emotion", files=[part(photo)])
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
        entries = client.post("/emotion/batch", files=[part(photo)] * 2).json()
        assert [e["error"]["code"] for e in entries] == ["deadline_exceeded"] * 2


def test_queue_over_http(photo: bytes) -> None:
    app, detector = fake_app(threads=1, max_queue=2, max_batch_images=2)

    async def main() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            with detector.held():
                sends = [client.post("/emotion", files=[part(photo)]) for _ in range(6)]
                asking = [asyncio.create_task(send) for send in sends]
                for answering in itertools.islice(asyncio.as_completed(asking), 3):
                    refused = await answering
                    assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
                    assert refused.headers["retry-after"] == "1"
            statuses = sorted(answer.status_code for answer in await asyncio.gather(*asking))
            assert statuses == [200] * 3 + [429] * 3
            again = await client.post("/emotion", files=[part(photo)])
            assert again.status_code == 200

    app.state.service.start()
    asyncio.run(main())
    app.state.service.close()


def test_never_more_at_once_than_threads(detector: FakeDetector) -> None:
    app, _ = fake_app(detector, threads=2)
    with TestClient(app) as client:
        detector.wait_s = 0.03
        client.post("/emotion/batch", files=[part(picture())] * 8)
    assert detector.most_running == 2


def test_the_loop_is_free_while_pictures_are_worked_on(photo: bytes) -> None:
    app, detector = fake_app(threads=1)
    with TestClient(app) as client:
        sender = threading.Thread(target=lambda: client.post("/emotion", files=[part(photo)]))
        with detector.held():
            sender.start()
            wait_until(lambda: detector.running == 1)
            assert client.get("/livez").status_code == 200
            assert detector.running == 1
        sender.join()
