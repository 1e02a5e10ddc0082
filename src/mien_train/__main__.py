"""The command ``mien-train``, wherever it is: what it needs comes with an extra."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command; return its exit status, or 1 with a sentence where the extra is missing."""
    try:
        from mien_train.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "mien").startswith("mien"):
            raise
        sys.stderr.write("mien-train needs: pip install 'mien[train]'\n")
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
