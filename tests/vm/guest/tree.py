"""A scratch tree with what is easily lost: modes, owners, times, extended attributes, hard links, symbolic links."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import time
from pathlib import Path
from typing import Any

DAY = 24 * 3600
OLD = ("a-10.log", "b-20.log", "c-30.log", "deep/d-40.log", "deep/linked.log")
# The newest three of all logs stay, whatever their age.
KEPT = ("new-1.log", "new-2.log", "deep/e-8.log")
OTHER = ("note.txt", "old-but-no-log.txt")


class Tree:
    """The tree, as it was made and as it is."""

    def __init__(self, root: Path, owner: str) -> None:
        self.root = root
        account = pwd.getpwnam(owner)
        self._uid, self._gid = account.pw_uid, account.pw_gid

    def build(self) -> None:
        """Makes it anew."""
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root / "deep").mkdir(parents=True)
        ages = {"a-10.log": 10, "b-20.log": 20, "c-30.log": 30, "deep/d-40.log": 40, "new-1.log": 1, "new-2.log": 2,
                "deep/e-8.log": 8, "note.txt": 0, "old-but-no-log.txt": 60}
        for number, (name, age) in enumerate(ages.items()):
            path = self.root / name
            path.write_bytes(f"{name}\n".encode() * (100 + number * 37))
            path.chmod((0o640, 0o600, 0o444, 0o755)[number % 4])
            os.setxattr(path, "user.origin", f"made as number {number}".encode())
            os.chown(path, self._uid, self._gid)
            moment = time.time_ns() - age * DAY * 10**9 + number * 1001
            os.utime(path, ns=(moment, moment))
        os.link(self.root / "a-10.log", self.root / "deep/linked.log")
        (self.root / "link-to-note").symlink_to("note.txt")
        os.chown(self.root, self._uid, self._gid)
        os.chown(self.root / "deep", self._uid, self._gid)

    def look(self) -> dict[str, Any]:
        """Everything that an undo must restore. Directory times are not among it: a deletion and its undo touch them."""
        found = {}
        paths = sorted(self.root.rglob("*"))
        names: dict[int, list[str]] = {}
        for path in paths:
            names.setdefault(path.lstat().st_ino, []).append(str(path.relative_to(self.root)))
        for path in paths:
            info = path.lstat()
            entry: dict[str, Any] = {"mode": oct(info.st_mode), "uid": info.st_uid, "gid": info.st_gid,
                                     "links": info.st_nlink, "names": names[info.st_ino]}
            if stat.S_ISLNK(info.st_mode):
                entry["target"] = os.readlink(path)
            else:
                entry["xattrs"] = {name: os.getxattr(path, name).hex() for name in sorted(os.listxattr(path))}
            if stat.S_ISREG(info.st_mode):
                entry["mtime_ns"] = info.st_mtime_ns
                entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(self.root))] = entry
        return found

    def same(self, before: dict[str, Any]) -> str:
        """Compares with an earlier look."""
        now = self.look()
        if now != before:
            changed = {name: (before.get(name), now.get(name)) for name in before.keys() | now.keys()
                       if before.get(name) != now.get(name)}
            raise ValueError(f"different: {changed}")
        return f"{len(now)} entries"

    def only_old_logs_gone(self) -> str:
        """The goal's own words, checked by hand."""
        left = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}
        expected = {*KEPT, *OTHER, "link-to-note"}
        if left != expected:
            raise ValueError(f"left {sorted(left)}, expected {sorted(expected)}")
        return f"{len(OLD)} deleted, {len(left)} left"
