"""An annotated copy of a clip: its samples, each face with its person and what that shows."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from mien.render.annotate import annotate
from mien.video.analysis import Sample
from mien.video.clip import library

__all__ = ["Film"]

_TIME_BASE = Fraction(1, 1000)
_ENCODERS = ("libx264", "mpeg4")
# Better than needed for a look, and not much larger.
_QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"q:v": "3"}}


class Film:
    """An MP4 file, written sample by sample; an error in the context or at its end removes it.

    per_second: how many samples a second there will be, for players that want to know.
    """

    def __init__(self, path: Path, per_second: float) -> None:
        self._path, self._per_second = path, per_second
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> "Film":
        self._container = library().open(str(self._path), "w", format="mp4")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        whole = False
        try:
            with self._container:
                if self._stream is not None:
                    self._container.mux(self._stream.encode())
            whole = kind is None and self._stream is not None
        finally:
            if not whole:
                self._path.unlink(missing_ok=True)

    def add(self, sample: Sample) -> None:
        """Write the next sample. Raises OSError."""
        image = sample.frame.image
        faces = [tracked.face for tracked in sample.faces]
        names = [f"{tracked.person} ·" for tracked in sample.faces]
        # The common formats of colour want even sides.
        pixels = np.asarray(annotate(image, faces, names))
        pixels = pixels[: image.height // 2 * 2, : image.width // 2 * 2]
        if self._stream is None:
            self._stream = self._new_stream(pixels.shape[1], pixels.shape[0])
        if pixels.shape[:2] != (self._stream.height, self._stream.width):
            return  # a clip may change its size; a film can't
        picture = library().VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        picture.time_base = _TIME_BASE
        picture.pts = round(sample.frame.time_s / _TIME_BASE)
        self._container.mux(self._stream.encode(picture))

    def _new_stream(self, width: int, height: int) -> Any:
        encoder = next(name for name in _ENCODERS if name in library().codecs_available)
        rate = Fraction(self._per_second).limit_denominator(1000)
        stream = self._container.add_stream(encoder, rate=rate, options=_QUALITY[encoder])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        return stream
