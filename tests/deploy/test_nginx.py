"""The configuration of nginx, by nginx itself in front of a running service."""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from websockets.asyncio.client import connect

from http_fakes import wait_until
from http_process import ready, service
from programs import free_port, needs
from samples import encode

ROOT = Path(__file__).parents[2]
PORTRAIT = ROOT / "examples" / "astronaut.jpg"
# Requests of a client, of which the first tests take some.
ALLOWED = 6


def configuration(folder: Path, port: int, upstream: str) -> str:
    """Return the whole configuration, with other addresses and without root's folders."""
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for shipped, here in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("127.0.0.1:9000", upstream.removeprefix("http://")),
        ("/etc/ssl/mien", str(folder)),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    # Where it would write what it does not keep in memory.
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"pid {folder}/pid; error_log {folder}/error.log warn; events {{}}"
        f"http {{ access_log off; {temporary} {text} }}"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx")
    subject = ["-subj", "/CN=localhost", "-days", "1"]
    files = ["-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"]
    command = [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address of nginx, in front of a service that allows each client a few requests."""
    nginx, port = needs("nginx"), free_port()
    with service(MIEN_TRUSTED_PROXIES="1", MIEN_RATE_LIMIT=f"{ALLOWED}/day") as upstream:
        file = folder / "nginx.conf"
        file.write_text(configuration(folder, port, upstream))
        proxy = subprocess.Popen([nginx, "-c", file, "-p", folder, "-g", "daemon off;"])
        try:
            wait_until(lambda: ready(f"https://localhost:{port}"))
            yield f"https://localhost:{port}"
        finally:
            proxy.terminate()
            proxy.wait(timeout=30)


def client(address: str, **options: object) -> httpx.Client:
    return httpx.Client(base_url=address, verify=False, **options)


def test_a_large_photo_is_analyzed_and_not_written_to_disk(address: str, folder: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), dtype=np.uint8)
    photo = encode(Image.fromarray(noise), "PNG")
    assert len(photo) > 10_000_000
    with client(address) as session:
        response = session.post("/emotion", files={"image": photo})
    assert (response.status_code, response.json()) == (200, [])
    # nginx deletes such files at once, but warns of each.
    assert "temporary file" not in (folder / "error.log").read_text()


def test_a_live_view_passes(address: str) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE

    async def view() -> str:
        url = f"{address.replace('https', 'wss')}/live"
        async with connect(url, ssl=trusting) as live:
            await live.send(PORTRAIT.read_bytes())
            return str(await live.recv())

    assert '"happy"' in asyncio.run(view())


def test_metrics_are_not_public(address: str) -> None:
    with client(address) as session:
        assert session.get("/metrics").status_code == 404
        assert session.get("/version").json()["name"] == "mien"
        assert f"{address}/emotion" in session.get("/docs").text


def test_clients_are_told_apart_by_their_addresses(address: str) -> None:
    """A client cannot choose another address: nginx appends the one that it sees."""
    statuses = []
    for number in range(ALLOWED + 1):
        with client(address, headers={"X-Forwarded-For": f"10.0.0.{number}"}) as session:
            statuses.append(session.post("/emotion", content=PORTRAIT.read_bytes()).status_code)
    assert statuses[0] == 200
    assert statuses[-1] == 429
    # Another address of this machine, which nginx sees as another client.
    other = httpx.HTTPTransport(local_address="127.0.0.2", verify=False)
    with client(address, transport=other) as session:
        assert session.post("/emotion", content=PORTRAIT.read_bytes()).status_code == 200
