"""facenet-pytorch's MTCNN as a process: a photo's path in, one line of JSON out.

Its own settings, one thread, faces with a score of at least 0.9, as its users run it.
"""

import json
import resource
import sys
import time

import torch
from facenet_pytorch import MTCNN
from PIL import Image

torch.set_num_threads(1)
detector = MTCNN(keep_all=True, min_face_size=20, device="cpu")

for line in sys.stdin:
    image = Image.open(line.strip()).convert("RGB")
    started = time.perf_counter()
    boxes, scores = detector.detect(image)
    seconds = time.perf_counter() - started
    found = [] if boxes is None else boxes[scores >= 0.9].tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "boxes": found, "peak_mb": peak}), flush=True)
