"""Many images to one table: list them, analyze them in shards, join the shards."""
