"""Reading clips that are made to take long."""

from io import BytesIO

import av
import numpy as np
import pytest

from clips import film
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
