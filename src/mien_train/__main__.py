"""``python -m mien_train``: the same as the command ``mien-train``."""

import sys

from mien_train.cli import main

if __name__ == "__main__":
    sys.exit(main())
