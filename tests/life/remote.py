"""Runs commands for the machine outside: one JSON object a line over a virtio port, and says hello after each boot.

Only in images made for tests of the operating system's life. It runs as root, like a person at the machine's console.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path

NAME = "org.aios.test"
LIFE = Path("/usr/lib/aios-life")
HELLO_S = 1.0


def port() -> Path:
    """Finds the port by the name that the machine outside gave it."""
    while True:
        for name in Path("/sys/class/virtio-ports").glob("*/name"):
            if name.read_text().strip() == NAME:
                device = Path("/dev") / name.parent.name
                if device.exists():
                    return device
        time.sleep(0.1)


def version(cmdline: str) -> str:
    """Which image runs: each says its version, and where all have one root, a list knows the deployments' names."""
    known = LIFE / "versions"
    if not known.exists():
        return (LIFE / "version").read_text().strip()
    versions = dict(line.split() for line in known.read_text().splitlines())
    return next((name for id, name in versions.items() if f"composefs={id}" in cmdline), "?")


def hello() -> dict[str, str]:
    """What boot this is."""
    cmdline = Path("/proc/cmdline").read_text().strip()
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "cmdline": cmdline,
        "version": version(cmdline),
    }


def run(order: dict[str, object]) -> dict[str, object]:
    """Runs one command to its end or its limit."""
    argv = [str(word) for word in order["argv"]]  # type: ignore[union-attr]
    environment = {"PATH": "/usr/sbin:/usr/bin", "HOME": "/root", "LANG": "C.UTF-8"}
    try:
        ended = subprocess.run(  # noqa: S603
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=float(str(order["limit_s"])),
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return {"code": 124, "out": text(late.stdout), "err": text(late.stderr)}
    except OSError as error:
        return {"code": 127, "out": "", "err": str(error)}
    return {"code": ended.returncode, "out": text(ended.stdout), "err": text(ended.stderr)}


def text(data: bytes | None) -> str:
    """What was printed; the tail of much."""
    return (data or b"")[-200_000:].decode(errors="replace")


def main() -> None:
    """Serves until the machine goes down."""
    handle = os.open(port(), os.O_RDWR)
    greeting = json.dumps({"hello": hello()}).encode() + b"\n"
    pending = b""
    greeted = False
    while True:
        if not greeted:
            os.write(handle, greeting)
        readable, _, _ = select.select([handle], [], [], None if greeted else HELLO_S)
        if not readable:
            continue
        data = os.read(handle, 65536)
        if not data:
            # Nobody is connected outside.
            time.sleep(HELLO_S)
            continue
        pending += data
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            order = json.loads(line)
            greeted = True
            if "argv" in order:
                os.write(handle, json.dumps({"done": run(order)}).encode() + b"\n")


if __name__ == "__main__":
    main()
