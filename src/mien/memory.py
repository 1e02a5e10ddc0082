"""Settings of glibc's memory allocator."""

import ctypes
import os
from collections.abc import Mapping

__all__ = [
    "MMAP_MAX",
    "MMAP_THRESHOLD",
    "TOP_PAD",
    "TRIM_THRESHOLD",
    "keep_freed_memory",
    "mallopt",
]

# Parameters of mallopt. Source: mallopt(3).
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
# What the user may have set instead.
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
_TUNABLES = ("glibc.malloc.trim_threshold", "glibc.malloc.mmap_threshold")
# Enough for a JPEG of 12 megapixels.
_KEPT_BYTES = 64 * 2**20
# Larger arrays are returned to the system at once. glibc accepts no higher value on 64-bit systems.
_LARGE_BYTES = 32 * 2**20


def keep_freed_memory() -> None:
    """Let each thread of this process keep up to 64 MB of freed memory for reuse.

    By default, the memory of large photos is returned to the system and later mapped and zeroed
    again, page by page. That takes a fifth of the time of a photo of 12 megapixels.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    chosen = any(map(os.environ.get, _VARIABLES)) or any(name in tunables for name in _TUNABLES)
    if not chosen:
        mallopt({MMAP_THRESHOLD: _LARGE_BYTES, TRIM_THRESHOLD: _KEPT_BYTES})


def mallopt(parameters: Mapping[int, int]) -> None:
    """Set parameters of glibc's allocator; do nothing with other C libraries."""
    function = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if function is not None:
        for parameter, value in parameters.items():
            function(parameter, value)
