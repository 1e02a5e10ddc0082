"""Runs what the documents show: their blocks of Python and of commands, and compares the output.

A block is fenced and names its language. ``python`` is run; an ``output`` block right behind it is
what it prints. ``console`` holds commands behind ``$`` with what they print, compared if anything
is shown: ``...`` stands for anything, and numbers with a decimal point may differ a little, as
processors round differently. The other languages are data. A block that can't run is marked in
one way, by a comment on the line before it that says why:

    <!-- not run: needs Docker -->

Used by the tests, and for each release by tools/release_check.py with an installed wheel.
"""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
from PIL import Image

__all__ = [
    "ADDRESS",
    "ROOT",
    "Block",
    "ExampleError",
    "Runner",
    "blocks_of",
    "differences",
    "folder_for",
    "served",
]

ROOT = Path(__file__).resolve().parents[1]
# As the documents write it; a service on any free port stands in for it.
ADDRESS = "127.0.0.1:9000"
RUN = ("python", "console")
DATA = ("json", "output", "text", "toml", "yaml")
# Commands that must not hide in a block that nobody runs.
COMMAND = re.compile(r"^\s*(\$ |(mien|mien-train|make|pip|curl|docker|python3?) )", re.MULTILINE)
TIMEOUT_S = 120
START_S = 30
# Of numbers between 0 and 1, as confidences are.
TOLERANCE = 2e-3

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+\.\d+(?:e-?\d+)?")
_EXTRAS = re.compile(r"(?:mien|\.)\[([\w,]+)\]")


class ExampleError(Exception):
    """Something is not as the document shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. reason: why it is not run, if it isn't; line: of its fence, from 1."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a document in order. Raises ExampleError for one of no known kind."""
    text = page.read_text(encoding="utf-8")
    blocks = [
        Block(
            page=page,
            line=text[: match.start("language")].count("\n") + 1,
            language=match["language"],
            text=match["text"],
            reason=match["reason"],
        )
        for match in _BLOCK.finditer(text)
    ]
    for block in blocks:
        _check_kind(block)
    return blocks


def _check_kind(block: Block) -> None:
    if block.language not in (*RUN, *DATA):
        known = ", ".join((*RUN, *DATA))
        raise ExampleError(f"{block.place}: name the block's language: {known}")
    if block.language in DATA and block.reason:
        raise ExampleError(f"{block.place}: a block of data is never run; leave the comment out")
    if block.language == "text" and COMMAND.search(block.text):
        raise ExampleError(f"{block.place}: commands belong in a console block")
    try:
        {"json": json.loads, "toml": tomllib.loads}.get(block.language, str)(block.text)
    except ValueError as error:
        raise ExampleError(f"{block.place}: not valid {block.language}: {error}") from error


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs the blocks of documents, one after the other, in one folder.

    python: the interpreter of the environment with ``mien``; address: ``host:port`` of a service;
    folder: what blocks read and write; install: given the extras of a ``pip install`` line.
    """

    python: str
    address: str
    folder: Path
    install: Callable[[Sequence[str]], None] = field(default_factory=lambda: declared_extras)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, blocks: Sequence[Block]) -> int:
        """Run those that can be; return how many. Raises ExampleError at the first that fails."""
        ran = 0
        for at, block in enumerate(blocks):
            if block.reason or block.language not in RUN:
                continue
            behind = blocks[at + 1] if at + 1 < len(blocks) else None
            try:
                if block.language == "python":
                    self._python(block, behind)
                else:
                    self._console(block)
            except (ExampleError, subprocess.TimeoutExpired) as error:
                raise ExampleError(f"{block.place}: {error}") from error
            ran += 1
        return ran

    def _python(self, block: Block, behind: Block | None) -> None:
        printed = self._output([self.python, "-c", self._here(block.text)])
        if behind is not None and behind.language == "output":
            _compare(behind.text, printed)

    def _console(self, block: Block) -> None:
        for command, shown in commands_of(block.text):
            printed = self._command(command)
            if shown:
                _compare(shown, printed)

    def _command(self, command: str) -> str:
        words = shlex.split(command, comments=True)
        own: dict[str, str] = {}
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            own[name] = value
        match words:
            case ["mien", "serve", *options]:
                # There is one running already; this holds that the options are right.
                return self._output([*self._mien, "serve", *options, "--print-config"], own)
            case ["mien", *rest]:
                return self._output([*self._mien, *rest], own)
            case ["curl", *rest]:
                return self._output(["curl", "-sS", *map(self._here, rest)], own)
            case ["make", *rest]:
                self._output(["make", "-n", "-C", str(ROOT), *rest], own)
                return ""
            case ["pip", "install", requirement]:
                if extras := _EXTRAS.search(requirement):
                    self.install(extras[1].split(","))
                return ""
        raise ExampleError(f"nobody knows how to try this: {command}")

    @property
    def _mien(self) -> list[str]:
        return [self.python, "-m", "mien"]

    def _here(self, text: str) -> str:
        return text.replace(ADDRESS, self.address)

    def _output(self, command: Sequence[str], own: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            check=False,
            timeout=TIMEOUT_S,
            env={**self.environment, **(own or {})},
        )
        if done.returncode != 0:
            raise ExampleError(f"status {done.returncode} of {shlex.join(command)}: {done.stderr}")
        return done.stdout


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with what is shown under it."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def declared_extras(extras: Sequence[str]) -> None:
    """Raise ExampleError unless the project has all of these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    unknown = set(extras) - set(project["optional-dependencies"])
    if unknown:
        raise ExampleError(f"there is no extra {', '.join(sorted(unknown))}")


def _compare(shown: str, printed: str) -> None:
    what = differences(shown, printed)
    if what is not None:
        raise ExampleError(f"{what}\n--- shown\n{shown}\n--- printed\n{printed}")


def differences(shown: str, printed: str) -> str | None:
    """Return how the output differs from what is shown, None where it does not."""
    pieces = re.split(rf"(\.\.\.|{_NUMBER.pattern})", shown.rstrip())
    pattern = ""
    for piece in pieces:
        if piece == "...":
            pattern += ".*?"
        elif _NUMBER.fullmatch(piece):
            pattern += f"({_NUMBER.pattern})"
        else:
            pattern += re.escape(piece)
    found = re.fullmatch(pattern, printed.rstrip(), re.DOTALL)
    if found is None:
        return "the output is another"
    numbers = [piece for piece in pieces if _NUMBER.fullmatch(piece)]
    for wanted, given in zip(numbers, found.groups(), strict=True):
        if abs(float(wanted) - float(given)) > TOLERANCE * max(1.0, float(wanted)):
            return f"{given} is not {wanted}"
    return None


def folder_for(folder: Path) -> Path:
    """Fill a folder with what the documents speak of: photos, and a clip of one second."""
    photo = ROOT / "examples" / "astronaut.jpg"
    for name in ("examples/astronaut.jpg", "photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(photo, folder / name)
    _write_clip(photo, folder / "clip.mp4")
    return folder


def _write_clip(photo: Path, path: Path) -> None:
    picture = Image.open(photo)
    with av.open(str(path), "w") as clip:
        stream = clip.add_stream("mpeg4", rate=10)
        stream.width, stream.height = picture.size
        stream.pix_fmt = "yuv420p"
        for _ in range(10):
            clip.mux(stream.encode(av.VideoFrame.from_image(picture)))
        clip.mux(stream.encode(None))


@contextmanager
def served(python: str, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a service of this interpreter's ``mien``; gives its ``host:port`` once it is ready."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [python, "-m", "mien", "serve", "--port", str(port)]
    service = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
    try:
        _wait_until_ready(service, address)
        yield address
    finally:
        service.terminate()
        service.wait(START_S)


def _wait_until_ready(service: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + START_S
    while service.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise ExampleError("the service does not start")


def main() -> int:
    """Run the blocks of the documents that are named; a quick look while writing."""
    pages = [Path(name).resolve() for name in sys.argv[1:]]
    with served(sys.executable) as address:
        for page in pages:
            with tempfile.TemporaryDirectory() as name:
                folder = folder_for(Path(name))
                runner = Runner(python=sys.executable, address=address, folder=folder)
                print(f"{page.name}: {runner.run(blocks_of(page))} blocks run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
