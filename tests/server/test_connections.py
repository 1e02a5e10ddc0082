"""Connections that bring no request, a slow one, an endless one, or something else."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest

from http_fakes import (
    FakeDetector,
    connect,
    encoded_image,
    fake_app,
    logged,
    part,
    read_all,
    running,
    wait_until,
)
from http_process import alongside, served, wait_until_in_flight

HEAD = b"POST /emotion HTTP/1.1\r\nHost: x\r\n"
HEAD_TIMEOUT_S = 1.0


@pytest.fixture
def port(detector: FakeDetector) -> Iterator[int]:
    app, _ = fake_app(detector, max_upload_bytes=100_000)
    with running(app) as port:
        yield port


@pytest.fixture
def hasty_port(detector: FakeDetector) -> Iterator[int]:
    """Return the port of a server with a short header timeout."""
    app, _ = fake_app(detector)
    with running(app, head_timeout_s=HEAD_TIMEOUT_S) as port:
        yield port


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://example.org/livez", 200),
        ("HTTPS://example.org:81/livez", 200),
        ("http://example.org/livez?x=1", 422),
        ("http://example.org", 200),
        ("http://example.org?x=1", 422),
        ("http://example.org/none", 404),
        ("http:///livez", 400),
        ("https://?x", 400),
        ("http://:8000/livez", 400),
        ("http://[::1]:8000/livez", 200),
        ("http://example.org#livez", 400),
        ("http://somebody@example.org/livez", 400),
        ("ftp://example.org/livez", 404),
    ],
)
def test_targets_as_for_a_proxy(port: int, target: str, status: int) -> None:
    with connect(port) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert read_all(connection).startswith(b"HTTP/1.1 %d " % status)


def drip(connection: socket.socket, data: bytes) -> None:
    """Send a byte now and then until the connection is closed."""
    try:
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
    except OSError:
        pass


def test_unfinished_headers_time_out(hasty_port: int, caplog: pytest.LogCaptureFixture) -> None:
    began = time.monotonic()
    with connect(hasty_port) as connection:
        dripping = threading.Thread(target=drip, args=(connection, HEAD + b"X-Slow: " * 50))
        dripping.start()
        response = read_all(connection)
        took_s = time.monotonic() - began
        dripping.join()
    assert response.startswith(b"HTTP/1.1 408")
    assert b'"code":"upload_timeout"' in response
    assert b"connection: close" in response.lower()
    assert b"x-request-id: " in response.lower()
    assert HEAD_TIMEOUT_S <= took_s < 7
    wait_until(lambda: logged(caplog) == ["other  408"])


def test_headers_of_later_requests_have_the_same_timeout(hasty_port: int) -> None:
    with connect(hasty_port) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        threading.Thread(target=drip, args=(connection, HEAD * 10), daemon=True).start()
        began = time.monotonic()
        assert b"HTTP/1.1 408" in read_all(connection)
        assert time.monotonic() - began < 5


def test_silent_clients_are_disconnected(hasty_port: int) -> None:
    with connect(hasty_port) as connection:
        assert read_all(connection) == b""


def test_connections_without_a_further_request_are_closed(detector: FakeDetector) -> None:
    app, _ = fake_app(detector)
    with running(app, keep_alive_s=0.5) as port, connect(port) as connection:
        began = time.monotonic()
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_all(connection).startswith(b"HTTP/1.1 200")
        # uvicorn itself keeps connections for 5 seconds.
        assert time.monotonic() - began < 5


def test_slow_headers_within_the_timeout_are_accepted(hasty_port: int) -> None:
    with connect(hasty_port) as connection:
        for piece in (b"GET /livez HT", b"TP/1.1\r\nHost: x\r\nConnection: close\r\n", b"\r\n"):
            connection.sendall(piece)
            time.sleep(0.1)
        time.sleep(HEAD_TIMEOUT_S)
        assert read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS
        b"hello\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nHost: x\r\n\r\n",
        HEAD + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 50_000 + b"x",
        b"\0" * 1000,
    ],
)
def test_malformed_http(port: int, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with connect(port) as connection:
        try:
            connection.sendall(sent)
        except OSError:
            return  # it was cut off amid what it was sending
        response = read_all(connection)
    if response:
        assert response.startswith(b"HTTP/1.1 400")
        assert b'"code":"malformed_request"' in response
    assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("query", [b"", b"?no=such"])
@pytest.mark.parametrize("wait_s", [0.0, 0.2])
def test_a_malformed_body_gets_one_response(
    port: int, query: bytes, wait_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The malformed body arrives before, during or after the previous response."""
    head = b"POST /emotion%s HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" % query
    pieces = [head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"no length\r\n"]
    with connect(port) as connection:
        for piece in pieces if wait_s else [b"".join(pieces)]:
            connection.sendall(piece)
            time.sleep(wait_s)
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 ") == 1
    assert response.startswith((b"HTTP/1.1 400", b"HTTP/1.1 422"))
    wait_until(lambda: any("/emotion" in line for line in logged(caplog)))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_conflicting_lengths_are_refused(port: int) -> None:
    head = HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(head + b"0\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 ") == 1
    assert b'"code":"malformed_request"' in response


def test_a_body_in_tiny_chunks_is_refused(port: int) -> None:
    head = HEAD + b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(head + b"1\r\nx\r\n" * 1100)
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 400")
    assert b'"code":"malformed_request"' in response


def test_a_body_in_small_chunks_is_read(port: int) -> None:
    def pieces(size: int) -> Iterator[bytes]:
        yield from (JPEG[at : at + size] for at in range(0, len(JPEG), size))

    address, headers = f"http://127.0.0.1:{port}/emotion", {"Content-Type": "image/jpeg"}
    for size in (1, 100):
        response = httpx.post(address, content=pieces(size), headers=headers)
        assert response.status_code == 200


def test_unsupported_upgrades(port: int) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    response = httpx.get(f"http://127.0.0.1:{port}/livez", headers=headers)
    assert response.status_code < 500


def test_a_thousand_idle_connections(hasty_port: int) -> None:
    count = 1000
    resource = pytest.importorskip("resource", reason="needs limits that can be read and raised")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Both ends are in this process.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 2 * count + 200), hard), hard))
    idle = [connect(hasty_port) for _ in range(count)]
    try:
        photo = {"image": encoded_image()}
        for _ in range(5):
            response = httpx.post(f"http://127.0.0.1:{hasty_port}/emotion", files=photo, timeout=10)
            assert response.status_code == 200
        for connection in idle:
            assert read_all(connection) == b""
    finally:
        for connection in idle:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_slow_clients_do_not_delay_others() -> None:
    starts = [HEAD + b"X-Slow: "] * 100
    starts += [HEAD + b"Content-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n"] * 100
    over = threading.Event()
    # Far fewer places than slow clients, and time enough that none of them is disconnected.
    settings = {"max_queue": 16, "head_timeout_s": 300, "upload_timeout_s": 300}
    with served(1, 0.0, processes=True, **settings) as (_, address), ExitStack() as stack:
        slow = [stack.enter_context(connect(urlsplit(address).port)) for _ in starts]

        def drip_all() -> None:
            while not over.wait(0.05):
                for connection in slow:
                    with suppress(OSError):
                        connection.sendall(b"x")

        for connection, start in zip(slow, starts, strict=True):
            connection.sendall(start)
        wait_until_in_flight(address, 100)
        with alongside([threading.Thread(target=drip_all)]):
            try:
                for _ in range(20):
                    response = httpx.post(f"{address}/emotion", files=[part(JPEG)], timeout=30)
                    assert response.status_code == 200
                wait_until_in_flight(address, 100)
            finally:
                over.set()
        stack.close()
        wait_until_in_flight(address, 0)


def form(*parts: bytes, end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + end


IMAGE = b'Content-Disposition: form-data; name="image"; filename="%s"\r\n'
JPEG = encoded_image()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(IMAGE % b"a" + b"\r\n" + JPEG, IMAGE % b"b" + b"\r\n" + JPEG), "too_many_images"),
        (form(IMAGE % (b"x" * 9000) + b"\r\n" + JPEG), "invalid_parameter"),
        (form(b"A: b\r\n" * 1000 + b"\r\n"), "invalid_parameter"),
        (form(*[b"\r\n"] * 5000), "invalid_parameter"),
        (form(*[IMAGE % b"a" + b"\r\n"] * 1000), "too_many_images"),
        (form(IMAGE % b"a" + b"Content-Type: multipart/mixed; boundary=C\r\n\r\n--C"), 400),
        (form(IMAGE % b"a" + b"Content-Transfer-Encoding: base64\r\n\r\naGk="), 400),
        (b"--B\r\n", "invalid_parameter"),
        (b"--B", "invalid_parameter"),
        (form(end=b"--B--"), "missing_image"),
        (b"preamble\r\n" + form(IMAGE % b"a" + b"\r\n" + JPEG), "invalid_parameter"),
        (form(IMAGE % b"a" + b"\r\n" + JPEG) + b"epilogue", 200),
    ],
)
def test_odd_forms(port: int, body: bytes, code: str | int) -> None:
    response = httpx.post(
        f"http://127.0.0.1:{port}/emotion",
        content=body,
        headers={"Content-Type": "multipart/form-data; boundary=B"},
        timeout=10,
    )
    assert code in (
        response.status_code,
        response.json()["code"] if response.status_code > 200 else 200,
    )


def test_endless_parts_are_cut_off_at_the_limit(port: int) -> None:
    head = HEAD + b"Content-Type: multipart/form-data; boundary=B\r\nTransfer-Encoding: chunked\r\n"
    piece = b"x" * 65536
    with connect(port) as connection:
        connection.sendall(head + b"\r\n")
        start = b"--B\r\n" + IMAGE % b"a" + b"\r\n"
        connection.sendall(b"%x\r\n%s\r\n" % (len(start), start))
        try:
            for _ in range(2000):
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        except OSError:
            pass
        response = read_all(connection)
    assert response == b"" or b'"code":"upload_too_large"' in response


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_boundary(port: int, kind: str) -> None:
    response = httpx.post(
        f"http://127.0.0.1:{port}/emotion", content=b"--B\r\n", headers={"Content-Type": kind}
    )
    assert response.json()["code"] == "unsupported_media_type"
