"""How often ``upright=auto`` turns photos upright.

    python -m benchmarks.upright FOLDER

FOLDER holds upright photos. Those in which a face is found are turned by each quarter, and the
result's turn is compared with the one that undoes it.
"""

import argparse
from pathlib import Path

import numpy as np

from mien.image import load_image
from mien.recognizer import MAX_PIXELS, Recognizer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every n-th photo only")
    arguments = parser.parse_args()
    recognizer = Recognizer()
    photos, right = 0, dict.fromkeys((0, 90, 180, 270), 0)
    for path in sorted(arguments.folder.glob("*.jpg"))[:: arguments.every]:
        pixels = load_image(path, max_pixels=MAX_PIXELS).pixels
        if not recognizer.analyze(pixels):
            continue
        photos += 1
        for turn in right:
            # Counterclockwise, which the same turn clockwise undoes.
            turned = np.rot90(pixels, turn // 90)
            right[turn] += recognizer.analyze(turned, upright="auto").turn == turn
    print(f"{photos} photos with a face, of which turned upright")
    for turn, count in right.items():
        print(f"by {turn:3} degrees: {count} ({count / photos:.3f})")


if __name__ == "__main__":
    main()
