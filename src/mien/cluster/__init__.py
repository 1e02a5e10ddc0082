"""Many machines: ``mien batch`` on Ray Data, the service on Ray Serve (extra ``cluster``)."""

import os

# Ray sends usage statistics to its makers unless this is set before it is imported.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
