"""Speed of video analysis, and the cost of detecting new faces less often.

    python -m benchmarks.video [--seconds 10] [--clip FILE]

Without --clip it makes a video with 1280 x 720 pixels and 30 frames per second, in which two copies
of examples/astronaut.jpg move. Prints, for each number of samples between detections, the speed as
a multiple of real time and the share of faces found, compared with detection in every sample.
"""

import argparse
import math
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import av
from PIL import Image

from mien import Recognizer
from mien.recognizer import in_order
from mien.video.analysis import PER_SECOND, followed, grouped, read_group
from mien.video.clip import ClipLimits, open_clip
from mien.video.tracks import Tracker

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SIZE = (1280, 720)
RATE = 30
INTERVALS = (1, 2, 3, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10, metavar="N")
    parser.add_argument("--clip", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or make_clip(Path(folder) / "clip.mp4", options.seconds)
        recognizer = Recognizer()
        print(f"{recognizer.threads} threads, {PER_SECOND:g} samples a second")
        read(clip, recognizer, 1)  # warm
        all_faces = None
        for every in INTERVALS:
            seconds, lasts, faces = read(clip, recognizer, every)
            all_faces = all_faces or faces
            print(
                f"detection in every {every:2}. sample: {lasts / seconds:5.1f} times as fast as it "
                f"lasts, {faces / all_faces:.1%} of the faces"
            )


def read(clip: Path, recognizer: Recognizer, every: int) -> tuple[float, float, int]:
    """Return the seconds it took, those that the clip lasts, and how many faces there were."""
    began, faces, lasts = time.perf_counter(), 0, 0.0
    work = partial(read_group, recognizer, options=recognizer.options)
    with open_clip(clip, ClipLimits()) as opened:
        groups = grouped(opened.frames(PER_SECOND), every)
        with closing(in_order(work, groups, threads=recognizer.threads)) as results:
            for sample in followed((r for group in results for r in group), Tracker()):
                faces += len(sample.faces)
                lasts = sample.frame.time_s + 1 / PER_SECOND
    return time.perf_counter() - began, lasts, faces


def make_clip(path: Path, seconds: int) -> Path:
    person = Image.open(PHOTO).convert("RGB")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for step in range(seconds * RATE):
            picture = Image.new("RGB", SIZE, (90, 110, 130))
            picture.paste(person, (60 + round(60 * math.sin(step / 15)), 100))
            picture.paste(person, (700 + round(40 * math.cos(step / 12)), 120))
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    return path


if __name__ == "__main__":
    main()
