"""``WS /live``: sessions of clients, and invalid requests."""

import asyncio
import contextlib
import json
import socket
import time

import pytest
import websockets
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect

from http_fakes import Crowd, FakeDetector, encoded_image, fake_app, logged, running, wait_until
from mien.server.keys import digest_of


def test_a_frame_gives_a_message(client: TestClient) -> None:
    with client.websocket_connect("/live") as view:
        for number in range(3):
            view.send_bytes(encoded_image())
            message = view.receive_json()
            assert message["frame"] == number
            assert message["dropped"] == 0
            assert message["size"] == [120, 80]
            assert set(message["seconds"]) == {"decode", "detect", "classify"}
            assert [face["person"] for face in message["faces"]] == [1, 2]
            assert set(message["faces"][0]) == {"person", "bounding_box", "emotion", "confidence"}


def test_the_parameters_of_an_image_are_accepted(
    client: TestClient, detector: FakeDetector
) -> None:
    url = "/live?include=scores&labels=eight&max_faces=1&min_face_size=30&smooth=true"
    with client.websocket_connect(url) as view:
        view.send_bytes(encoded_image())
        (face,) = view.receive_json()["faces"]
    assert len(face["scores"]) == 8
    assert detector.received[-1] == 30


def test_a_bad_frame_does_not_end_the_session(client: TestClient) -> None:
    with client.websocket_connect("/live") as view:
        for frame, code in (
            (b"no picture", "not_an_image"),
            (b"", "empty_upload"),
            (encoded_image()[:300], "truncated_image"),
            (encoded_image(1100, 1000), "image_too_large"),
        ):
            view.send_bytes(frame)
            assert view.receive_json()["error"]["code"] == code
        view.send_text("frame")
        assert view.receive_json()["error"]["code"] == "unsupported_media_type"
        view.send_bytes(encoded_image())
        assert view.receive_json()["frame"] == 5


def test_internal_errors_are_only_logged(
    client: TestClient, detector: FakeDetector, caplog: pytest.LogCaptureFixture
) -> None:
    detector.error = RuntimeError("secret")
    with client.websocket_connect("/live") as view:
        view.send_bytes(encoded_image())
        error = view.receive_json()["error"]
    assert error["code"] == "internal_error"
    assert "secret" not in json.dumps(error)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("url", "headers", "status", "code"),
    [
        ("/live?smooth=maybe", {}, 422, "invalid_parameter"),
        ("/live?fps=3", {}, 422, "invalid_parameter"),
        ("/live", {"Origin": "https://elsewhere.example"}, 403, "forbidden_origin"),
        ("/live", {"Origin": "null"}, 403, "forbidden_origin"),
    ],
)
def test_invalid_requests_are_refused_at_the_handshake(
    client: TestClient, url: str, headers: dict[str, str], status: int, code: str
) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(url, headers=headers),
    ):
        pass
    assert refused.value.status_code == status
    assert refused.value.json()["code"] == code
    assert refused.value.headers["X-Request-ID"]
    assert refused.value.headers["X-Content-Type-Options"] == "nosniff"


HANDSHAKE = (
    b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
LIVE = HANDSHAKE % b"/live"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (LIVE + b"Content-Length: 5\r\n\r\nhello", 400, "malformed_request"),
        (LIVE + b"Transfer-Encoding: chunked\r\n\r\n", 400, "malformed_request"),
        (LIVE + b"X: y\r\n" * 150 + b"\r\n", 400, "malformed_request"),
        (HANDSHAKE % (b"/live?" + b"x" * 9000) + b"\r\n", 400, "malformed_request"),
        (LIVE.replace(b": 13", b": 7") + b"\r\n", 400, "malformed_request"),
        (LIVE.replace(b"Key", b"Lock") + b"\r\n", 400, "malformed_request"),
        (LIVE.replace(b"GET", b"POST") + b"\r\n", 400, "malformed_request"),
        (HANDSHAKE % b"/nowhere" + b"\r\n", 404, "not_found"),
        (HANDSHAKE % b"/emotion" + b"\r\n", 404, "not_found"),
        (HANDSHAKE % b"/live?x=1" + b"\r\n", 422, "invalid_parameter"),
        (LIVE + b"Origin: http://[::1\r\n\r\n", 403, "forbidden_origin"),
        (LIVE + b"Origin: x\xff\r\n\r\n", 403, "forbidden_origin"),
        (LIVE + b"Sec-WebSocket-Protocol: a b\r\n\r\n", 400, "malformed_request"),
    ],
)
def test_failed_handshakes_get_a_response(
    sent: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = fake_app()
    with running(app) as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(sent)
        response = b"".join(iter(lambda: connection.recv(65536), b""))
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(response.partition(b"\r\n\r\n")[2])["code"] == code
    assert b"x-request-id: " in response.lower()
    assert [line.rpartition(" ")[2] for line in logged(caplog)] == [str(status)]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (b"\x81\x83\0\0\0\0\xff\xd8\xff", 1007),  # text that is none
        (b"\x82\x03abc", 1002),  # not masked
        (b"\xf2\x83\0\0\0\0abc", 1002),  # an extension that nobody agreed on
        (b"\x80\x80\0\0\0\0", 1002),  # the rest of nothing
        (b"\x89\xfe\x01\0" + bytes(260), 1002),  # a ping as long as a picture
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 1009),
    ],
)
def test_a_message_that_is_not_a_frame_ends_the_session(
    frames: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    app, _ = fake_app(max_live=1)
    with running(app) as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(LIVE + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 101")
        connection.sendall(frames)
        last = b"".join(iter(lambda: connection.recv(65536), b""))
        assert last[0] == 0x88
        assert int.from_bytes(last[2:4]) == code
        wait_until(lambda: app.state.service.live.free == 1)
    assert "xff" not in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_only_allowed_origins_may_connect() -> None:
    app, _ = fake_app(cors_origins="https://friend.example")
    with TestClient(app) as client:
        for origin in ("http://testserver", "https://friend.example"):
            with client.websocket_connect("/live", headers={"Origin": origin}) as view:
                view.send_bytes(encoded_image())
                assert view.receive_json()["faces"]


def test_the_key_is_a_header_or_a_subprotocol() -> None:
    app, _ = fake_app(api_keys=f"{digest_of('mien_good')},{digest_of('a/(b)=')}")
    with TestClient(app) as client:
        for options in (
            {"headers": {"X-API-Key": "mien_good"}},
            {"headers": {"Authorization": "Bearer mien_good"}},
            {"subprotocols": ["mien", "key.mien_good"]},
            {"subprotocols": ["mien", "key.a%2F%28b%29%3D"]},
        ):
            with client.websocket_connect("/live", **options) as view:
                # The key itself is never said back.
                assert view.accepted_subprotocol in (None, "mien")
        for options in ({}, {"subprotocols": ["mien", "key.mien_bad"]}):
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect("/live", **options),
            ):
                pass
            assert refused.value.json()["code"] == "unauthorized"


def test_sessions_are_counted_and_limited() -> None:
    app, _ = fake_app(max_live=1)
    with TestClient(app) as client:
        with client.websocket_connect("/live"):
            assert "mien_live_connections 1.0" in client.get("/metrics").text
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect("/live"),
            ):
                pass
            assert refused.value.status_code == 429
            assert int(refused.value.headers["Retry-After"]) > 1
        wait_until(lambda: "mien_live_connections 0.0" in client.get("/metrics").text)
        with client.websocket_connect("/live") as view:
            view.send_bytes(encoded_image())
            assert view.receive_json()["faces"]


def test_silent_clients_are_disconnected() -> None:
    app, _ = fake_app(live_idle_s=0.2)
    with TestClient(app) as client, client.websocket_connect("/live") as view:
        with pytest.raises(WebSocketDisconnect) as left:
            view.receive_json()
        assert left.value.code == 1001


def test_a_session_is_one_log_line(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with client.websocket_connect("/live") as view:
        for _ in range(2):
            view.send_bytes(encoded_image())
            view.receive_json()
    wait_until(lambda: any(record.name == "mien.access" for record in caplog.records))
    (line,) = (record for record in caplog.records if record.name == "mien.access")
    assert (line.path, line.status, line.images, line.faces) == ("/live", 101, 2, 4)
    assert "http_request_duration_seconds_count{" not in client.get("/metrics").text


def test_only_the_newest_frame_is_analyzed() -> None:
    detector = FakeDetector()
    app, _ = fake_app(detector)

    async def look(port: int) -> list[dict]:
        async with connect(f"ws://127.0.0.1:{port}/live") as view:
            await view.send(encoded_image())
            await view.recv()
            with detector.held():
                await view.send(encoded_image(100))
                while not detector.running:
                    await asyncio.sleep(0.01)
                for width in (110, 120, 130, 140):
                    await view.send(encoded_image(width))
                # Its response says that all before it has arrived.
                await (await view.ping())
            return [json.loads(await view.recv()) for _ in range(2)]

    with running(app) as port:
        first, second = asyncio.run(look(port))
    assert (first["size"], second["size"]) == ([100, 80], [140, 80])
    assert (second["frame"], second["dropped"]) == (5, 3)


def test_disconnecting_cancels_the_analysis() -> None:
    detector = FakeDetector()
    app, _ = fake_app(detector, threads=1)

    async def leave(port: int) -> None:
        view = await connect(f"ws://127.0.0.1:{port}/live")
        detector.endless = True
        await view.send(encoded_image())
        while not detector.running:
            await asyncio.sleep(0.01)
        view.transport.abort()

    with running(app) as port:
        asyncio.run(leave(port))
        # Far sooner than the deadline, 30 seconds.
        wait_until(lambda: not detector.running, timeout_s=15)


def test_frames_are_limited_and_shutdown_closes_the_session() -> None:
    app, _ = fake_app()
    goodbyes = []

    async def send_too_much(port: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}/live") as view:
            with contextlib.suppress(websockets.ConnectionClosed):
                await view.send(b"\xff" * 5_000_000)
                await view.recv()
            goodbyes.append(view.close_code)

    async def stay(port: int, stop) -> None:
        async with connect(f"ws://127.0.0.1:{port}/live") as view:
            await asyncio.to_thread(stop)
            with contextlib.suppress(websockets.ConnectionClosed):
                await view.recv()
            goodbyes.append(view.close_code)

    with contextlib.ExitStack() as stack:
        port = stack.enter_context(running(app))
        asyncio.run(send_too_much(port))
        asyncio.run(stay(port, stack.close))
    assert goodbyes == [1009, 1012]


def test_a_client_that_reads_no_results_is_disconnected() -> None:
    app, _ = fake_app(Crowd(), max_live=1, live_idle_s=1.0)
    target = b"/live?include=scores,landmarks&labels=eight"
    # Masked with nothing.
    frame = b"\x82\xfe%s\0\0\0\0%s" % (len(encoded_image()).to_bytes(2), encoded_image())
    with running(app, send_timeout_s=0.5) as port, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.connect(("127.0.0.1", port))
        connection.sendall(HANDSHAKE % target + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 101"
        connection.settimeout(0.5)
        # Until it is cut off, or nobody takes frames any more since nobody takes answers.
        with contextlib.suppress(OSError):
            for _ in range(2000):
                connection.sendall(frame)
                time.sleep(0.005)
        wait_until(lambda: app.state.service.live.free == 1)
