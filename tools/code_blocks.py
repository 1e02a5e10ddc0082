"""Run the code blocks of the documentation and compare their output.

A block is fenced and names its language. ``python`` blocks are run; an ``output`` block directly
after one is its expected output. ``console`` blocks hold commands after ``$``, each followed by its
expected output, which is compared if it is there. ``...`` matches anything, and numbers with a
decimal point may differ a little, because processors round differently. Other languages are data.

A comment on the line before a block says that it is not run here. Either it gives the reason, or it
names the file that the block shows, word for word, and that tests/examples runs:

    <!-- not run: needs Docker -->
    <!-- file: examples/client.mjs -->

The tests use this module, and so does tools/release_check.py with an installed wheel.
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
    "BlockError",
    "Runner",
    "blocks_of",
    "differences",
    "folder_for",
    "served",
]

ROOT = Path(__file__).resolve().parents[1]
# The address in the documentation; it is replaced by that of a running service.
ADDRESS = "127.0.0.1:9000"
RUN = ("python", "console")
DATA = ("html", "javascript", "json", "output", "text", "toml", "yaml")
# Commands that must not be in a block that is not run.
COMMAND = re.compile(r"^\s*(\$ |(mien|mien-train|make|pip|curl|docker|python3?) )", re.MULTILINE)
TIMEOUT_S = 120
START_S = 30
# For numbers from 0 to 1, such as confidences; relative for larger ones.
TOLERANCE = 2e-3
# A file, not ``python -c``: processes that a block starts import it again.
SCRIPT = "example.py"

_BLOCK = re.compile(
    r"^(?:<!-- (?:not run: (?P<reason>.+?)|file: (?P<file>.+?)) -->\n)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d+\.\d+(?:e-?\d+)?")
_EXTRAS = re.compile(r"(?:mien|\.)\[([\w,]+)\]")


class BlockError(Exception):
    """A block does not do what the page shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        page: The page.
        line: Line number of the opening fence, from 1.
        language: Its language.
        text: Its content.
        reason: Why it is not run; None if it is.
        file: The file that it shows; such a block is not run.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str | None = None
    file: str | None = None

    @property
    def runs(self) -> bool:
        """Whether it holds commands or a program that are run."""
        return self.language in RUN and self.reason is None and self.file is None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page, in order.

    Raises:
        BlockError: A block has no known language, or its data is not valid.
    """
    text = page.read_text(encoding="utf-8")
    blocks = [
        Block(
            page=page,
            line=text[: match.start("language")].count("\n") + 1,
            language=match["language"],
            text=match["text"],
            reason=match["reason"],
            file=match["file"],
        )
        for match in _BLOCK.finditer(text)
    ]
    for block in blocks:
        _check_kind(block)
    return blocks


def _check_kind(block: Block) -> None:
    if block.language not in (*RUN, *DATA):
        known = ", ".join((*RUN, *DATA))
        raise BlockError(f"{block.place}: name the block's language, one of {known}")
    if block.language in DATA and block.reason:
        raise BlockError(f"{block.place}: blocks of data are never run; leave the comment out")
    if block.language == "text" and COMMAND.search(block.text):
        raise BlockError(f"{block.place}: commands belong in a console block")
    if block.file and (ROOT / block.file).read_text(encoding="utf-8") != block.text:
        raise BlockError(f"{block.place}: the block differs from {block.file}")
    try:
        {"json": json.loads, "toml": tomllib.loads}.get(block.language, str)(block.text)
    except ValueError as error:
        raise BlockError(f"{block.place}: not valid {block.language}: {error}") from error


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs the blocks of a page, one after the other, in one folder.

    Attributes:
        python: Interpreter of an environment with ``mien``.
        address: ``host:port`` of a running service.
        folder: Working directory of the blocks.
        install: Called with the extras of a ``pip install`` command.
        environment: Environment variables of the blocks.
    """

    python: str
    address: str
    folder: Path
    install: Callable[[Sequence[str]], None] = field(default_factory=lambda: declared_extras)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def run(self, blocks: Sequence[Block]) -> int:
        """Run all blocks that can be run.

        Returns:
            How many were run.

        Raises:
            BlockError: A block failed, or its output differs.
        """
        ran = 0
        for at, block in enumerate(blocks):
            if not block.runs:
                continue
            following = blocks[at + 1] if at + 1 < len(blocks) else None
            try:
                if block.language == "python":
                    self._python(block, following)
                else:
                    self._console(block)
            except (BlockError, subprocess.TimeoutExpired) as error:
                raise BlockError(f"{block.place}: {error}") from error
            ran += 1
        return ran

    def _python(self, block: Block, following: Block | None) -> None:
        (self.folder / SCRIPT).write_text(self._with_address(block.text), encoding="utf-8")
        printed = self._output([self.python, SCRIPT])
        if following is not None and following.language == "output":
            _compare(following.text, printed)

    def _console(self, block: Block) -> None:
        for command, shown in commands_of(block.text):
            printed = self._command(command)
            if shown:
                _compare(shown, printed)

    def _command(self, command: str) -> str:
        arguments = shlex.split(command, comments=True)
        variables: dict[str, str] = {}
        while arguments and re.fullmatch(r"[A-Z_]+=.*", arguments[0]):
            name, _, value = arguments.pop(0).partition("=")
            variables[name] = value
        match arguments:
            case ["mien", "serve", *options]:
                # A service is running already; this checks the options.
                return self._output([*self._mien, "serve", *options, "--print-config"], variables)
            case ["mien", *rest]:
                return self._output([*self._mien, *rest], variables)
            case ["curl", *rest]:
                return self._output(["curl", "-sS", *map(self._with_address, rest)], variables)
            case ["make", *rest]:
                self._output(["make", "-n", "-C", str(ROOT), *rest], variables)
                return ""
            case ["pip", "install", requirement] | ["pip", "install", "-e", requirement]:
                if extras := _EXTRAS.search(requirement):
                    self.install(extras[1].split(","))
                return ""
        raise BlockError(f"cannot run this command: {command}")

    @property
    def _mien(self) -> list[str]:
        return [self.python, "-m", "mien"]

    def _with_address(self, text: str) -> str:
        return text.replace(ADDRESS, self.address)

    def _output(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            check=False,
            timeout=TIMEOUT_S,
            env={**self.environment, **(variables or {})},
        )
        if done.returncode != 0:
            raise BlockError(
                f"{shlex.join(command)} ended with status {done.returncode}: {done.stderr}"
            )
        return done.stdout


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with its expected output."""
    for part in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def declared_extras(extras: Sequence[str]) -> None:
    """Check that the project declares these extras.

    Raises:
        BlockError: It does not.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    unknown = set(extras) - set(project["optional-dependencies"])
    if unknown:
        raise BlockError(f"there is no extra {', '.join(sorted(unknown))}")


def _compare(shown: str, printed: str) -> None:
    difference = differences(shown, printed)
    if difference is not None:
        raise BlockError(f"{difference}\n--- shown\n{shown}\n--- printed\n{printed}")


def differences(shown: str, printed: str) -> str | None:
    """Return how the output differs from the expected one; None if it does not."""
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
        return "the output differs"
    numbers = [piece for piece in pieces if _NUMBER.fullmatch(piece)]
    for expected, actual in zip(numbers, found.groups(), strict=True):
        if abs(float(expected) - float(actual)) > TOLERANCE * max(1.0, float(expected)):
            return f"{actual} is not {expected}"
    return None


def folder_for(folder: Path) -> Path:
    """Fill a folder with the files that the pages use: photos, and a video of one second."""
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
    """Run ``mien serve`` with this interpreter; yield its ``host:port`` once it is ready."""
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
        except OSError:  # refused, reset or too slow on a busy machine
            time.sleep(0.05)
    raise BlockError("the service does not start")


def main() -> int:
    """Run the blocks of the pages named on the command line."""
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
