"""Forms as they should not be."""

import re
import tracemalloc
from base64 import b64encode, encodebytes
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from http_fakes import part
from mien.errors import InvalidParameterError
from mien.server.body import _decoded
from mien.server.errors import RequestError
from mien.server.multipart import IMAGE, FileForm

HEAD = b'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
FORM = "multipart/form-data; boundary=b"


def body(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\n" + item + b"\r\n" for item in parts) + end


CASES = [
    ("no content type", None, b"x", 400, "not_an_image"),
    ("text", "text/plain", b"x", 400, "not_an_image"),
    ("url form", "application/x-www-form-urlencoded", b"image=1", 400, "not_an_image"),
    ("junk type", ";;;=", b"x", 400, "not_an_image"),
    ("no boundary", "multipart/form-data", b"x", 415, "unsupported_media_type"),
    ("blank boundary", 'multipart/form-data; boundary=""', b"x", 415, "unsupported_media_type"),
    (
        "long boundary",
        f"multipart/form-data; boundary={'b' * 500}",
        b"x",
        415,
        "unsupported_media_type",
    ),
    ("wrong boundary", "multipart/form-data; boundary=c", body(HEAD + b"\r\nx"), 422, None),
    ("no body", FORM, b"", 422, "missing_image"),
    ("no part", FORM, b"--b--\r\n", 422, "missing_image"),
    ("two parts", FORM, body(HEAD + b"\r\nx", HEAD + b"\r\ny"), 422, "too_many_images"),
    ("cut off", FORM, b"--b\r\n" + HEAD + b"\r\nxyz", 422, None),
    ("cut in a header", FORM, b"--b\r\n" + HEAD[:20], 422, None),
    ("part without headers", FORM, body(b"\r\nx"), 422, None),
    ("part without name", FORM, body(b"Content-Disposition: form-data\r\n\r\nx"), 422, None),
    ("attachment", FORM, body(HEAD.replace(b"form-data", b"attachment") + b"\r\nx"), 422, None),
    ("huge header", FORM, body(b"X-A: " + b"a" * 100_000 + b"\r\n\r\n"), 422, None),
    ("huge header name", FORM, body(b"a" * 100_000), 422, None),
    ("many headers", FORM, body(b"X-A: a\r\n" * 1000 + HEAD + b"\r\nx"), 422, None),
    ("bad header", FORM, body(b"\x00\xff\x01: a\r\n\r\n"), 422, None),
    ("other field", FORM, body(HEAD.replace(b"image", b"file") + b"\r\nx"), 422, None),
    (
        "nested form",
        FORM,
        body(
            HEAD + b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
            b"--c\r\n" + HEAD + b"\r\nx\r\n--c--\r\n"
        ),
        400,
        "not_an_image",
    ),
    (
        "a name within the file name",
        FORM,
        body(HEAD.replace(b"image", b"file").replace(b"a.jpg", b'\\"; name=image') + b"\r\nx"),
        422,
        None,
    ),
    (
        "base64",
        FORM,
        body(HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ"),
        400,
        "truncated_image",
    ),
    ("empty name", FORM, body(HEAD.replace(b"image", b"") + b"\r\nx"), 422, None),
]


@pytest.mark.parametrize(
    ("kind", "content", "status", "code"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_forms(
    client: TestClient, kind: str | None, content: bytes, status: int, code: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = client.post("/emotion", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code or "invalid_parameter")


@pytest.mark.parametrize(
    "filename",
    [
        b'filename=""',
        b'filename="../../etc/passwd"',
        b'filename="C:\\\\x\\y.jpg"',
        b"filename*=UTF-8''%00%ff%0d%0a",
        b"filename*=nonsense''%e4",
        b'filename="\xff\xfe\x80"',
        b'filename="' + b"x" * 800 + b'"',
        b'filename="a\\"; name=\\"other"',
    ],
)
def test_file_names_do_not_matter(client: TestClient, photo: bytes, filename: bytes) -> None:
    head = b'Content-Disposition: form-data; name="image"; ' + filename + b"\r\n\r\n"
    response = client.post("/emotion", content=body(head + photo), headers={"Content-Type": FORM})
    assert len(response.json()) == 2


@pytest.mark.parametrize(
    ("codings", "status"),
    [
        (["gzip"], 415),
        (["identity"], 200),
        (["Identity "], 200),
        ([""], 415),
        (["identity", "gzip"], 415),
        (["identity, gzip"], 415),
        (["identity", "identity"], 200),
    ],
)
def test_compressed_bodies_are_refused(
    client: TestClient, photo: bytes, codings: list[str], status: int
) -> None:
    headers = [("Content-Type", "image/jpeg"), *(("Content-Encoding", c) for c in codings)]
    assert client.post("/emotion", content=photo, headers=headers).status_code == status


@pytest.mark.parametrize("encode", [b64encode, encodebytes, bytes])
def test_parts_in_base64(
    client: TestClient, photo: bytes, encode: Callable[[bytes], bytes]
) -> None:
    head = HEAD + b"Content-Transfer-Encoding: Base64\r\n\r\n"
    content = body(head + encode(photo))
    response = client.post("/emotion", content=content, headers={"Content-Type": FORM})
    assert len(response.json()) == 2


@pytest.mark.parametrize("kind", ["multipart/mixed", "Multipart/Related", "multipart/form-data"])
def test_every_kind_of_multipart_body(client: TestClient, photo: bytes, kind: str) -> None:
    headers = {"Content-Type": f"{kind}; boundary=b"}
    response = client.post("/emotion", content=body(HEAD + b"\r\n" + photo), headers=headers)
    assert len(response.json()) == 2
    response = client.post("/emotion", content=body(b"\r\n" + photo), headers=headers)
    assert "Content-Disposition: form-data" in response.json()["detail"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"X-A: " + b"a" * 9000 + b"\r\n", "longer than 8192 bytes"),
        (b"X-A: a\r\n" * 17, "more than 16 headers"),
        (b"X-A : a\r\n", "malformed"),
    ],
)
def test_the_error_names_the_limit_of_headers(
    client: TestClient, photo: bytes, head: bytes, reason: str
) -> None:
    content = body(head + HEAD + b"\r\n" + photo)
    response = client.post("/emotion", content=content, headers={"Content-Type": FORM})
    assert reason in response.json()["detail"]


def test_text_instead_of_a_file_gets_a_hint(client: TestClient) -> None:
    response = client.post("/emotion", files={"image": (None, "photo.jpg")})
    assert (response.status_code, response.json()["code"]) == (422, "missing_image")
    assert "-F image=@" in response.json()["detail"]


def test_an_extra_field_is_named(client: TestClient, photo: bytes) -> None:
    response = client.post("/emotion", files=[part(photo)], data={"crop": "true"})
    assert response.json()["code"] == "invalid_parameter"
    assert "'crop'" in response.json()["detail"]


def test_an_image_that_contains_almost_the_boundary(client: TestClient) -> None:
    form = FileForm(b"b", IMAGE)
    data = b"\r\n--c\r\n--\r\r\n-\r\n--"
    for byte in body(HEAD + b"\r\n" + data):
        form.feed(bytes([byte]))
    assert form.finish() == [data]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_junk_never_breaks_the_form(chunks: list[bytes]) -> None:
    form = FileForm(b"b", IMAGE)
    # Anything else than an error of the contract would fail the test.
    with suppress(InvalidParameterError, RequestError):
        form.feed(b"--b\r\n")
        for chunk in chunks:
            form.feed(chunk)
        form.finish()


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_any_bytes_arrive_intact_in_any_chunks(data: bytes, cuts: list[int]) -> None:
    content = b"--=edge=\r\n" + HEAD + b"\r\n" + data + b"\r\n--=edge=--\r\n"
    form = FileForm(b"=edge=", IMAGE)
    for cut in cuts:
        form.feed(content[:cut])
        content = content[cut:]
    form.feed(content)
    assert form.finish() == [data]


@pytest.mark.parametrize("length", ["9" * 5000, "200001", "-1", "x"])
def test_declared_length(client: TestClient, photo: bytes, length: str) -> None:
    headers = {"Content-Type": "image/jpeg", "Content-Length": length}
    response = client.post("/emotion", content=photo, headers=headers)
    assert response.status_code == (413 if length.isdigit() else 200)


def test_escapes_of_a_data_uri(client: TestClient, photo: bytes) -> None:
    escaped = quote(b64encode(photo), safe="")
    assert {"%2B", "%2F"} <= set(re.findall("%..", escaped))
    small = re.sub("%..", lambda found: found[0].lower(), escaped)
    for text in (f"data:image/png;base64,{each}" for each in (escaped, small)):
        response = client.post("/emotion", json={"image": text})
        assert response.status_code == 200, response.text
    response = client.post("/emotion", json={"image": "data:image/png;base64,%41%41"})
    assert response.json()["code"] == "invalid_parameter"


@pytest.mark.parametrize(
    "content",
    [
        b'{"image":[' + b"[]," * 2_000_000 + b"1]}",
        b"{" + b",".join(b'"%d":1' % number for number in range(500_000)) + b"}",
        b'{"image":"data:image/png;base64,' + b"%" * 6_000_000 + b'"}',
    ],
    ids=["lists", "keys", "escapes"],
)
def test_json_bodies_that_are_costly_to_read(content: bytes) -> None:
    """Python's objects for each list, key or escape took 200 bytes per byte of the body."""
    tracemalloc.start()
    with pytest.raises(InvalidParameterError):
        _decoded(content, IMAGE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * len(content)
