"""Videos that the tests make."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

_TIME_BASE = Fraction(1, 1000)
# As small and quick as each allows.
_OPTIONS = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}}
_PIXEL_FORMATS = {"mjpeg": "yuvj420p", "gif": "rgb8"}
# Encoders that accept only the frame rates of their standard.
_RATES = {"mpeg2video": Fraction(50), "h263": Fraction(30000, 1001)}


def encoded_video(
    pictures: Sequence[NDArray[np.uint8]],
    times_ms: Iterable[int],
    form: str = "mp4",
    encoder: str = "mpeg4",
    pixel_aspect: Fraction | None = None,
) -> bytes:
    """Return a video.

    Args:
        pictures: (H, W, 3) frames.
        times_ms: When each frame is displayed.
        form: FFmpeg's name of the container.
        encoder: FFmpeg's name of the encoder.
        pixel_aspect: Width of a pixel divided by its height.
    """
    file = BytesIO()
    with av.open(file, "w", format=form) as container:
        rate = _RATES.get(encoder, 25)
        stream = container.add_stream(encoder, rate=rate, options=_OPTIONS.get(encoder, {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = _PIXEL_FORMATS.get(encoder, "yuv420p")
        if encoder not in _RATES:
            stream.codec_context.time_base = _TIME_BASE
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        for picture, time_ms in zip(pictures, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time_ms, _TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def plain(seconds: float = 1.0, width: int = 128, height: int = 96, **how: str) -> bytes:
    """Return a video of frames of one color each, ten per second."""
    count = round(10 * seconds)
    shades = np.linspace(60, 200, count, dtype=np.uint8)
    pictures = [np.full((height, width, 3), shade, np.uint8) for shade in shades]
    return encoded_video(pictures, [100 * step for step in range(count)], **how)


def with_timestamps(times_ms: Sequence[int], width: int = 64, height: int = 48) -> bytes:
    """Return a Matroska file whose frames have any timestamps, in the order of storage.

    Frame n has the grey value 10 n.
    """
    pictures = [np.full((height, width, 3), 10 * n, np.uint8) for n in range(len(times_ms))]
    even = encoded_video(pictures, range(0, 100 * len(times_ms), 100), "matroska", "mjpeg")
    file = BytesIO()
    with av.open(BytesIO(even)) as source, av.open(file, "w", format="matroska") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, (packet, time_ms) in enumerate(zip(packets, times_ms, strict=True)):
            packet.stream, packet.time_base = stream, _TIME_BASE
            # Matroska does not store it, but the muxer wants it to grow and to precede pts.
            packet.pts, packet.dts = time_ms, number - len(times_ms)
            container.mux(packet)
    return file.getvalue()


def with_display_matrix(mp4: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """Return an MP4 file with a display matrix. Source: ISO/IEC 14496-12, 8.3.2."""
    data = bytearray(mp4)
    at = data.index(b"tkhd") + 4 + 40
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    return bytes(data)
