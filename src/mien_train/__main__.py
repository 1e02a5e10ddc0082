"""The command ``mien-train``, which is there without its extra, too."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command; return its exit status, or 1 with a sentence where the extra is missing."""
    try:
        from mien_train.cli import main as run  # noqa: PLC0415

        return run()
    except ModuleNotFoundError as error:
        # What is missing of our own is a mistake.
        if (error.name or "mien").startswith("mien"):
            raise
        sys.stderr.write("mien-train: this needs: pip install 'mien[train]'\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
