"""How fast a video is decoded, and how fast it is analyzed.

    python -m benchmarks.video [--seconds 10] [--video FILE]

Without a file it makes one, 1280 x 720 at 30 frames per second, in which two copies of
examples/astronaut.jpg move.
"""

import argparse
import math
import tempfile
import time
from contextlib import closing
from pathlib import Path

import av
from PIL import Image

from benchmarks.synthetic import PORTRAIT
from mien import Recognizer
from mien.in_order import in_order
from mien.video.reader import VideoLimits, open_video
from mien.video.tracks import PER_SECOND, Tracker, followed

SIZE = (1280, 720)
RATE = 30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=10, metavar="N")
    parser.add_argument("--video", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or make_video(Path(folder) / "video.mp4", options.seconds)
        recognizer = Recognizer()
        began = time.perf_counter()
        duration_s = decode(video)
        print(f"decoding: {duration_s / (time.perf_counter() - began):.1f} times real time")
        analyze(video, recognizer)  # warm
        began = time.perf_counter()
        faces = analyze(video, recognizer)
        print(
            f"analysis: {duration_s / (time.perf_counter() - began):.1f} times real time, "
            f"{recognizer.threads} threads, {PER_SECOND:g} samples per second, {faces} faces"
        )


def decode(video: Path) -> float:
    """Return the duration in seconds."""
    with open_video(video, VideoLimits()) as reader:
        return max(frame.time_s for frame in reader.frames(PER_SECOND)) + 1 / PER_SECOND


def analyze(video: Path, recognizer: Recognizer) -> int:
    """Return how many faces were found in all samples."""
    with open_video(video, VideoLimits()) as reader:
        frames = reader.frames(PER_SECOND)
        with closing(
            in_order(
                lambda frame: (frame, recognizer.analyze(frame.image)),
                frames,
                threads=recognizer.threads,
            )
        ) as results:
            return sum(len(sample.faces) for sample in followed(results, Tracker()))


def make_video(path: Path, seconds: int) -> Path:
    person = Image.open(PORTRAIT).convert("RGB")
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
