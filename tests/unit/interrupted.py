"""Stream results again and again, each time interrupted as by Ctrl-C at another moment."""

import itertools
import random
import signal

from mien.in_order import in_order

RUNS = 1000
# The threads have started by then, and none of the runs takes long.
EARLIEST_S, LATEST_S = 0.001, 0.003

chance = random.Random(1)
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = 0
for _ in range(RUNS):
    results = in_order(lambda number: number, itertools.count(), threads=2)
    next(results)
    signal.setitimer(signal.ITIMER_REAL, chance.uniform(EARLIEST_S, LATEST_S))
    try:
        for _ in results:
            pass
    except KeyboardInterrupt:
        interrupted += 1
assert interrupted == RUNS
