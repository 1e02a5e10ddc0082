"""Which demuxer gets a file, by its first bytes."""

import os

import pytest

from mien.errors import EmptyUploadError, UnreadableVideoError
from mien.image.formats import SNIFF_BYTES
from mien.video.formats import demuxer_for
from videos import plain


@pytest.mark.parametrize(
    ("form", "encoder", "demuxer"),
    [
        ("mp4", "mpeg4", "mp4"),
        ("mov", "mpeg4", "mp4"),
        ("3gp", "mpeg4", "mp4"),
        ("3g2", "mpeg4", "mp4"),
        ("matroska", "mpeg4", "matroska"),
        ("webm", "libvpx", "matroska"),
        ("avi", "mpeg4", "avi"),
        ("flv", "flv", "flv"),
        ("gif", "gif", "gif"),
        ("mpegts", "libx264", "mpegts"),
    ],
)
def test_supported(form: str, encoder: str, demuxer: str) -> None:
    assert demuxer_for(plain(form=form, encoder=encoder)[:SNIFF_BYTES]) == demuxer


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("offset", [0, 1, 100, 187])
def test_a_transport_stream_from_the_middle_of_a_packet(size: int, offset: int) -> None:
    packets = (b"\x47" + bytes(size - 1)) * 10
    assert demuxer_for(packets[offset:][:SNIFF_BYTES]) == "mpegts"


def test_no_bytes() -> None:
    with pytest.raises(EmptyUploadError):
        demuxer_for(b"")


@pytest.mark.parametrize(
    "start",
    [
        b"x",
        b"G",
        b"\x47" * 3,
        b"\x47" + bytes(1000),
        bytes(SNIFF_BYTES),
        os.urandom(SNIFF_BYTES).replace(b"\x47", b""),
        # What could open further files or addresses.
        b"#EXTM3U\n#EXT-X-STREAM-INF:\nhttp://127.0.0.1/a.ts\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
        b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"OggS\x00\x02",
        b"FLV\x02",
        b"GIF88a",
    ],
)
def test_not_supported(start: bytes) -> None:
    with pytest.raises(UnreadableVideoError):
        demuxer_for(start)
