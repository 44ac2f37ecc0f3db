"""A service that takes more memory than its cgroup has, once it is told to."""

from __future__ import annotations

import time
from pathlib import Path

BEGIN = Path("/run/vm-hog")
PIECE = 1 << 20

while not BEGIN.exists():
    time.sleep(0.2)
# Once: what is started again is well.
BEGIN.unlink()
taken = []
while True:
    # Written, so that it is memory and not only an address.
    taken.append(bytearray(b"x" * PIECE))
