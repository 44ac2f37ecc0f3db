"""Checks every SQLite database of aiOS for damage; prints what is damaged, and fails then."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

STATE = Path("/var/lib/aios")
SIGN = b"SQLite format 3\0"


def damage(path: Path) -> str:
    """What is wrong with a database; empty when nothing is."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        said = [str(row[0]) for row in database.execute("PRAGMA integrity_check")]
    return "" if said == ["ok"] else "; ".join(said)


def main() -> int:
    """Looks at each."""
    found = [path for path in STATE.rglob("*") if path.is_file() and path.open("rb").read(16) == SIGN]
    damaged = {path: text for path in found if (text := damage(path))}
    for path, text in damaged.items():
        print(f"{path}: {text}", file=sys.stderr)
    print(f"{len(found)} databases")
    return 1 if damaged or not found else 0


if __name__ == "__main__":
    sys.exit(main())
