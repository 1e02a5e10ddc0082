"""``mien`` and other systems that read emotions off faces, in one run and one table."""
