"""Many machines: photos by the million on Ray Data, the service on Ray Serve.

The only part of ``mien`` that imports ray (extra ``cluster``).
"""

import os

# Ray's makers get reports from each cluster unless it is told not to send them; read on its import.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
