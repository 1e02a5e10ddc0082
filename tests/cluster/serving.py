"""Run by the tests: the service on a Ray of its own.

Arguments: the number of replicas; their settings as JSON; settings of another with a fake
recognizer, at ``/fake``, if there are any. Prints the address as JSON; takes the service away when
it reads a line, and ends with its standard input.
"""

import json
import sys
from functools import partial

import ray
from ray import serve

from http_fakes import FakeClassifier, FakeDetector
from mien.cluster.serve import app, deployed
from mien.recognizer import Recognizer
from mien.settings import Settings
from programs import free_port


def fake(max_pixels: int) -> Recognizer:
    return Recognizer(detector=FakeDetector(), model=FakeClassifier(), max_pixels=max_pixels)


if __name__ == "__main__":
    replicas, settings, *faked = [json.loads(argument) for argument in sys.argv[1:]]
    ray.init("local", num_cpus=4, include_dashboard=False, object_store_memory=100_000_000)
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    numbers = {"min_replicas": replicas, "max_replicas": replicas}
    serve.run(app({**numbers, **settings}), name="mien")
    for chosen in faked:
        wanted = Settings(**chosen)
        fakes = deployed(wanted, 1, 1, build=partial(fake, wanted.max_pixels))
        serve.run(fakes, name="fake", route_prefix="/fake")
    print(json.dumps({"address": f"http://127.0.0.1:{port}"}), flush=True)
    if sys.stdin.readline():
        serve.delete("mien")
        print("deleted", flush=True)
        sys.stdin.read()
    serve.shutdown()
    ray.shutdown()
