"""The baseline as a worker process of benchmarks/peers/protocol.py.

Argument: the number of threads; default: that of both frameworks, all cores.
"""

import tensorflow as tf
import torch
from benchmarks.peers.protocol import System, Unsupported, imported, serve, threads

if count := threads():
    torch.set_num_threads(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)

import facenet_pytorch  # noqa: F401, so that its import is timed

imported()

# It loads its models on import.
from benchmarks.peers.reference import pipeline  # noqa: E402


def analyze(data: bytes) -> list[dict[str, object]]:
    faces = []
    for face in pipeline.analyze(data):
        left, top, width, height = face["bounding_box"]
        faces.append({"box": [left, top, left + width, top + height]})
    return faces


def classify(_: list[bytes]) -> list[dict[str, float]]:
    raise Unsupported("the classifier has random weights, so its accuracy means nothing")


serve(System(analyze, classify, ("facenet-pytorch", "torch", "tensorflow-cpu", "keras", "numpy")))
