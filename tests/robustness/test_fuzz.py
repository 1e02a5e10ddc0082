"""Ten thousand mutated files sent to a real service: each gets a known response, soon."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from attacked import Attacked, check
from mutations import mutate, seeds
from numpy.typing import NDArray
from PIL import Image

from mien.server.errors import PROBLEMS
from videos import encoded_video

CASES = 10_000
CLIENTS = 4
CLIP_CASES = 400
CLIPS = (
    ("mp4", "libx264"),
    ("mov", "mjpeg"),
    ("matroska", "libx265"),
    ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"),
    ("mpegts", "mpeg2video"),
    ("flv", "flv"),
    ("3gp", "mpeg4"),
    ("gif", "gif"),
)
# Far above what any file takes on a quiet machine, far below a decoder in an endless loop.
LONGEST_S = 10.0
KINDS = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
QUERIES = ("", "?crop=true", "?min_face_size=20", "?labels=eight&include=scores,landmarks")


def requests(seed: int, face: Image.Image) -> Iterator[dict]:
    """Yield the same requests in each run; the body of most is a mutated file."""
    chance = random.Random(seed)
    files = seeds(face)
    for _ in range(CASES):
        file = mutate(chance.choice(files), files, chance)
        request = {"url": "/emotion" + chance.choice(QUERIES)}
        if chance.random() < 0.8:
            yield request | {"content": file, "headers": {"Content-Type": chance.choice(KINDS)}}
            continue
        form = (
            b'--B\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n" + file + b"\r\n--B--\r\n"
        )
        if chance.random() < 0.5:
            form = mutate(form, [form], chance)
        headers = {"Content-Type": "multipart/form-data; boundary=B"}
        yield request | {"content": form, "headers": headers}


def test_broken_files(service: Attacked, astronaut: NDArray[np.uint8]) -> None:
    face = Image.fromarray(astronaut).crop((130, 0, 330, 200))
    codes: Counter[str] = Counter()
    work = requests(20_260_101, face)
    took_s: list[float] = []

    async def send_all(client: httpx.AsyncClient) -> None:
        for request in work:
            began = time.monotonic()
            codes[check(await client.post(**request))] += 1
            took_s.append(time.monotonic() - began)
            if len(took_s) == CASES // 2:
                service.note_memory()

    async def main() -> None:
        async with httpx.AsyncClient(base_url=service.address, timeout=60) as client:
            await asyncio.gather(*(send_all(client) for _ in range(CLIENTS)))

    asyncio.run(main())
    assert codes.total() == CASES
    assert max(took_s) < LONGEST_S
    service.check_unharmed()
    # Otherwise the mutations would be too strong, or too weak, to find anything.
    for code in ("faces", "truncated_image", "not_an_image", "unsupported_format"):
        assert codes[code] > CASES / 50, codes
    for code in ("image_too_large", "invalid_parameter"):
        assert codes[code] > 5, codes


def test_broken_clips(service: Attacked, astronaut: NDArray[np.uint8]) -> None:
    """Mutated videos are decoded by a C library: the service survives."""
    chance, codes = random.Random(20_260_102), Counter[str]()
    pictures = [np.roll(astronaut[::4, ::4], step, axis=1) for step in range(8)]
    whole = [encoded_video(pictures, range(0, 800, 100), form, encoder) for form, encoder in CLIPS]
    headers = {"Content-Type": "application/octet-stream"}
    with httpx.Client(base_url=service.address, timeout=60) as client:
        for number in range(CLIP_CASES):
            clip = whole[number % len(whole)]
            content = clip if number < len(whole) else mutate(clip, whole, chance)
            response = client.post("/video", content=content, headers=headers)
            codes[check_lines(response)] += 1
            if number == CLIP_CASES // 2:
                service.note_memory()
    service.check_unharmed()
    for code in ("summary", "unreadable_video"):
        assert codes[code] > CLIP_CASES / 10, codes


def check_lines(response: httpx.Response) -> str:
    """Return the code of a refusal, or what the last line is."""
    if response.status_code != 200:
        return check(response)
    *samples, last = map(json.loads, response.text.splitlines())
    assert all("faces" in line for line in samples)
    if "error" in last:
        assert PROBLEMS[last["error"]["code"]].status < 500, last
        return str(last["error"]["code"])
    assert last["summary"]["samples"] == len(samples)
    return "summary"


def test_the_guided_search_runs(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="needs the extra fuzz")
    target = Path(__file__).with_name("atheris_target.py")
    command = [sys.executable, target, tmp_path / "corpus", "-runs=3000", "-max_len=4096"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "DONE" in done.stderr
