"""Reading small kernel files: /proc, /sys and the control group tree."""

from __future__ import annotations

import os

CHUNK = 65536


def read_proc_file(path: str) -> bytes:
    """Return the whole content of a kernel file.

    Raises OSError as the kernel gives it: some of these files can be opened but not read
    (EOPNOTSUPP, ENODEV), and what they describe can vanish between the two (ESRCH).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        content = chunk = os.read(descriptor, CHUNK)
        # A kernel file may hand out less than was asked for; only an empty read is its end.
        while chunk:
            chunk = os.read(descriptor, CHUNK)
            content += chunk
        return content
    finally:
        os.close(descriptor)
