"""The containers and codecs that are read, recognized by the first bytes of a file.

FFmpeg reads many more, some of which open further files or network addresses (playlists, lists of
files, image sequences). Only the demuxers and decoders named here ever see a user's bytes.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from mien.deadline import check_deadline
from mien.errors import EmptyUploadError, UnreadableVideoError

__all__ = [
    "AVI",
    "DECODERS",
    "MATROSKA",
    "MPEG_TS",
    "demuxer_for",
    "joined_recordings",
]

# FFmpeg's names of decoders; some codecs have several.
DECODERS = frozenset(
    {"h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "av1", "libdav1d", "mpeg4", "mpeg2video"}
    | {"h263", "flv", "mjpeg", "gif", "rawvideo"}
)
AVI = "avi"
MATROSKA = "matroska"
MPEG_TS = "mpegts"
# The first box of an MP4, QuickTime or 3GP file. Source: ISO/IEC 14496-12, 4.3; QuickTime File
# Format Specification (moov, mdat, wide, free and skip come first in older files).
_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"})
# Transport packets as broadcast, with a timestamp before (M2TS), with error correction behind.
_TS_PACKET_BYTES = (188, 192, 204)
_TS_SYNC = 0x47
_TS_PACKETS = 4
# How a further recording begins in a file joined of several, where the demuxer may stop before it.
_RECORDINGS = {
    "mp4": re.compile(rb"\0\0\0[\x0c-\x40]ftyp"),
    MATROSKA: re.compile(rb"\x1a\x45\xdf\xa3.{1,40}\x42\x82", re.DOTALL),
    "flv": re.compile(rb"FLV\x01[\0\x01\x04\x05]\0\0\0\x09\0\0\0\0"),
}
# Size of the chunks that are searched, and their overlap, which is longer than any match.
_CHUNK_BYTES, _OVERLAP_BYTES = 1 << 20, 64
_SUPPORTED = "MP4, QuickTime, 3GP, Matroska, WebM, AVI, MPEG-TS, FLV, GIF"


def demuxer_for(start: bytes) -> str:
    """Return FFmpeg's name of the demuxer for a file.

    Args:
        start: The first ``SNIFF_BYTES`` bytes of the file, or all of a shorter one.

    Raises:
        EmptyUploadError: There are no bytes.
        UnreadableVideoError: The format is not supported.
    """
    if not start:
        raise EmptyUploadError("the video is empty: it has 0 bytes")
    if start[4:8] in _FIRST_BOXES:
        return "mp4"
    if start[:4] == b"\x1a\x45\xdf\xa3":  # Source: RFC 8794, EBML header
        return MATROSKA
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return AVI
    if start[:4] == b"FLV\x01":  # Source: Adobe Flash Video File Format 10.1, E.2
        return "flv"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if _is_transport_stream(start):
        return MPEG_TS
    raise UnreadableVideoError(f"the format is not supported; supported are {_SUPPORTED}")


def _is_transport_stream(start: bytes) -> bool:
    """Search for sync bytes at packet distance; a recording may start inside a packet."""
    return any(
        all(byte == _TS_SYNC for byte in start[offset : offset + size * _TS_PACKETS : size])
        for size in _TS_PACKET_BYTES
        if len(start) >= size * _TS_PACKETS
        for offset in range(size)
    )


def joined_recordings(file: BinaryIO, demuxer: str, after: int) -> Iterator[int]:
    """Yield where further recordings begin in a file that was joined of several.

    Args:
        file: The whole file, which nothing else reads meanwhile.
        demuxer: What ``demuxer_for`` returned for it.
        after: Where the search begins.

    Raises:
        DeadlineExceededError: The deadline has passed.
    """
    pattern = _RECORDINGS.get(demuxer)
    if pattern is None:
        return
    file.seek(after)
    kept, kept_at, last = b"", after, -1
    while chunk := file.read(_CHUNK_BYTES):
        check_deadline()
        searched = kept + chunk
        for match in pattern.finditer(searched):
            if kept_at + match.start() > last:
                last = kept_at + match.start()
                yield last
        kept = searched[-_OVERLAP_BYTES:]
        kept_at += len(searched) - len(kept)
