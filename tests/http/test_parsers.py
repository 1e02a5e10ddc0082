"""Whatever callers and operators write, parsers give what they promise or an error of ours."""

import contextlib
import ipaddress
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request

from mien.config import Settings
from mien.errors import InvalidParameterError, UnauthorizedError, UnsupportedMediaTypeError
from mien.http.connection import _Parser
from mien.http.describe import FPS_RANGE
from mien.http.exchange import Exchange
from mien.http.keys import ApiKeys
from mien.http.multipart import boundary_of
from mien.http.parameters import Query, parse_query
from mien.http.rates import RateLimits, _address
from mien.http.routes.video import _Wanted
from mien.http.upload import _exceeds

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
QUERY = st.lists(st.tuples(NAMES, VALUES)).map(
    lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode()
)


def scope(*headers: tuple[str, str], client: str = "192.0.2.1") -> dict:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"type": "http", "method": "GET", "path": "/", "headers": raw, "client": (client, 1)}


@given(QUERY | st.binary(max_size=300))
@example(b"&".join(b"a=b" for _ in range(100)))
def test_queries(query: bytes) -> None:
    with contextlib.suppress(InvalidParameterError):
        parsed = parse_query(query)
        assert isinstance(parsed, Query)
        assert parsed.options.max_faces is None or parsed.options.max_faces >= 1
        assert parsed.options.min_face_size is None or parsed.options.min_face_size >= 12


@given(HEADER, HEADER)
@example("", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
def test_ids(request_id: str, traceparent: str) -> None:
    exchange = Exchange.of(scope(("x-request-id", request_id), ("traceparent", traceparent)))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", exchange.request_id)
    assert exchange.traceparent in (None, traceparent)


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_paths_can_not_break_a_line(path: str) -> None:
    exchange = Exchange.of({**scope(), "path": path})
    assert exchange.path.isascii()
    assert exchange.path.isprintable()


@given(HEADER, st.integers(0, 3), st.sampled_from(["192.0.2.1", "2001:db8::1", "testclient", ""]))
@example("2001:db8:0:0:1::, 192.0.2.7", 1, "192.0.2.1")
def test_addresses(forwarded: str, proxies: int, client: str) -> None:
    address = _address(Request(scope(("x-forwarded-for", forwarded), client=client)), proxies)
    assert isinstance(address, str)
    if proxies == 0:
        assert address == client or ipaddress.ip_address(client) in ipaddress.ip_network(address)


@given(st.lists(st.tuples(st.sampled_from(["authorization", "x-api-key"]), HEADER), max_size=3))
def test_keys(headers: list[tuple[str, str]]) -> None:
    keys = ApiKeys.of(Settings(api_keys="a" * 64))
    with pytest.raises(UnauthorizedError):
        keys.check(Request(scope(*headers)))


@given(st.text(max_size=100))
def test_hashes_of_keys(text: str) -> None:
    with contextlib.suppress(InvalidParameterError):
        ApiKeys.of(Settings(api_keys=text))


@given(st.binary(max_size=200))
@example(b"a" * 64 + b" alice # her laptop")
def test_files_of_keys(data: bytes) -> None:
    with TemporaryDirectory() as folder, contextlib.suppress(InvalidParameterError):
        file = Path(folder) / "keys"
        file.write_bytes(data)
        assert ApiKeys.of(Settings(api_keys_file=file))


@given(st.lists(HEADER | HEADER.map("key.{}".format), max_size=3))
def test_protocols(offered: list[str]) -> None:
    keys = ApiKeys.of(Settings(api_keys="a" * 64))
    with pytest.raises(UnauthorizedError):
        keys.check(Request({**scope(), "subprotocols": offered}))


@given(st.text(max_size=60))
@example("1/0 minutes")
@example("99999999999999999999/second")
def test_rate_limits(text: str) -> None:
    with contextlib.suppress(InvalidParameterError):
        RateLimits(Settings(rate_limit=text))


@given(st.lists(st.sampled_from(HEADS) | st.binary(max_size=40), max_size=12).map(b"".join))
def test_heads(sent: bytes) -> None:
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
    with contextlib.suppress(UnsupportedMediaTypeError):
        assert boundary_of(header)


@given(
    st.lists(st.tuples(st.sampled_from(["fps", "detect_every", "smooth", "crop"]), VALUES)).map(
        lambda pairs: "&".join(f"{name}={value}" for name, value in pairs).encode()
    )
)
@example(b"fps=nan")
@example(b"fps=1e999")
def test_queries_of_clips(query: bytes) -> None:
    with contextlib.suppress(InvalidParameterError):
        wanted = _Wanted.of(query)
        assert FPS_RANGE[0] <= wanted.fps <= FPS_RANGE[1]
        assert wanted.detect_every >= 1


@given(st.text("0123456789", max_size=5000))
@example("9" * 5000)
def test_lengths(digits: str) -> None:
    significant = digits.lstrip("0")
    expected = len(significant) > 8 or int(significant or "0") > 20_000_000
    assert _exceeds(digits, 20_000_000) == expected


@given(
    st.dictionaries(st.sampled_from([f"MIEN_{n.upper()}" for n in Settings.__slots__]), st.text())
)
def test_settings(environment: dict[str, str]) -> None:
    with contextlib.suppress(InvalidParameterError):
        assert isinstance(Settings.from_environment(environment), Settings)
