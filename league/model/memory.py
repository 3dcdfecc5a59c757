"""Freed memory goes back to the operating system.

glibc keeps what tensors of a few megabytes leave behind. Generation, updates and exams leave pieces of different
sizes, so a process that does them in turn grows towards the sum of their peaks, not the largest. Asked between
phases, the pages go back; elsewhere than under glibc nothing is done.
"""

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None


def release_freed_memory() -> bool:
    """Return freed heap pages to the system. True when it was possible and some were returned."""
    trim = _trim()
    return trim is not None and trim(0) == 1
