"""Run by the tests: analyzes images one of which kills, on the cluster at an address.

Arguments: the address, a folder for the shards. Prints the result of each shard, and the records.
"""

import json
import sys

from deadly import COLUMNS, DeadlyTask
from mien.batch.shards import Plan, RunFolder
from mien.batch.storage import open_folder
from mien.cluster.engine import RayEngine

if __name__ == "__main__":
    address, place = sys.argv[1:]
    folder = RunFolder(open_folder(place), ".jsonl")
    plan = folder.extend(Plan({}, COLUMNS), ["a.jpg", "deadly.jpg", "b.jpg", "c.jpg"], 2)
    engine = RayEngine(address, 1, 60, print)
    with engine.started():
        shards = [
            [shard, progress.images, progress.failed]
            for shard, progress in engine.finish_shards(DeadlyTask(), folder, plan, [0, 1])
        ]
    # Ray has printed that a process died.
    print(json.dumps({"shards": sorted(shards), "records": list(folder.records([0, 1]))}))
