"""Clips and cameras as pictures with times: the only importer of PyAV.

What comes from strangers is opened from memory, as one of few containers with one of few codecs:
others can name further files to be read. Nothing but the pictures is decoded.
"""

import math
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from mien.deadline import check_deadline
from mien.errors import (
    EmptyUploadError,
    InvalidParameterError,
    UnreadableFileError,
    UnreadableVideoError,
    VideoTooLargeError,
    VideoUnavailableError,
)
from mien.types import RgbImage

__all__ = ["Clip", "ClipLimits", "Frame", "library", "open_camera", "open_clip"]

_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mjpeg"})
# More pictures a second than any camera of people: beyond it, a file is made to take long.
_MOST_PER_SECOND = 250
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
_SNIFF_BYTES = 16
# The last picture may be shown for longer than any before it.
_SPARE_S = 0.5
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLimits:
    """pixels: of one picture; seconds: of the whole clip."""

    pixels: int = 50_000_000
    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Frame:
    """An upright picture of a clip. time_s: since the first one; index: its number from 0."""

    time_s: float
    index: int
    image: RgbImage


class Clip:
    """An open clip.

    duration_s: as the file says, None where it does not; cut_off: whether reading ended in damage,
    known after the last picture.
    """

    def __init__(self, container: Any, limits: ClipLimits) -> None:
        if not container.streams.video:
            raise UnreadableVideoError("there is no picture in this clip")
        self._container, self._limits = container, limits
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.cut_off = False
        self.duration_s = None if container.duration is None else container.duration / 1e6
        if self._stream.codec_context is None or self._stream.codec_context.name not in _decoders():
            raise UnreadableVideoError("the pictures of this clip are in a format that is not read")
        self._check_pixels(self._stream.width, self._stream.height)
        # Pictures may grow later on: then they are not even decoded.
        self._stream.codec_context.options = {"max_pixels": str(limits.pixels)}
        self._check_seconds(self.duration_s or 0.0)

    def frames(self, per_second: float) -> Iterator[Frame]:
        """Yield so many pictures a second, as they were shown: whatever the rate of the clip.

        Raises UnreadableVideoError if there is none or one can't be converted, VideoTooLargeError
        as soon as it shows, and DeadlineExceededError.
        """
        due_s, time_s, first_s = 0.0, 0.0, None
        for index, picture in enumerate(self._decoded()):
            time_s = self._time_of(picture, index)
            first_s = time_s if first_s is None else first_s
            time_s -= first_s
            # A packet may hold several pictures.
            self._check_seconds(max(time_s, index / _MOST_PER_SECOND))
            self._check_pixels(picture.width, picture.height)
            # A thousandth of a step: times are rounded in files.
            if time_s >= due_s - 0.001 / per_second:
                due_s = (math.floor(time_s * per_second + 0.001) + 1) / per_second
                with _reading():
                    image = _upright(picture)
                yield Frame(time_s, index, image)
        if first_s is None:
            raise UnreadableVideoError("there is no picture in this clip that can be read")
        self.cut_off |= time_s < self._promised_s() - _SPARE_S

    def _decoded(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        # Also for packets that hold no picture to show: they take as long.
        for number in count():
            check_deadline()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (OSError, ValueError):  # FFmpegError is one of both
                self.cut_off = True
                return
            self._check_seconds(number / _MOST_PER_SECOND)
            self.cut_off |= packet.is_corrupt
            try:
                yield from packet.decode()
            except (OSError, ValueError):
                # One damaged packet: the next may be whole.
                self.cut_off = True

    def _promised_s(self) -> float:
        """Return how long the pictures go on, as the file says; 0 where it does not."""
        stream = self._stream
        if stream.duration is not None:
            # AVI has the length only as a number of frames, which tick as its time does.
            return float(max(stream.duration, stream.frames) * stream.time_base)
        # Matroska's, as most programs write it: hours:minutes:seconds.
        told = _DURATION.fullmatch(stream.metadata.get("DURATION", ""))
        hours, minutes, seconds = map(float, told.groups() if told else "000")
        return 3600 * hours + 60 * minutes + seconds

    def _time_of(self, picture: Any, index: int) -> float:
        if picture.time is not None:
            return float(picture.time)
        return index / float(self._stream.average_rate or 25)

    def _check_pixels(self, width: int, height: int) -> None:
        if width * height > self._limits.pixels:
            raise VideoTooLargeError(
                f"{width} x {height} pixels are more than the limit of {self._limits.pixels:,}"
            )

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self._limits.seconds:
            raise VideoTooLargeError(
                f"the clip is longer than the limit of {self._limits.seconds:g} seconds"
            )


def library() -> Any:
    """Return PyAV. Raises VideoUnavailableError where it is not installed."""
    try:
        import av  # noqa: PLC0415 - an extra, and not quickly loaded
    except ImportError as error:
        raise VideoUnavailableError("clips need: pip install 'mien[video]'") from error
    return av


def _lenient(version: str) -> dict[str, str]:
    """Titles and the like may be in any encoding, and nobody reads them here.

    PyAV takes them all from 19 on, and has no option for it any more.
    """
    return {} if int(version.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


@contextmanager
def open_clip(source: bytes | Path, limits: ClipLimits) -> Iterator[Clip]:
    """Open a clip: MP4, QuickTime, Matroska, WebM or AVI, by its content.

    Raises EmptyUploadError, UnreadableFileError, UnreadableVideoError, VideoTooLargeError or
    VideoUnavailableError.
    """
    av = library()
    with ExitStack() as held:
        # Not around the block that reads the clip: its errors may be of other files.
        with _opening(), _reading():
            file = held.enter_context(
                BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            )
            start = file.read(_SNIFF_BYTES)
            file.seek(0)
            form = _container_of(start)
            container = av.open(file, format=form, **_lenient(av.__version__))
            clip = Clip(held.enter_context(container), limits)
        yield clip


@contextmanager
def open_camera(number: int) -> Iterator[Clip]:
    """Open a camera of this machine, 0 being the first.

    Raises UnreadableVideoError if it can't be had, InvalidParameterError on systems where cameras
    can't be opened by their number, VideoUnavailableError.
    """
    if sys.platform not in _CAMERAS:
        raise InvalidParameterError("cameras are opened on Linux and macOS only")
    system, name = _CAMERAS[sys.platform]
    av = library()
    try:
        container = av.open(name.format(number), format=system)
    except (OSError, ValueError) as error:
        raise UnreadableVideoError(f"camera {number} can't be opened") from error
    with container:
        yield Clip(container, ClipLimits())


@contextmanager
def _opening() -> Iterator[None]:
    """Translate what the system says of a file that it can't open."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreadableFileError("there is no such file") from error
    except IsADirectoryError as error:
        raise UnreadableFileError("this is a folder; name a clip") from error
    except PermissionError as error:
        raise UnreadableFileError("no permission") from error


@contextmanager
def _reading() -> Iterator[None]:
    """Translate what the library says of a file that it can't open or read."""
    av = library()
    try:
        yield
    except av.error.FFmpegError as error:
        raise UnreadableVideoError("the clip is cut off or corrupt") from error


def _container_of(start: bytes) -> str:
    """Return the library's name of the container. Raises EmptyUploadError, UnreadableVideoError."""
    if not start:
        raise EmptyUploadError("the clip is empty: it has no bytes")
    # Source: ISO/IEC 14496-12, 4.3; older QuickTime files begin with another of its boxes.
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mp4"
    if start[:4] == b"\x1a\x45\xdf\xa3":  # Source: RFC 8794, EBML header
        return "matroska"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "avi"
    raise UnreadableVideoError("this is no clip that is read: MP4, QuickTime, Matroska, WebM, AVI")


def _decoders() -> frozenset[str]:
    """Return the decoders that may run; some codecs have several."""
    return _CODECS | {"libdav1d", "libvpx", "libvpx-vp9", "rawvideo"}


def _upright(picture: Any) -> RgbImage:
    """Return the picture as a player shows it: phones store how far it must be turned."""
    turns = round(getattr(picture, "rotation", 0) / 90) % 4
    pixels = picture.to_ndarray(format="rgb24")
    return RgbImage(np.ascontiguousarray(np.rot90(pixels, turns)))
