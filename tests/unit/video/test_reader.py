"""Reading videos: every format, damaged ones, and those made to take long."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mien.deadline import Deadline
from mien.errors import (
    DeadlineExceededError,
    UnreadableFileError,
    UnreadableVideoError,
    VideoTooLargeError,
)
from mien.video import reader
from mien.video.reader import Frame, VideoLimits, VideoReader, open_video
from videos import encoded_video, plain, with_timestamps

FORMATS = [
    ("mp4", "libx264"),
    ("mp4", "libx265"),
    ("mp4", "libsvtav1"),
    ("mp4", "mpeg2video"),
    ("mov", "mjpeg"),
    ("matroska", "libvpx"),
    ("webm", "libvpx-vp9"),
    ("avi", "mpeg4"),
    ("avi", "libx264"),
    ("avi", "mjpeg"),
    ("mpegts", "libx264"),
    ("mpegts", "libx265"),
    ("mpegts", "mpeg2video"),
    ("flv", "flv"),
    ("flv", "libx264"),
    ("3gp", "h263"),
    ("3gp", "mpeg4"),
    ("3g2", "libx264"),
    ("gif", "gif"),
]


def read(data: bytes, limits: VideoLimits | None = None) -> tuple[list[Frame], VideoReader]:
    with open_video(data, limits or VideoLimits()) as video:
        return list(video.frames(50)), video


def times_of(frames: list[Frame]) -> list[float]:
    return [round(frame.time_s, 2) for frame in frames]


def hidden(count: int) -> bytes:
    """Return a WebM video of so many frames, one a millisecond, none of which is displayed."""
    picture = np.zeros((32, 32, 3), np.uint8)
    video = bytearray(encoded_video([picture] * count, range(count), "webm", "libvpx"))
    with av.open(BytesIO(bytes(video))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    at = 0
    for packet in packets:
        at = video.index(packet, at)
        video[at] &= ~0x10  # Source: RFC 6386, 9.1: show_frame
        at += len(packet)
    return bytes(video)


@pytest.mark.parametrize(("form", "encoder"), FORMATS)
def test_each_format(astronaut: NDArray[np.uint8], form: str, encoder: str) -> None:
    # H.263 has few sizes; its pixels are wider than high.
    small = astronaut[48:192, 100:276] if encoder == "h263" else astronaut[::4, ::4]
    pictures = [np.roll(small, 2 * step, axis=1) for step in range(6)]
    frames, video = read(encoded_video(pictures, range(0, 600, 100), form, encoder))
    assert times_of(frames) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    if encoder == "h263":
        assert frames[3].image.pixels.shape == (144, 192, 3)
    else:
        off = np.abs(frames[3].image.pixels.astype(int) - pictures[3]).mean()
        assert off < (25 if form == "gif" else 14)
    assert (video.cut_off, video.dropped_frames) == (False, 0)


@pytest.mark.parametrize(("form", "encoder"), FORMATS)
def test_limits_hold_for_each_format(form: str, encoder: str) -> None:
    video = plain(2.0, 128, 96, form=form, encoder=encoder)
    with pytest.raises(VideoTooLargeError), open_video(video, VideoLimits(pixels=128 * 96 - 1)):
        pass
    with pytest.raises(VideoTooLargeError):
        read(video, VideoLimits(seconds=1))
    for pixels in (128 * 128, 2**31, 10**30):
        assert len(read(video, VideoLimits(pixels=pixels, seconds=3))[0]) == 20


@pytest.mark.parametrize(("form", "encoder"), FORMATS)
def test_truncated_files_of_each_format(form: str, encoder: str) -> None:
    """What can be read of it is; the rest is an error of the video, never another one."""
    whole = plain(2.0, form=form, encoder=encoder)
    for part in (20, 200, len(whole) // 2):
        try:
            frames, _ = read(whole[:part])
        except UnreadableVideoError:
            continue
        assert 1 <= len(frames) <= 20


def test_a_codec_that_is_not_supported() -> None:
    with pytest.raises(UnreadableVideoError):
        read(plain(form="avi", encoder="ffv1"))


def test_an_animation_by_another_program(astronaut: NDArray[np.uint8]) -> None:
    """Frames that hold only what changes, each with its own duration and colors."""
    pictures = [Image.fromarray(np.roll(astronaut[::4, ::4], 9 * n, axis=1)) for n in range(4)]
    file = BytesIO()
    durations_ms = [100, 300, 50, 3000]
    pictures[0].save(
        file, "GIF", save_all=True, append_images=pictures[1:], duration=durations_ms, loop=0
    )
    frames, video = read(file.getvalue())
    assert times_of(frames) == [0.0, 0.1, 0.4, 0.45]
    off = np.abs(frames[3].image.pixels.astype(int) - np.asarray(pictures[3])).mean()
    assert off < 25
    assert not video.cut_off


def test_a_cover_is_not_the_video() -> None:
    file = BytesIO()
    with (
        av.open(BytesIO(plain())) as source,
        av.open(BytesIO(plain(0.1, 640, 480, form="mov", encoder="mjpeg"))) as cover,
        av.open(file, "w", format="mp4") as container,
    ):
        inputs = (cover.streams.video[0], source.streams.video[0])
        streams = [container.add_stream_from_template(stream) for stream in inputs]
        streams[0].disposition = av.stream.Disposition.attached_pic
        for stream, stream_in in zip(streams, inputs, strict=True):
            for packet in stream_in.container.demux(stream_in):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    frames, _ = read(file.getvalue())
    assert {frame.image.width for frame in frames} == {128}
    assert len(frames) == 10


@pytest.mark.parametrize(("form", "encoder"), [("webm", "libvpx"), ("mpegts", "libx264")])
@pytest.mark.parametrize("starts_ms", [(0, 0), (70_000, 500), (100, 0)])
def test_joined_recordings(form: str, encoder: str, starts_ms: tuple[int, ...]) -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    parts = [
        encoded_video([picture] * 10, range(start, start + 1000, 100), form, encoder)
        for start in starts_ms
    ]
    frames, video = read(b"".join(parts))
    assert times_of(frames) == [round(0.1 * n, 2) for n in range(10 * len(parts))]
    assert (video.cut_off, video.dropped_frames) == (False, 0)


def test_many_joined_broadcasts() -> None:
    frames, video = read(plain(form="mpegts", encoder="libx264") * 5)
    assert times_of(frames) == [round(0.1 * n, 2) for n in range(50)]
    assert (video.cut_off, video.dropped_frames) == (False, 0)


@pytest.mark.parametrize(
    ("form", "encoder"),
    [
        ("mp4", "mpeg4"),
        ("mp4", "libx264"),
        ("matroska", "mpeg4"),
        ("webm", "libvpx"),
        ("flv", "flv"),
        ("flv", "libx264"),
    ],
)
def test_joined_recordings_that_can_not_be_read_are_reported(form: str, encoder: str) -> None:
    one = plain(form=form, encoder=encoder)
    assert not read(one)[1].cut_off
    frames, video = read(one * 3)
    assert len(frames) < 30
    assert video.cut_off


def test_comparing_joined_recordings_stops_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadline, search = Deadline.after(600), reader.joined_recordings

    def found(*arguments: Any, **named: Any) -> Iterator[int]:
        yield from search(*arguments, **named)
        deadline.expire()

    monkeypatch.setattr(reader, "joined_recordings", found)
    joined = plain(form="matroska", encoder="mpeg4") * 3
    with deadline.observed(), pytest.raises(DeadlineExceededError):
        read(joined)


def test_broadcasts_joined_with_a_forward_jump() -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    parts = [
        encoded_video([picture] * 10, range(start, start + 1000, 100), "mpegts", "libx264")
        for start in (0, 20_000_000)
    ]
    frames, _ = read(b"".join(parts), VideoLimits(seconds=3))
    assert times_of(frames) == [round(0.1 * n, 2) for n in range(20)]


@pytest.mark.parametrize(
    ("times_ms", "times_s", "dropped"),
    [
        ([0, 100, 200, 0, 100, 200, 300], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 0),
        ([5000, 5100, 5100, 5050, 5200], [0.0, 0.1, 0.2], 2),
        ([0, 0, 0, 0], [0.0], 3),
        ([0, 40, 30_000, 30_040], [0.0, 0.04, 30.0, 30.04], 0),
    ],
)
def test_odd_timestamps(times_ms: list[int], times_s: list[float], dropped: int) -> None:
    frames, video = read(with_timestamps(times_ms))
    assert times_of(frames) == times_s
    assert (video.dropped_frames, video.cut_off) == (dropped, False)
    # The frames that are kept are in the order of the file.
    shades = [int(frame.image.pixels.mean()) for frame in frames]
    assert shades == sorted(shades)


def test_the_reported_join(shared: Path) -> None:
    both = (shared / "cases" / "06_two_recordings_joined.webm").read_bytes()
    one = (shared / "cases" / "06_one_recording.webm").read_bytes()
    count = len(read(one)[0])
    frames, video = read(both)
    assert len(frames) == 2 * count
    assert times_of(frames) == [round(0.1 * n, 2) for n in range(2 * count)]
    assert video.dropped_frames == 0


def test_frames_that_can_not_be_decoded_are_counted() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 96, 128, 3), dtype=np.uint8)
    data = bytearray(encoded_video(list(noise), range(0, 1000, 100), "avi", "mjpeg"))
    with av.open(BytesIO(bytes(data))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for packet in packets[3:6]:
        at = data.index(packet)
        data[at : at + len(packet)] = bytes(len(packet))
    frames, video = read(bytes(data))
    assert (len(frames), video.dropped_frames, video.cut_off) == (7, 3, True)


def test_frames_before_a_limit_are_read() -> None:
    data = plain(4, form="mpegts", encoder="libx264")
    times: list[float] = []
    with open_video(data, VideoLimits(seconds=3)) as video:
        frames = video.frames(10)
        with pytest.raises(VideoTooLargeError):
            times.extend(frame.time_s for frame in frames)
    assert times[-1] == pytest.approx(3.0)


def test_cuts_are_found_whatever_the_rate(astronaut: NDArray[np.uint8]) -> None:
    small = astronaut[::4, ::4]
    data = encoded_video([small] * 20 + [255 - small] * 20, range(0, 1600, 40), "webm", "libvpx")
    for per_second, time_s in ((50.0, 0.8), (5.0, 0.8), (0.7, 1 / 0.7)):
        with open_video(data, VideoLimits()) as video:
            cuts = [frame.time_s for frame in video.frames(per_second) if frame.cut]
        assert cuts == [pytest.approx(time_s, abs=0.05)]


def test_frames_that_are_all_hidden() -> None:
    with pytest.raises(UnreadableVideoError):
        read(hidden(200), VideoLimits(seconds=1))


def test_hidden_frames_respect_the_deadline() -> None:
    with Deadline.after(-1).observed(), pytest.raises(DeadlineExceededError):
        read(hidden(10))


def test_hidden_frames_count_like_displayed_ones() -> None:
    with pytest.raises(VideoTooLargeError):
        read(hidden(300), VideoLimits(seconds=1))


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("an output file"),
        FileNotFoundError("an output file"),
        av.error.OSError(28, "No space left on device"),
        av.error.InvalidDataError(1, "of a video that is written"),
    ],
)
def test_errors_of_the_callers_code_are_not_video_errors(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(plain())
    with pytest.raises(type(error)) as raised, open_video(path, VideoLimits()):
        raise error
    assert raised.value is error


def test_a_frame_that_can_not_be_converted_is_an_error_of_the_video(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise av.error.InvalidDataError(1, "of swscale")

    monkeypatch.setattr("mien.video.reader.displayed", fail)
    with pytest.raises(UnreadableVideoError):
        read(plain())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UnreadableFileError), open_video(tmp_path / "pipe.mp4", VideoLimits()):
        pass
