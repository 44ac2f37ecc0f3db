"""What the machine as a whole promises, as the kernel tells it: who is confined, who listens, and that a service which eats its memory
harms nobody but itself, also while somebody turns the clock back."""

from __future__ import annotations

import ipaddress
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ctl = Callable[..., tuple[int, list[Any]]]
Expect = Callable[[bool, str], None]

HOG = "vm-hog"
# `hog.py` begins when it is there.
HOG_BEGINS = Path("/run/vm-hog")
WAIT_S = 240
DAY_S = 86_400
TCP_LISTEN = "0A"
LOOPBACK_V4 = "127."
LOOPBACK_V6 = "::1"
# Programs that run without an AppArmor profile, as docs/architecture/SECURITY.md lists them, by their executables.
UNCONFINED = {
    "/usr/lib/aios/bin/aios-init": "process 1 mounts, and starts the supervisor",
    "/usr/lib/aios/bin/aios-supervisor": "starts the others",
    "/usr/bin/udevadm": "udevd makes device nodes and loads modules",
    "/usr/lib/aios/bin/aios-sandbox": "rootless Podman runs set-uid programs",
    "/usr/bin/podman": "of the sandbox",
    "/usr/bin/conmon": "of the sandbox: one a container",
    "/usr/bin/catatonit": "of the sandbox: holds its user namespace",
}
# Of this test: itself and the hog.
TEST = ("/usr/lib/aios-vm-test/",)


class Machine:
    """Looks at the whole machine, as root."""

    def __init__(self, ctl: Ctl, expect: Expect) -> None:
        self._ctl = ctl
        self._expect = expect

    def unconfined(self) -> Any:
        """Nothing runs without a profile in enforce mode but what the documentation lists."""
        found: dict[str, int] = {}
        foreign = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                label = (process / "attr/apparmor/current").read_text().strip("\0\n ")
                executable = str((process / "exe").readlink())
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                # It ended meanwhile, or is the kernel's own, which has no executable.
                continue
            if label.endswith("(enforce)"):
                continue
            if executable in UNCONFINED:
                found[executable] = found.get(executable, 0) + 1
            elif not any(place in command for place in TEST):
                foreign.append(f"{process.name} {executable} ({command}): {label}")
        self._expect(not foreign, "; ".join(foreign))
        return found

    def loopback_only(self) -> Any:
        """Whoever listens for connections does it on this machine only; 8080, the gateway's, is nobody's or loopback's."""
        listening = [*sockets("/proc/net/tcp", 4), *sockets("/proc/net/tcp6", 16)]
        foreign = [at for at in listening if not at.startswith((LOOPBACK_V4, LOOPBACK_V6))]
        self._expect(bool(listening), "nobody listens at all, not even the console")
        self._expect(not foreign, f"others than this machine reach {foreign}")
        return listening

    def memory_hog(self) -> Any:
        """The service whose memory runs out is ended and started again after a pause, and nobody else, although the clock goes back."""
        before = self._services()
        first = before[HOG]
        subprocess.run(["date", "--set", f"@{int(time.time()) - DAY_S}"], check=True, stdout=subprocess.DEVNULL)
        try:
            HOG_BEGINS.touch()
            after = self._until_restarted(first["pid"])
        finally:
            subprocess.run(["date", "--set", f"@{int(time.time()) + DAY_S}"], check=True, stdout=subprocess.DEVNULL)
        ended = after[HOG]["last_exit"]
        self._expect("signal 9" in ended and "out of memory" in ended, f"it ended by {ended!r}")
        moved = {name for name, service in before.items() if name != HOG and after[name]["pid"] != service["pid"]}
        self._expect(not moved, f"others were started again too: {sorted(moved)}")
        return ended

    def _until_restarted(self, pid: int) -> dict[str, Any]:
        deadline = time.monotonic() + WAIT_S
        paused = False
        while True:
            services = self._services()
            hog = services[HOG]
            paused = paused or hog["state"] == "backoff"
            if hog["state"] == "ready" and hog["pid"] not in (0, pid):
                self._expect(paused or hog["restarts"] > 0, f"it was not started again by init: {hog}")
                return services
            self._expect(time.monotonic() < deadline, f"it is not started again: {hog}")
            time.sleep(0.2)

    def _services(self) -> dict[str, Any]:
        _, documents = self._ctl("service", "list")
        return {service["name"]: service for service in documents[0]}


def sockets(table: str, size: int) -> list[str]:
    """Addresses and ports that listen, of a table as proc_net(5) has it: words of the address in this machine's byte order."""
    found = []
    for line in Path(table).read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] != TCP_LISTEN:
            continue
        address, port = fields[1].split(":")
        words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, size * 2, 8)]
        found.append(f"{ipaddress.ip_address(b''.join(words))}:{int(port, 16)}")
    return found
