"""HTTP clients as people use them, and requests after the documented formats of others."""

import asyncio
import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from importlib import import_module
from pathlib import Path

import aiohttp
import pytest

from http_fakes import connect, encoded_image, fake_app, running
from programs import needs

PHOTO = encoded_image()
JSON_BODY = {"image": base64.b64encode(PHOTO).decode()}
BOXES = [[5, 5, 40, 40], [55, 5, 30, 30]]
FORMS = ("raw", "multipart", "json")
NODE = """
import { readFile } from "node:fs/promises";
const [url, path, form] = process.argv.slice(1);
const bytes = await readFile(path);
const headers = form === "json" ? { "Content-Type": "application/json" } : {};
let body = bytes;
if (form === "json") body = JSON.stringify({ image: bytes.toString("base64") });
if (form === "multipart") {
  body = new FormData();
  body.append("image", new Blob([bytes], { type: "image/jpeg" }), "photo.jpg");
}
const response = await fetch(url, { method: "POST", body, headers });
if (response.status !== 200) throw new Error(String(response.status));
console.log(await response.text());
"""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(fake_app()[0]) as port:
        yield port


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(PHOTO)
    return path


def by_library(name: str) -> Callable[[str, Path, str], str]:
    """Return how a library with the interface of requests sends the photo."""
    raw = "data" if name == "requests" else "content"

    def send(url: str, file: Path, form: str) -> str:
        library = import_module(name)
        if form == "multipart":
            with file.open("rb") as stream:
                response = library.post(url, files={"image": stream}, timeout=30)
        else:
            body = {raw: PHOTO} if form == "raw" else {"json": JSON_BODY}
            response = library.post(url, timeout=30, **body)
        assert response.status_code == 200, response.text
        return str(response.text)

    return send


def by_aiohttp(url: str, file: Path, form: str) -> str:
    async def send() -> str:
        fields = aiohttp.FormData()
        fields.add_field("image", file.read_bytes(), filename="photo.jpg")
        body = {"raw": {"data": PHOTO}, "multipart": {"data": fields}, "json": {"json": JSON_BODY}}
        async with aiohttp.ClientSession() as session, session.post(url, **body[form]) as response:
            assert response.status == 200
            return str(await response.text())

    return asyncio.run(send())


def output_of(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_curl(url: str, file: Path, form: str) -> str:
    body = {
        "raw": ("--data-binary", f"@{file}"),
        "multipart": ("-F", f"image=@{file}"),
        "json": ("-H", "Content-Type: application/json", "-d", json.dumps(JSON_BODY)),
    }
    return output_of(needs("curl"), "--silent", "--show-error", "--fail", *body[form], url)


def by_node(url: str, file: Path, form: str) -> str:
    return output_of(needs("node"), "--input-type=module", "-e", NODE, url, str(file), form)


CLIENTS = {
    "requests": by_library("requests"),
    "httpx": by_library("httpx"),
    "httpx2": by_library("httpx2"),
    "aiohttp": by_aiohttp,
    "curl": by_curl,
    "node": by_node,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_clients(client: str, form: str, port: int, file: Path) -> None:
    text = CLIENTS[client](f"http://127.0.0.1:{port}/emotion", file, form)
    assert [face["bounding_box"] for face in json.loads(text)] == BOXES


# Recorded, except for the photo and the length: System.Net.Http.HttpClient of Mono 6.8 with
# MultipartFormDataContent. The boundary is quoted, names are not, and the file name is there twice.
DOTNET_BOUNDARY = b"bda78fa0-199e-47d9-a563-25ebabb6a9e5"
DOTNET = (
    b"POST /emotion HTTP/1.1\r\n"
    b'Content-Type: multipart/form-data; boundary="%s"\r\n'
    b"Host: 127.0.0.1:9100\r\n" % DOTNET_BOUNDARY,
    b"--%s\r\nContent-Type: image/jpeg\r\n"
    b"Content-Disposition: form-data; name=image; filename=photo.jpg; "
    b"filename*=utf-8''photo.jpg\r\n\r\n%s\r\n--%s--\r\n"
    % (DOTNET_BOUNDARY, PHOTO, DOTNET_BOUNDARY),
)
# The same with HttpClient.DefaultRequestHeaders.ExpectContinue; this header was added by hand.
DOTNET_EXPECT = (DOTNET[0] + b"Expect: 100-continue\r\n", DOTNET[1])
# Recorded as above: Apache HttpClient 4.5.14 on Java 17 with MultipartEntityBuilder.
APACHE_BOUNDARY = b"T8pusuKTWk1ypxmzWqD45eqj_Sr1KAX4HJQhEE"
APACHE = (
    b"POST /emotion HTTP/1.1\r\n"
    b"Content-Type: multipart/form-data; boundary=%s\r\n"
    b"Host: 127.0.0.1:9100\r\nConnection: Keep-Alive\r\n"
    b"User-Agent: Apache-HttpClient/4.5.14 (Java/17.0.15)\r\n"
    b"Accept-Encoding: gzip,deflate\r\n" % APACHE_BOUNDARY,
    b'--%s\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
    b"Content-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\n\r\n%s\r\n--%s--\r\n"
    % (APACHE_BOUNDARY, PHOTO, APACHE_BOUNDARY),
)
# Its addBinaryBody(name, file), without a type.
APACHE_OCTETS = (APACHE[0], APACHE[1].replace(b"image/jpeg", b"application/octet-stream"))
# Recorded as above: java.net.http.HttpClient of Java 17, which offers HTTP/2 with each request.
JAVA = (
    b"POST /emotion HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: 127.0.0.1:9100\r\n"
    b"HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA\r\nUpgrade: h2c\r\n"
    b"User-Agent: Java-http-client/17.0.15\r\nContent-Type: image/jpeg\r\n",
    PHOTO,
)
RECORDED = {
    "dotnet": DOTNET,
    "dotnet expect": DOTNET_EXPECT,
    "apache": APACHE,
    "apache octets": APACHE_OCTETS,
    "java": JAVA,
}


def chunked(body: bytes, size: int = 700) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("request_of", RECORDED.values(), ids=RECORDED)
def test_requests_of_other_platforms(
    port: int, request_of: tuple[bytes, bytes], in_chunks: bool
) -> None:
    headers, body = request_of
    length = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(body)
    with connect(port) as connection:
        connection.sendall(headers + length + b"\r\n\r\n")
        if b"Expect" in headers:
            assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(chunked(body) if in_chunks else body)
        response = HTTPResponse(connection)
        response.begin()
        text = response.read()
    assert response.status == 200, text
    assert [face["bounding_box"] for face in json.loads(text)] == BOXES
