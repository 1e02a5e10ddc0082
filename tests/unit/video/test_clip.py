"""Reading clips: those made to take long, and whose errors are told as the clip's."""

from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from clips import film, plain
from mien.deadline import Deadline
from mien.errors import DeadlineExceededError, UnreadableVideoError, VideoTooLargeError
from mien.video.clip import ClipLimits, open_clip


def hidden(count: int) -> bytes:
    """Return a WebM clip of so many pictures, one a millisecond, none of which is shown."""
    picture = np.zeros((32, 32, 3), np.uint8)
    clip = bytearray(film([picture] * count, range(count), "webm", "libvpx"))
    with av.open(BytesIO(bytes(clip))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    at = 0
    for packet in packets:
        at = clip.index(packet, at)
        clip[at] &= ~0x10  # Source: RFC 6386, 9.1: show_frame
        at += len(packet)
    return bytes(clip)


def read(clip: bytes, limits: ClipLimits) -> None:
    with open_clip(clip, limits) as opened:
        list(opened.frames(10))


def test_pictures_that_are_all_hidden() -> None:
    with pytest.raises(UnreadableVideoError, match="no picture in this clip that can be read"):
        read(hidden(200), ClipLimits(seconds=1))


def test_hidden_pictures_take_no_longer_than_an_answer_may() -> None:
    with Deadline.after(-1).observed(), pytest.raises(DeadlineExceededError):
        read(hidden(10), ClipLimits())


def test_hidden_pictures_count_as_those_that_are_shown() -> None:
    with pytest.raises(VideoTooLargeError, match="longer than the limit of 1 seconds"):
        read(hidden(300), ClipLimits(seconds=1))


@pytest.mark.parametrize(
    "error",
    [
        PermissionError("an output file"),
        FileNotFoundError("an output file"),
        av.error.OSError(28, "No space left on device"),
        av.error.InvalidDataError(1, "of a film that is written"),
    ],
)
def test_errors_of_the_caller_are_not_blamed_on_the_clip(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(plain())
    with pytest.raises(type(error)) as raised, open_clip(path, ClipLimits()):
        raise error
    assert raised.value is error


def test_a_picture_that_can_not_be_converted_is_blamed_on_the_clip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise av.error.InvalidDataError(1, "of swscale")

    monkeypatch.setattr("mien.video.clip._upright", fail)
    with pytest.raises(UnreadableVideoError, match="cut off or corrupt"):
        read(plain(), ClipLimits())
