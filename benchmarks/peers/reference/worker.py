"""The reference pipeline as a process that is asked for one photo after the other.

Reads photo paths from standard input, one a line, and answers each with one line of JSON:
seconds from bytes to answer, faces, and the process's peak memory.
"""

import json
import resource
import sys
import time
from pathlib import Path

import tensorflow as tf
import torch

# Without an argument both frameworks use what they use by themselves: all cores.
if len(sys.argv) > 1:
    torch.set_num_threads(int(sys.argv[1]))
    tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
    tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[1]))

from pipeline import analyze

for line in sys.stdin:
    data = Path(line.strip()).read_bytes()
    started = time.perf_counter()
    count = len(analyze(data))
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "faces": count, "peak_mb": peak}), flush=True)
