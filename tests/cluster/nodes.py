"""Run by the tests: a Ray cluster of two nodes with a core each, on this machine.

Prints its address and the process ids of the nodes' raylets as JSON; ends with its standard input.
"""

import json
import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from ray.cluster_utils import Cluster

MEMORY = 100_000_000

if __name__ == "__main__":
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": MEMORY}
    # So that a test need not wait long until a node that is gone counts as dead.
    health = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500}
    health |= {"health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
    cluster = Cluster(initialize_head=True, head_node_args=head | {"_system_config": health})
    nodes = [cluster.head_node, cluster.add_node(num_cpus=1, object_store_memory=MEMORY)]
    raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
    print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
    sys.stdin.read()
    cluster.shutdown()
