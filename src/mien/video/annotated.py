"""An annotated copy of a video: its samples with a box, person and emotion for each face."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from mien.files import complete_file
from mien.render.annotate import annotate
from mien.video.reader import library
from mien.video.tracks import Sample

__all__ = ["AnnotatedVideo", "annotated_video"]

_TIME_BASE = Fraction(1, 1000)
_ENCODERS = ("libx264", "mpeg4")
# Visually lossless at a moderate size.
_QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"q:v": "3"}}


@contextmanager
def annotated_video(path: Path, per_second: float) -> Iterator["AnnotatedVideo"]:
    """Write an MP4 file sample by sample; an error in the block leaves no file.

    Args:
        path: The file to write.
        per_second: Samples per second, as a hint for players.

    Raises:
        OSError: The file can't be written.
    """
    with (
        complete_file(path) as unfinished,
        library().open(str(unfinished), "w", format="mp4") as container,
    ):
        video = AnnotatedVideo(container, per_second)
        yield video
        video.finish()


class AnnotatedVideo:
    """An MP4 file that is being written; its size is that of the first sample, rounded to even."""

    def __init__(self, container: Any, per_second: float) -> None:
        self._container, self._per_second = container, per_second
        self._stream: Any = None

    def add(self, sample: Sample) -> None:
        """Write the next sample. Samples of another size are fitted into the first one's.

        Raises:
            OSError: The file can't be written.
        """
        image = sample.frame.image
        faces = [tracked.face for tracked in sample.faces]
        names = [f"{tracked.person} ·" for tracked in sample.faces]
        annotated = self._fitted(annotate(image, faces, names))
        frame = library().VideoFrame.from_ndarray(np.asarray(annotated), format="rgb24")
        frame.time_base = _TIME_BASE
        frame.pts = round(sample.frame.time_s / _TIME_BASE)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())

    def _fitted(self, image: Image.Image) -> Image.Image:
        # The color format needs even sides.
        even = tuple(side + side % 2 for side in image.size)
        if self._stream is None:
            self._stream = self._new_stream(*even)
        size = (self._stream.width, self._stream.height)
        if even == size:
            return image.crop((0, 0, *size))
        return ImageOps.pad(image, size)

    def _new_stream(self, width: int, height: int) -> Any:
        encoder = next(name for name in _ENCODERS if name in library().codecs_available)
        rate = Fraction(self._per_second).limit_denominator(1000)
        stream = self._container.add_stream(encoder, rate=rate, options=_QUALITY[encoder])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _TIME_BASE
        return stream
