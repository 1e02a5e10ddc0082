"""The reference pipeline as a worker: benchmarks/peers/protocol.py.

Argument: threads; without it both frameworks use what they use by themselves, all cores.
"""

import tensorflow as tf
import torch
from benchmarks.peers.protocol import System, Unasked, imported, serve, threads

if count := threads():
    torch.set_num_threads(count)
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)

import facenet_pytorch  # noqa: F401, here for the time that importing it takes

imported()

# It loads its models as it is imported.
from benchmarks.peers.reference import pipeline  # noqa: E402


def analyze(data: bytes) -> list[dict[str, object]]:
    faces = []
    for face in pipeline.analyze(data):
        left, top, width, height = face["bounding_box"]
        faces.append({"box": [left, top, left + width, top + height], "emotion": face["emotion"]})
    return faces


def classify(_: list[bytes]) -> list[dict[str, float]]:
    raise Unasked("its classifier has random weights; it has no accuracy of its own")


serve(System(analyze, classify, ("facenet-pytorch", "torch", "tensorflow-cpu", "keras", "numpy")))
