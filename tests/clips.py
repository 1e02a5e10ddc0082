"""Clips that the tests make."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
from numpy.typing import NDArray

_TIME_BASE = Fraction(1, 1000)
# As small and quick as each allows.
_OPTIONS = {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"preset": "12"}}


def film(
    pictures: Sequence[NDArray[np.uint8]],
    times_ms: Iterable[int],
    form: str = "mp4",
    encoder: str = "mpeg4",
) -> bytes:
    """Return a clip of (H, W, 3) pictures, each shown from its time on; form: FFmpeg's name."""
    file = BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(encoder, rate=25, options=_OPTIONS.get(encoder, {}))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if encoder == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        for picture, time_ms in zip(pictures, times_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time_ms, _TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def plain(seconds: float = 1.0, width: int = 128, height: int = 96, **how: str) -> bytes:
    """Return a clip of plain pictures, ten a second."""
    count = round(10 * seconds)
    shades = np.linspace(60, 200, count, dtype=np.uint8)
    pictures = [np.full((height, width, 3), shade, np.uint8) for shade in shades]
    return film(pictures, [100 * step for step in range(count)], **how)
