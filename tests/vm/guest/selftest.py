"""The self-test inside the booted image: one goal from words to undo, then what confines the parts.

Runs as root, outside every service's cgroup, the way a person at the machine's console would. Speaks only the command
line, /proc and /sys. Each check is one JSON object a line on the virtio console; the last line has the counts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from machine import HOG, Machine  # noqa: E402
from namespaces import Namespaces  # noqa: E402
from tree import Tree  # noqa: E402

CHANNEL = "/dev/hvc0"
PERSON = "ann"
AIOSCTL = "/usr/bin/aiosctl"
CGROUP = Path("/sys/fs/cgroup")
SCRATCH = Path("/var/tmp/aios-scratch")
GOAL = f"free space under {SCRATCH}: delete *.log older than 7 days, keep the newest 3"
# Software emulation is slow; these end a hang, they are no promise of speed.
START_S = 400
COMMAND_S = 120
NEEDS_APPROVAL = 4
TEST = "vm-test"
# Started only where a key of an administrator was given.
OFF = {"aios-sshd"}
# Ready once it has ended well: it found the boot healthy. It has no process then.
ENDED = {"aios-health"}
# What each service may do as configs/services says: its AppArmor profile and its capabilities. The sandbox has no
# profile (rootless Podman needs more than one could hold), and its bounding set stays whole for newuidmap.
SEC_CAPS = 0b100  # DAC_READ_SEARCH is number 2.
FILE_CAPS = 0b11111  # CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID are numbers 0 to 4.
# SETPCAP 8, KILL 5, SETGID 6, SETUID 7, SYS_PTRACE 19, SYS_RESOURCE 24.
PROCESS_CAPS = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 19 | 1 << 24
# And KILL, SETGID, SETUID, MKNOD, SETFCAP.
PACKAGE_CAPS = FILE_CAPS | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 27 | 1 << 31
NET_CAPS = 1 << 12  # NET_ADMIN
# And SETPCAP 8, SYS_CHROOT 18, SYS_PTRACE 19, SYS_ADMIN 21.
IMAGE_CAPS = PACKAGE_CAPS | 1 << 8 | 1 << 18 | 1 << 19 | 1 << 21
# NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13.
CLIENT_CAPS = 1 << 10 | 1 << 12 | 1 << 13
TIME_CAPS = 1 << 25  # SYS_TIME
SERVICES: dict[str, tuple[str | None, int]] = {
    "aios-console": ("aios-console", 0),
    "aios-guard": ("aios-guard", 0),
    "aios-memory": ("aios-memory", 0),
    "aios-network": ("aios-dhcp", CLIENT_CAPS),
    "aios-orchestrator": ("aios-orchestrator", 0),
    "aios-sandbox": (None, 0),
    "aios-time": ("aios-time", TIME_CAPS),
    "aios-tools": ("aios-tools", 0),
    "aios-worker-fs": ("aios-fs", FILE_CAPS),
    "aios-worker-host": ("aios-host", 0),
    "aios-worker-service": ("aios-service", 0),
    "aios-worker-process": ("aios-process", PROCESS_CAPS),
    "aios-worker-os": ("aios-os", IMAGE_CAPS),
    "aios-worker-pkg": ("aios-pkg", PACKAGE_CAPS),
    "aios-worker-net": ("aios-net", NET_CAPS),
    "aios-worker-sec": ("aios-sec", SEC_CAPS),
}
# dpkg works for uid 0 only; what it may do is in its capabilities.
ROOT = {"aios-worker-pkg"}
# Of what aios-init sets: other than the kernel's own defaults.
SYSCTLS = {"kernel/kptr_restrict": "2", "fs/protected_regular": "2"}
MANY_RESTARTS = 4
LAST_LINES = 15


class CheckFailed(Exception):
    """Says what was found instead."""


class NotStarting(Exception):
    """Waiting longer would not help."""


class Report:
    """Writes results to the machine that started this one."""

    def __init__(self) -> None:
        self._channel = open(CHANNEL, "w", buffering=1)  # noqa: SIM115
        self.passed = 0
        self.failed = 0

    def check(self, name: str, work: Callable[[], Any]) -> Any:
        """Runs one check; what it returns is the detail."""
        started = time.monotonic()
        try:
            detail = work()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is a failed check, and the rest still runs
            self.failed += 1
            self._line(check=name, ok=False, seconds=since(started), detail=str(error))
            traceback.print_exc()
            return None
        self.passed += 1
        self._line(check=name, ok=True, seconds=since(started), detail=detail)
        return detail

    def note(self, name: str, lines: list[str]) -> None:
        """Something to read where a check failed."""
        for line in lines:
            self._channel.write(f"# {name}: {line}\n")

    def end(self) -> None:
        """The last line."""
        self._line(passed=self.passed, failed=self.failed)

    def _line(self, **fields: Any) -> None:
        self._channel.write(json.dumps(fields, default=str) + "\n")


def since(started: float) -> float:
    """Seconds, to a tenth."""
    return round(time.monotonic() - started, 1)


def expect(condition: bool, message: str) -> None:
    """A check's own assertion."""
    if not condition:
        raise CheckFailed(message)


def ctl(*words: str, user: str | None = None, codes: Iterable[int] = (0,)) -> tuple[int, list[Any]]:
    """Runs aiosctl, as another user if asked, and parses its JSON lines."""
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    done = subprocess.run(  # noqa: S603
        [*prefix, AIOSCTL, "--json", *words],
        capture_output=True, text=True, timeout=COMMAND_S, check=False, stdin=subprocess.DEVNULL,
    )
    if done.returncode not in codes:
        raise CheckFailed(f"aiosctl {' '.join(words)}: exit {done.returncode}: {done.stdout[-600:]} {done.stderr[-600:]}")
    try:
        return done.returncode, [json.loads(done.stdout)]
    except json.JSONDecodeError:
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.strip()]


def services_ready() -> Any:
    """Waits until every service is well."""
    deadline = time.monotonic() + START_S
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            code, documents = ctl("service", "list", codes=range(6))
            if code == 0:
                states = {service["name"]: service["state"] for service in documents[0]}
                last = json.dumps(states)
                failing = [service["name"] for service in documents[0] if service["restarts"] >= MANY_RESTARTS]
                if failing:
                    raise NotStarting(f"{last}; {failing} do not start")
                well = [state in ("ready", "listening") for name, state in states.items() if name not in {TEST, *OFF}]
                if well and all(well):
                    ctl("status")
                    return states
        except (CheckFailed, subprocess.TimeoutExpired) as error:
            last = str(error)
        time.sleep(1)
    raise CheckFailed(last)


def attribute(pid: int | str) -> str:
    """AppArmor label of a process."""
    return Path(f"/proc/{pid}/attr/apparmor/current").read_text().strip("\0\n ")


def status_of(pid: int | str) -> dict[str, str]:
    """/proc/PID/status."""
    text = Path(f"/proc/{pid}/status").read_text()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def confined_services() -> Any:
    """Each service of the image runs, as its own user, under its own profile and with its own capabilities."""
    _, documents = ctl("service", "list")
    services = {service["name"]: service for service in documents[0] if service["name"] not in {TEST, HOG, *OFF, *ENDED}}
    expect(services.keys() == SERVICES.keys(), f"there are {sorted(services)}")
    found = {name: confined(service) for name, service in services.items()}
    users = [entry["user"] for entry in found.values()]
    expect(len(set(users)) == len(users), f"services share a user: {users}")
    return found


def confined(service: dict[str, Any]) -> dict[str, str]:
    """What holds one service, as the kernel says."""
    name = service["name"]
    profile, caps = SERVICES[name]
    expect(service["pid"], f"{name} has no process: {service['state']}")
    status = status_of(service["pid"])
    label = attribute(service["pid"])
    uid = int(status["Uid"].split()[0])
    user = subprocess.run(  # noqa: S603
        ["id", "-un", str(uid)], capture_output=True, text=True, check=True  # noqa: S607
    ).stdout.strip()
    expect(uid != 0 or name in ROOT, f"{name} runs as root")
    expect(user == service["user"], f"{name} runs as {user}, its file names {service['user']}")
    expect(int(status["CapEff"], 16) == caps, f"{name} has capabilities {status['CapEff']}, not {caps:x}")
    if profile:
        expect(label == f"{profile} (enforce)", f"{name} has label {label}, not {profile}")
        expect(int(status["CapBnd"], 16) == caps, f"{name} could get capabilities {status['CapBnd']}")
        expect(status["NoNewPrivs"] == "1", f"{name} could get new privileges")
    return {"user": user, "label": label, "caps": status["CapEff"]}


def agent_containers() -> list[tuple[Path, list[int]]]:
    """Cgroups of agents' containers, with their processes."""
    found = []
    for procs in CGROUP.glob("aios/agents/pods/**/cgroup.procs"):
        pids = [int(pid) for pid in procs.read_text().split()]
        if pids:
            found.append((procs.parent, pids))
    return found


def agent_confined() -> Any:
    """A live agent container has real limits and a label, and none of its processes can gain privileges."""
    deadline = time.monotonic() + COMMAND_S
    while not (containers := agent_containers()):
        expect(time.monotonic() < deadline, "no agent container is running")
        time.sleep(0.5)
    found = []
    for cgroup, pids in containers:
        top = next(dir for dir in [cgroup, *cgroup.parents] if dir.parent.name == "pods")
        limits = {name: (top / name).read_text().strip() for name in ("memory.max", "pids.max", "cpu.max")}
        for name, value in limits.items():
            expect(not value.startswith("max"), f"{top}: {name} is {value}")
        for pid in pids:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if command.startswith("/usr/bin/conmon"):
                continue
            status = status_of(pid)
            label = attribute(pid)
            expect(label == "aios-agent (enforce)", f"{command}: label {label}")
            expect(status["NoNewPrivs"] == "1", f"{command}: new privileges are possible")
            expect(status["Seccomp"] == "2", f"{command}: no seccomp filter")
            expect(int(status["CapEff"], 16) == 0, f"{command}: capabilities {status['CapEff']}")
            expect(int(status["Uid"].split()[0]) >= 1000, f"{command}: uid {status['Uid']}")  # noqa: PLR2004
            found.append({"command": command, "label": label, **limits})
    expect(bool(found), f"conmon is alone in {[str(cgroup) for cgroup, _ in containers]}")
    return found


def run_goal() -> Any:
    """States the goal; it stops where a person must decide."""
    code, events = ctl("goal", "run", GOAL, user=PERSON, codes=(0, NEEDS_APPROVAL))
    expect(code == NEEDS_APPROVAL, f"nobody was asked: {events[-1]}")
    goal = next(event["goal_id"] for event in events if "goal_id" in event)
    return goal


def approve_all(goal: str) -> int:
    """Approves what waits; answers how many."""
    _, documents = ctl("approval", "list", "--goal", goal, user=PERSON)
    waiting = documents[0]
    for approval in waiting:
        ctl("approval", "approve", approval["approval_id"], user=PERSON)
    return len(waiting)


def finish(goal: str) -> Any:
    """Approves until the goal has ended."""
    for _ in range(50):
        approve_all(goal)
        code, events = ctl("goal", "watch", goal, user=PERSON, codes=range(6))
        if code != NEEDS_APPROVAL:
            _, documents = ctl("goal", "show", goal, user=PERSON)
            state = documents[0]["goal"]["state"]
            expect(code == 0 and state == "completed", f"exit {code}, {state}: {json.dumps(documents[0])[-1500:]}")
            return {"state": state, "status": documents[0]["goal"].get("status_line")}
    raise CheckFailed("approvals do not end")


def undo(goal: str) -> Any:
    """Undoes the goal. Rule `undo` of the policy: under supervision nobody is asked again."""
    code, events = ctl("goal", "undo", goal, user=PERSON, codes=range(6))
    expect(code == 0, f"exit {code}: {events[-1:]}")
    undoing = next(event["goal_id"] for event in events if "goal_id" in event)
    _, documents = ctl("goal", "show", undoing, user=PERSON)
    state = documents[0]["goal"]["state"]
    expect(undoing != goal and state == "completed", f"goal {undoing} is {state}")
    return {"goal": undoing, "state": state}


def boot_phases() -> Any:
    """Every phase of the boot did its work or says why there was none, and the kernel has what they set."""
    _, documents = ctl("boot")
    boot = documents[0]
    expect(boot["booted"], "aios-init is not process 1")
    states = {phase["name"]: phase["state"] for phase in boot["phases"]}
    failed = [phase for phase in boot["phases"] if phase["state"] not in ("done", "skipped")]
    expect(not failed, f"{failed}")
    # Without these an image is not protected, or the boot has not ended.
    machine = ("clock", "accounts", "tmpfiles", "kernel-settings", "apparmor", "firewall", "network")
    for name in (*machine, "directories", "services", "ready"):
        expect(states.get(name) == "done", f"phase {name}: {states.get(name)}")
    for name, wanted in SYSCTLS.items():
        value = Path("/proc/sys", name).read_text().strip()
        expect(value == wanted, f"{name} is {value}, not {wanted}")
    return states


def nothing_open() -> Any:
    """What nobody opened is dropped; without a key of an administrator there is no door for SSH."""
    listing = ["nft", "list", "ruleset"]
    rules = subprocess.run(listing, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for hook in ("input", "forward"):
        expect(f"hook {hook} priority filter; policy drop;" in rules, rules)
    expect("dport 22 " not in rules, rules)
    _, documents = ctl("service", "list")
    doors = {service["name"]: service["state"] for service in documents[0] if service["name"] in OFF}
    expect(set(doors.values()) <= {"stopped"}, f"{doors}")
    return doors


def leave_the_service() -> None:
    """Moves to a cgroup of its own: what lies in a service's can be nobody's terminal."""
    own = CGROUP / "person"
    own.mkdir(exist_ok=True)
    (own / "cgroup.procs").write_text(str(os.getpid()))


def why(report: Report) -> None:
    """What a person would look at next: the services' own words and what the kernel refused."""
    for path in sorted(Path("/var/lib/aios/log").glob("**/*")):
        if path.is_file():
            report.note(path.name, path.read_text(errors="replace").splitlines()[-LAST_LINES:])


def refused(report: Report) -> None:
    """What AppArmor refused, also in a run where all is well: a profile may be too narrow, or somebody tried."""
    kernel = subprocess.run(["dmesg"], capture_output=True, text=True, check=False).stdout  # noqa: S607
    report.note("kernel", [line for line in kernel.splitlines() if "DENIED" in line][-LAST_LINES:])


def main() -> None:
    """All checks, in order."""
    leave_the_service()
    report = Report()
    report.check("services ready", services_ready)
    if report.failed:
        why(report)
        refused(report)
        report.end()
        return
    report.check("services run confined, as their own users", confined_services)
    report.check("person enrolled", lambda: ctl("person", "enrol", "--user", PERSON)[1])
    tree = Tree(SCRATCH, PERSON)
    tree.build()
    before = tree.look()
    goal = report.check("goal asks for approval", run_goal)
    report.check("nothing changed before approval", lambda: tree.same(before))
    report.check("agent container confined", agent_confined)
    if goal:
        report.check("goal completes after approval", lambda: finish(goal))
        report.check("exactly the old logs are gone", tree.only_old_logs_gone)
        report.check("undo", lambda: undo(goal))
        report.check("undo restored every byte and attribute", lambda: tree.same(before))
    namespaces = Namespaces(ctl, expect, PERSON, approve_all)
    report.check("every namespace answers confined", namespaces.look)
    report.check("open files of other users are seen", namespaces.open_files)
    report.check("a firewall rule is made and undone", namespaces.firewall)
    report.check("audit log verifies", lambda: ctl("audit", "verify")[1])
    report.check("boot phases", boot_phases)
    report.check("nothing is open that nobody opened", nothing_open)
    machine = Machine(ctl, expect)
    report.check("nobody is unconfined but whom the documentation lists", machine.unconfined)
    report.check("whoever listens does it on this machine only", machine.loopback_only)
    report.check("a service that eats its memory harms itself only, also with the clock set back", machine.memory_hog)
    report.check("the audit log verifies also then", lambda: ctl("audit", "verify")[1])
    if report.failed:
        why(report)
    refused(report)
    report.end()


if __name__ == "__main__":
    try:
        main()
    finally:
        os.kill(1, signal.SIGUSR2)
