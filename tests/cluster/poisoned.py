"""Run by the tests: works on photos one of which kills, on the cluster at an address.

Arguments: the address, a folder for the tables. Prints what came of each shard, and the rows.
"""

import json
import sys

from deadly import COLUMNS, DeadlyJob
from mien.batch.shards import Shards
from mien.batch.storage import Folder
from mien.distributed.batch import connected, work

if __name__ == "__main__":
    address, place = sys.argv[1:]
    shards = Shards(Folder(place), ".jsonl")
    photos = ["a.jpg", "deadly.jpg", "b.jpg", "c.jpg"]
    plan = shards.begin(photos, 2, COLUMNS, {})
    with connected(address, 1) as cores:
        told = [
            [done.shard, done.tally.photos, done.tally.failed]
            for done in work(
                DeadlyJob(),
                shards,
                plan,
                range(plan.shards),
                cores=cores,
                most=1,
                stall_after_s=60,
                tell=print,
            )
        ]
    # Ray has printed that a process died.
    print(json.dumps({"shards": sorted(told), "rows": list(shards.rows(plan))}))
