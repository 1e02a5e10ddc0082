"""No image is written to disk, logged or sent: the real service under strace."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx2 as httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from http_fakes import wait_until
from programs import needs, omit
from videos import encoded_video

MARK = "Anna-at-the-clinic"
PAIR = r"UNIX(?:-STREAM)?:\[\d+->\d+\]>"
WATCHED = (
    "open,openat,openat2,creat,memfd_create,link,linkat,symlink,symlinkat,rename,renameat,renameat2,"
    "mkdir,mkdirat,truncate,sendfile,splice,copy_file_range,socket,connect,bind,sendto,sendmsg,"
    "sendmmsg,write,writev,pwrite64,pwritev,pwritev2,io_uring_setup"
)


@dataclass(slots=True)
class Watched:
    """A service whose writes to disk and network are traced."""

    address: str
    calls: Path
    log: Path
    tracer: int

    def processes(self) -> list[psutil.Process]:
        """Return the processes that analyze images."""
        family = psutil.Process(self.tracer).children(recursive=True)
        return [each for each in family if not each.children()]

    def lines(self) -> list[str]:
        """Return the whole lines written so far: strace may be in the middle of one."""
        return self.calls.read_text(errors="replace").split("\n")[:-1]

    def since(self, seen: int) -> list[str]:
        """Return the calls after that many that succeeded, without the process that made each."""
        lines = self.lines()[seen:]
        calls = [line.split(maxsplit=1)[1] for line in lines if " = -1 " not in line]
        # The end of a call that another came between: its beginning has what it was asked to do.
        return [call for call in calls if not call.startswith("<... ")]

    def callers(self) -> set[str]:
        """Return the ids of all threads that are watched; a process's own is its first one's."""
        return {line.split(maxsplit=1)[0] for line in self.lines()}


@contextmanager
def watched(folder: Path, *options: str) -> Iterator[Watched]:
    calls, log = folder / "calls", folder / "log"
    only = ["-e", f"trace={WATCHED}", "-e", "signal=none"]
    command = ["strace", "-f", "-qq", "-yy", "-s", "0", *only, "-o", str(calls)]
    serve = [sys.executable, "-m", "mien", "serve", "--port", "0", *options]
    # As users have it, whatever the tests are run with.
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    with log.open("w") as stderr:
        process = subprocess.Popen([*command, *serve], stderr=stderr, env=environment, cwd=folder)
    try:
        wait_until(lambda: "http://" in log.read_text() or process.poll() is not None, 60)
        if "http://" not in log.read_text():
            omit("strace may not watch here: " + log.read_text()[:200])
        address = re.findall(r"http://[\d.]+:\d+", log.read_text())[0]
        wait_until(lambda: httpx.get(f"{address}/readyz", timeout=60).status_code == 200, 60)
        yield Watched(address, calls, log, process.pid)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children():
                child.terminate()  # strace itself takes no signals
            process.wait(60)


def large_picture() -> bytes:
    """About 10 MB, far more than frameworks keep in memory of an upload."""
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2200, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def noisy_clip() -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (20, 360, 640, 3), dtype=np.uint8)
    return encoded_video(list(noise), range(0, 2000, 100), "avi", "mjpeg")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_images_are_stored_nowhere(tmp_path: Path, workers: str, face_photo: bytes) -> None:
    needs("strace")
    large = large_picture()
    assert len(large) > 9e6
    with watched(tmp_path, "--workers", workers) as service:
        everything = service.since(0)
        at_work = [each.pid for each in service.processes() if "spawn_main" in str(each.cmdline())]
        assert len(at_work) >= int(workers)
        seen = len(service.lines())
        with httpx.Client(base_url=service.address, timeout=120) as client:
            one = [("image", (f"{MARK}.jpg", face_photo, "image/jpeg"))]
            (face,) = client.post("/emotion", files=one).json()
            assert face["emotion"] == "happy"
            big = [("image", (f"{MARK}.png", large, "image/png"))]
            assert client.post("/emotion", files=big).status_code == 200
            assert client.post("/emotion", content=large).status_code == 200
            raw = {"Content-Type": "image/png"}
            assert client.post("/emotion", content=large, headers=raw).status_code == 200
            assert client.post("/emotion", content=large[:-99], headers=raw).status_code == 400
            batch = client.post("/emotion/batch", files=[*big, *one, ("image", ("x", b"x"))])
            assert [list(entry) for entry in batch.json()] == [["faces"], ["faces"], ["error"]]
            assert client.post("/emotion", files=[*big, *big]).status_code in (413, 422)
            clip = [("video", (f"{MARK}.avi", noisy_clip(), "video/x-msvideo"))]
            assert '{"summary":' in client.post("/video", files=clip).text
        calls = service.since(seen)
    here = re.escape(service.address.removeprefix("http://"))
    allowed = re.compile(
        # What goes to the log, to a client, or from one thread or process of the service to another
        # through a pair of sockets: one with a name in the file system would show it here.
        rf"(write|sendto|sendmsg)\((2<|\d+<(TCP:\[{here}->|{PAIR}|pipe|anon_inode|/dev/null))"
        # Counts that workers share, in a folder that is theirs.
        r"|.*/mien-metrics-\w+/(counter|histogram|gauge_\w+)_\d+\.db"
    )
    reading = re.compile(r"open\w*\(.*O_RDONLY(?!.*O_CREAT)")
    strange = [call for call in calls if not allowed.match(call) and not reading.match(call)]
    assert len(calls) > 20
    assert not strange
    # They were handed over, and whoever took them was watched.
    handed = [
        int(size)
        for size in re.findall(rf'(?:write|sendto)\(\d+<{PAIR}, ""\.\.\., (\d+)', "".join(calls))
    ]
    assert [size for size in handed if size > len(large)]
    assert {str(process) for process in at_work} <= service.callers()
    for call in [*everything, *calls]:
        assert not call.startswith(("connect(", "sendfile(", "memfd_create(")), call
    message = service.log.read_text()
    assert message.count('"path": "/emotion') == 7
    assert message.count('"path": "/video') == 1
    assert MARK not in message + "".join(calls)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"calls", "log"}
