"""Parsers accept any input: they return a valid result or raise a MienError."""

import contextlib
import ipaddress
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import Request

from mien.errors import InvalidParameterError
from mien.server.body import _exceeds
from mien.server.context import RequestContext
from mien.server.errors import RequestError
from mien.server.hardening.connection import _Parser
from mien.server.keys import ApiKeys
from mien.server.multipart import boundary_of
from mien.server.parameters import EmotionQuery, VideoQuery
from mien.server.rates import RateLimits, _address
from mien.settings import Settings, load_settings

HEADER = st.text(st.characters(codec="latin-1", exclude_characters="\0\r\n"), max_size=200)
NAMES = st.sampled_from(["include", "labels", "max_faces", "min_face_size", "crop", "x"])
VALUES = st.sampled_from(["scores", "six", "1", "true", "", "99999999", "%00", "٣"]) | st.text()
HEADS = (
    b"GET /livez HTTP/1.1\r\n",
    b"POST http://example.org:1/x HTTP/1.1\r\n",
    b"GET https://?x HTTP/1.0\r\n",
    b"Host: x\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"1\r\nx\r\n",
    b"\r\n",
)


def scope(*headers: tuple[str, str], client: str = "192.0.2.1") -> dict:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "method": "GET", "path": "/", "headers": raw, "client": (client, 1)}


@given(st.dictionaries(NAMES, VALUES))
@example({"max_faces": "9" * 5000})
def test_queries(query: dict[str, str]) -> None:
    lists = {name: [value] if name == "include" else value for name, value in query.items()}
    with contextlib.suppress(ValidationError):
        options = EmotionQuery(**lists).options()
        assert options.max_faces is None or options.max_faces >= 1
        assert options.min_face_size is None or options.min_face_size >= 12


@given(HEADER, HEADER)
@example("", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
def test_ids(request_id: str, traceparent: str) -> None:
    context = RequestContext.from_scope(
        scope(("x-request-id", request_id), ("traceparent", traceparent))
    )
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", context.request_id)
    assert context.traceparent in (None, traceparent)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_paths_cannot_break_a_log_line(path: str) -> None:
    context = RequestContext.from_scope({**scope(), "path": path})
    assert context.path.isascii()
    assert context.path.isprintable()


@given(HEADER, st.integers(0, 3), st.sampled_from(["192.0.2.1", "2001:db8::1", "testclient", ""]))
@example("2001:db8:0:0:1::, 192.0.2.7", 1, "192.0.2.1")
def test_addresses(forwarded: str, proxies: int, client: str) -> None:
    address = _address(Request(scope(("x-forwarded-for", forwarded), client=client)), proxies)
    assert isinstance(address, str)
    if proxies == 0:
        assert address == client or ipaddress.ip_address(client) in ipaddress.ip_network(address)


@given(st.lists(st.tuples(st.sampled_from(["authorization", "x-api-key"]), HEADER), max_size=3))
def test_keys(headers: list[tuple[str, str]]) -> None:
    keys = ApiKeys.from_settings(Settings(api_keys="a" * 64))
    with pytest.raises(RequestError, check=lambda error: error.code == "unauthorized"):
        keys.check(Request(scope(*headers)))


@given(st.text(max_size=100))
def test_hashes_of_keys(text: str) -> None:
    with contextlib.suppress(InvalidParameterError):
        ApiKeys.from_settings(load_settings(api_keys=text))


@given(st.binary(max_size=200))
@example(b"a" * 64 + b" alice # her laptop")
def test_files_of_keys(data: bytes) -> None:
    with TemporaryDirectory() as folder, contextlib.suppress(InvalidParameterError):
        file = Path(folder) / "keys"
        file.write_bytes(data)
        assert ApiKeys.from_settings(Settings(api_keys_file=file))


@given(st.lists(HEADER | HEADER.map("key.{}".format), max_size=3))
def test_protocols(offered: list[str]) -> None:
    keys = ApiKeys.from_settings(Settings(api_keys="a" * 64))
    with pytest.raises(RequestError, check=lambda error: error.code == "unauthorized"):
        keys.check(Request({**scope(), "subprotocols": offered}))


@given(st.text(max_size=60))
@example("1/0 minutes")
@example("99999999999999999999/second")
def test_rate_limits(text: str) -> None:
    with contextlib.suppress(InvalidParameterError):
        RateLimits(Settings(rate_limit=text))


@given(st.lists(st.sampled_from(HEADS) | st.binary(max_size=40), max_size=12).map(b"".join))
def test_raw_headers(sent: bytes) -> None:
    parser = _Parser()
    # Empty would be the end.
    parser.receive_data(sent or b"\r\n")
    with contextlib.suppress(h11.RemoteProtocolError):
        while (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.Request):
                assert not event.target.lower().startswith((b"http://", b"https://"))
                assert len([name for name, _ in event.headers if name == b"host"]) < 2


@given(HEADER)
@example('multipart/form-data; boundary="')
def test_content_types(header: str) -> None:
    with contextlib.suppress(RequestError):
        assert boundary_of(header)


@given(st.dictionaries(st.sampled_from(["fps", "smooth", "crop"]), VALUES))
@example({"fps": "nan"})
@example({"fps": "1e999"})
def test_queries_of_videos(query: dict[str, str]) -> None:
    with contextlib.suppress(ValidationError):
        parsed = VideoQuery(**query)
        assert 0.5 <= parsed.fps <= 30


@given(st.text("0123456789", max_size=5000))
@example("9" * 5000)
def test_lengths(digits: str) -> None:
    significant = digits.lstrip("0")
    expected = len(significant) > 8 or int(significant or "0") > 20_000_000
    assert _exceeds(digits, 20_000_000) == expected


@given(st.dictionaries(st.sampled_from([*Settings.model_fields]), st.text()))
def test_settings(options: dict[str, str]) -> None:
    with contextlib.suppress(InvalidParameterError):
        assert isinstance(load_settings(**options), Settings)
