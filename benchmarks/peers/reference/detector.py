"""facenet-pytorch's MTCNN as a worker process of benchmarks/peers/protocol.py, without decoding.

Its default settings, one thread, faces with a score of at least 0.9, as the baseline uses it.
"""

import io

import torch
from benchmarks.peers.protocol import System, imported, serve
from facenet_pytorch import MTCNN
from PIL import Image

imported()

torch.set_num_threads(1)
detector = MTCNN(keep_all=True, min_face_size=20, device="cpu")


def decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def detect(image: Image.Image) -> list[dict[str, object]]:
    boxes, scores = detector.detect(image)
    return [] if boxes is None else [{"box": box} for box in boxes[scores >= 0.9].tolist()]


serve(System(detect, prepare=decode))
