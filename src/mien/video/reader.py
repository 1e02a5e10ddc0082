"""Videos and cameras as frames with times: the only importer of PyAV.

Uploads are opened from memory, with a demuxer and decoders from a short list (formats.py). Nothing
but the frames of one video stream is decoded.
"""

import math
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mien.deadline import check_deadline
from mien.errors import (
    InvalidParameterError,
    UnreadableFileError,
    UnreadableVideoError,
    VideoTooLargeError,
    VideoUnavailableError,
)
from mien.files import open_no_wait
from mien.image.formats import SNIFF_BYTES
from mien.types import RgbImage
from mien.video.clock import Clock
from mien.video.display import displayed, displayed_size
from mien.video.formats import (
    AVI,
    DECODERS,
    MATROSKA,
    MPEG_TS,
    demuxer_for,
    joined_recordings,
)
from mien.video.shots import THUMBNAIL_SIDE, Pending, with_cuts

__all__ = ["Frame", "VideoLimits", "VideoReader", "library", "open_camera", "open_video"]

# No ordinary camera is faster; files with more frames per second are made to take long.
_MAX_FRAMES_PER_SECOND = 250
_DEFAULT_FRAMES_PER_SECOND = 25
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}")}
_PADDING_PIXELS = 100_000
# FFmpeg refuses larger values of ``max_pixels``, and then decodes no frame.
_LARGEST_OPTION = 2**31 - 1
# Bytes at the start of a Matroska file that include the description of its tracks.
_HEADER_BYTES = 1 << 20
# A complete file may end this much earlier than its stated duration.
_TOLERANCE_S = 0.5
# Broadcasts count time from any number. Source: dts_delta_threshold of ffmpeg.
_MAX_BROADCAST_GAP_S = 10.0
_DURATION = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLimits:
    """What is refused with VideoTooLargeError.

    Attributes:
        pixels: Most pixels of one displayed frame.
        seconds: Longest duration of the whole video.
    """

    pixels: int = 50_000_000
    seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame as a player displays it.

    Attributes:
        time_s: Seconds since the first frame.
        index: Number of the decoded frame, from 0.
        image: Upright, not mirrored, with square pixels.
        cut: Whether a new shot started after the last frame.
    """

    time_s: float
    index: int
    image: RgbImage
    cut: bool = False


class VideoReader:
    """An open video.

    Attributes:
        duration_s: As the file states it; None where it does not.
        cut_off: Whether the video is damaged or incomplete, or a recording joined to it can't be
            read; final after the last frame.
        dropped_frames: Frames that could not be decoded, whose timestamp repeats the last one, or
            that are out of order; final after the last frame.
    """

    def __init__(
        self,
        container: Any,
        limits: VideoLimits,
        file: BinaryIO | None = None,
        demuxer: str = "",
        end: float = math.inf,
    ) -> None:
        """Take PyAV's container.

        Args:
            container: An open one.
            limits: What is refused.
            file: What it reads; None for a camera.
            demuxer: What reads it, as ``demuxer_for`` names it.
            end: Where the packets begin that cannot be decoded.

        Raises:
            UnreadableVideoError: There is no video stream, or its codec is not supported.
            VideoTooLargeError: The file states a larger size or duration than the limits allow.
        """
        stream = container.streams.best("video")
        if stream is None:
            raise UnreadableVideoError("the file has no video stream")
        self._container, self._limits, self._stream = container, limits, stream
        self._file, self._demuxer, self._end = file, demuxer, end
        stream.thread_type = "AUTO"
        self.cut_off = False
        self.dropped_frames = 0
        self._damage: type[Exception] = library().error.FFmpegError
        self._latest_s = 0.0
        # Its duration would be guessed from timestamps, which joined recordings make useless.
        self._broadcast = demuxer == MPEG_TS
        known = container.duration is not None and not self._broadcast
        self.duration_s = container.duration / 1e6 if known else None
        if stream.codec_context is None or stream.codec_context.name not in DECODERS:
            raise UnreadableVideoError("the codec of this video is not supported")
        self._pixel_aspect = stream.sample_aspect_ratio
        self._check_pixels(stream.width, stream.height)
        # Frames may become larger later: then they are not even decoded. Some decoders count the
        # pixels that they add around a frame.
        most = limits.pixels + limits.pixels // 8 + _PADDING_PIXELS
        stream.codec_context.options = {"max_pixels": str(min(most, _LARGEST_OPTION))}
        self._check_seconds(self.duration_s or 0.0)

    def frames(self, per_second: float) -> Iterator[Frame]:
        """Yield frames at a given rate, or all where the video has fewer.

        Args:
            per_second: Frames to yield for each second of the video.

        Raises:
            UnreadableVideoError: There is no frame, or one can't be converted.
            VideoTooLargeError: A frame or the video is larger than the limits allow.
            DeadlineExceededError: The deadline has passed.
        """
        due_s, cut, last = 0.0, False, None
        for last, cuts in with_cuts(self._pending()):
            index, time_s, decoded = last
            cut |= cuts
            # A thousandth of a step: times are rounded in files.
            if time_s >= due_s - 0.001 / per_second:
                due_s = (math.floor(time_s * per_second + 0.001) + 1) / per_second
                with _library_errors():
                    image = displayed(decoded, self._pixel_aspect)
                yield Frame(time_s, index, image, cut)
                cut = False
        if last is None:
            raise UnreadableVideoError("the video has no frame that can be decoded")
        end_s = max(last[1], self._latest_s)
        self.cut_off |= end_s < self._stated_duration_s() - _TOLERANCE_S

    def _pending(self) -> Iterator[Pending[tuple[int, float, Any]]]:
        """Yield each decoded frame with its number, time and thumbnail."""
        clock = Clock(
            1 / float(self._stream.average_rate or _DEFAULT_FRAMES_PER_SECOND),
            max_gap_s=_MAX_BROADCAST_GAP_S if self._broadcast else math.inf,
        )
        scaler = import_module("av.video.reformatter").VideoReformatter()
        for index, decoded in enumerate(self._decoded()):
            time_s = clock.advance(self._timestamp_s(decoded))
            # A packet may hold several frames.
            self._check_seconds(max(time_s or 0.0, index / _MAX_FRAMES_PER_SECOND))
            self._check_pixels(decoded.width, decoded.height)
            if time_s is None:
                self.dropped_frames += 1
                continue
            with _library_errors():
                small = scaler.reformat(
                    decoded,
                    width=THUMBNAIL_SIDE,
                    height=THUMBNAIL_SIDE,
                    format="rgb24",
                    interpolation="AREA",
                ).to_ndarray()
            yield Pending((index, time_s, decoded), time_s, small.astype(np.int16))

    def _decoded(self) -> Iterator[Any]:
        packets, position = self._container.demux(self._stream), 0
        # Packets without a frame to show count as well: they take as long.
        for number in count():
            check_deadline()
            try:
                packet = next(packets)
            except StopIteration:
                if self._file is not None:
                    joined = joined_recordings(self._file, self._demuxer, position)
                    self.cut_off |= next(joined, None) is not None
                return
            except self._damage:
                self.cut_off = True
                return
            position = max(position, packet.pos or 0)
            if position >= self._end:
                self.cut_off = True
                yield from self._stream.codec_context.decode(None)
                return
            self._check_seconds(number / _MAX_FRAMES_PER_SECOND)
            # In MPEG-TS it only means that the packet counter jumps, as it does at a join.
            self.cut_off |= packet.is_corrupt and not self._broadcast
            try:
                yield from packet.decode()
            except self._damage:
                # One damaged packet; the next may be valid.
                self.cut_off = True
                self.dropped_frames += 1

    def _timestamp_s(self, decoded: Any) -> float | None:
        # AVI stores the order of decoding only; FFmpeg's guess at the other one is often wrong.
        stored = decoded.dts if self._demuxer == AVI else decoded.pts
        if stored is None or not decoded.time_base:
            return None
        timestamp_s = float(stored * decoded.time_base)
        # GIF and some others display the last frame for long.
        end_s = timestamp_s + float((decoded.duration or 0) * decoded.time_base)
        self._latest_s = max(self._latest_s, end_s)
        return timestamp_s

    def _stated_duration_s(self) -> float:
        """Return the duration of the stream as the file states it; 0 where it does not."""
        stream = self._stream
        if self._broadcast:
            return 0.0
        if stream.duration is not None:
            # AVI states it as a number of frames, in ticks of its time base.
            return float(max(stream.duration, stream.frames) * stream.time_base)
        # Matroska, as most programs write it: hours:minutes:seconds.
        match = _DURATION.fullmatch(stream.metadata.get("DURATION", ""))
        hours, minutes, seconds = map(float, match.groups() if match else "000")
        return 3600 * hours + 60 * minutes + seconds

    def _check_pixels(self, width: int, height: int) -> None:
        width, height = displayed_size(width, height, self._pixel_aspect)
        if width * height > self._limits.pixels:
            raise VideoTooLargeError(
                f"{width} x {height} pixels are more than the limit of {self._limits.pixels:,}"
            )

    def _check_seconds(self, seconds: float) -> None:
        if seconds > self._limits.seconds:
            raise VideoTooLargeError(
                f"the video is longer than the limit of {self._limits.seconds:g} seconds"
            )


def library() -> Any:
    """Import and return PyAV.

    Raises:
        VideoUnavailableError: It is not installed.
    """
    try:
        import av  # noqa: PLC0415 - an extra, and slow to load
    except ImportError as error:
        raise VideoUnavailableError(
            "reading videos needs an extra: pip install 'mien[video]'"
        ) from error
    return av


def _lenient(version: str) -> dict[str, str]:
    """Return PyAV options that allow metadata, such as titles, in any encoding.

    PyAV 19 and later always allow it and have no such option. The metadata is not used.
    """
    return {} if int(version.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


@contextmanager
def open_video(source: bytes | Path, limits: VideoLimits) -> Iterator[VideoReader]:
    """Open a video, whose first bytes decide its format.

    Args:
        source: The bytes of a file, or its path.
        limits: What is refused before decoding.

    Raises:
        EmptyUploadError: The file has no bytes.
        UnreadableFileError: The file does not exist or is not readable.
        UnreadableVideoError: The format or codec is not supported, or the file is damaged.
        VideoTooLargeError: The file states a larger size or duration than the limits allow.
        VideoUnavailableError: PyAV is not installed.
    """
    av = library()
    with ExitStack() as stack:
        # ``yield`` stays outside: errors of the with block may concern other files.
        with _library_errors():
            file: BinaryIO = BytesIO(source) if isinstance(source, bytes) else open_no_wait(source)
            stack.enter_context(file)
            if not file.seekable():
                raise UnreadableFileError("this is a pipe; give the path of a video file")
            start = file.read(SNIFF_BYTES)
            demuxer = demuxer_for(start)
            end = _other_recording(file) if demuxer == MATROSKA else math.inf
            file.seek(0)
            container = av.open(file, format=demuxer, **_lenient(av.__version__))
            reader = VideoReader(stack.enter_context(container), limits, file, demuxer, end)
        yield reader


def _other_recording(file: BinaryIO) -> float:
    """Return where a joined recording begins that its demuxer would decode as the first one."""
    joined = list(joined_recordings(file, MATROSKA, after=SNIFF_BYTES))
    first = _parameters(file, 0) if joined else None
    if first is None:
        return math.inf
    return next((at for at in joined if _parameters(file, at) != first), math.inf)


def _parameters(file: BinaryIO, at: int) -> tuple[str, bytes] | None:
    """Return codec and parameters of the video that begins at a position; None: unreadable."""
    check_deadline()
    av = library()
    file.seek(at)
    try:
        with av.open(BytesIO(file.read(_HEADER_BYTES)), format=MATROSKA) as container:
            context = container.streams.best("video").codec_context
            return context.name, context.extradata
    except (av.error.FFmpegError, AttributeError):
        return None


@contextmanager
def open_camera(number: int) -> Iterator[VideoReader]:
    """Open a camera of this machine.

    Args:
        number: 0 for the first one.

    Raises:
        UnreadableVideoError: It can't be opened.
        InvalidParameterError: Cameras are not supported on this system.
        VideoUnavailableError: PyAV is not installed.
    """
    if sys.platform not in _CAMERAS:
        raise InvalidParameterError("cameras are supported on Linux and macOS only")
    system, name = _CAMERAS[sys.platform]
    av = library()
    try:
        container = av.open(name.format(number), format=system)
    except (OSError, ValueError) as error:
        raise UnreadableVideoError(f"camera {number} can't be opened") from error
    with container:
        yield VideoReader(container, VideoLimits())


@contextmanager
def _library_errors() -> Iterator[None]:
    """Translate PyAV's errors about a file that it can't open or read."""
    av = library()
    try:
        yield
    except av.error.FFmpegError as error:
        raise UnreadableVideoError("the video is cut off or corrupt") from error
