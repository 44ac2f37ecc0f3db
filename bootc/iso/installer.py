"""Installs this image on a disk, from the medium that runs it: asked on the console, or unattended.

What it is told, the later counting: the kernel command line (`aios.install=ask|auto|/dev/DISK`, `aios.install.wipe=yes`,
`aios.install.then=reboot|poweroff|stay`, `aios.hostname=`, `aios.admin_key=`), and a file `aios-install.json` on a disk labelled
`AIOS-CONFIG` with the same names: {"install": "auto", "wipe": true, "then": "poweroff", "hostname": "...", "admin_key": "..."}.
Without `aios.install` it does nothing: the medium runs aiOS, and changes no disk.

It writes only to the disk that was chosen, and only when that is empty or was allowed to be erased.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEDIUM = Path("/run/aios-live/medium")
# The image with one update beside it, its kernels twice, and some state.
SMALLEST_BYTES = 6 << 30
CONFIG_LABEL = "AIOS-CONFIG"
CONFIG_FILE = "aios-install.json"


class Refused(Exception):  # noqa: N818 - said as a sentence: refused
    """Installing is not possible, or not allowed; the text says why and what to do."""


@dataclass
class Wish:
    """What somebody wants installed."""

    disk: str = ""
    wipe: bool = False
    then: str = "reboot"
    hostname: str = ""
    admin_key: str = ""

    @property
    def asked(self) -> bool:
        """Whether a person at the console answers."""
        return self.disk == "ask"


@dataclass
class Disk:
    """A whole disk of this machine."""

    path: str
    size: int
    model: str
    read_only: bool
    removable: bool
    # What of it is in use: mount points, swap, other devices on it.
    used_by: list[str]
    # What is on it: partitions or a file system.
    holds: list[str]

    def describe(self) -> str:
        """One line for a person."""
        content = ", ".join(self.holds) or "empty"
        return (
            f"{self.path}  {self.size / (1 << 30):.1f} GiB  {self.model or 'unnamed'}  ({content})"
        )


def parse_command_line(text: str) -> dict[str, str]:
    """Words `aios.NAME=VALUE` of a kernel command line, without the prefix."""
    found: dict[str, str] = {}
    for word in shlex.split(text.strip()):
        name, _, value = word.partition("=")
        if name.startswith("aios."):
            found[name.removeprefix("aios.")] = value
    return found


def wish_of(words: dict[str, str], file: dict[str, Any]) -> Wish:
    """What both places say; the file counts more."""
    wish = Wish(
        disk=words.get("install", ""),
        wipe=yes(words.get("install.wipe", "no")),
        then=words.get("install.then", "reboot"),
        hostname=words.get("hostname", ""),
        admin_key=words.get("admin_key", ""),
    )
    for name, value in file.items():
        field = "disk" if name == "install" else name
        if not hasattr(wish, field) or field == "asked":
            raise Refused(
                f"{CONFIG_FILE} has `{name}`, which is not known: write install, wipe, then, hostname or admin_key"
            )
        if not isinstance(value, type(getattr(wish, field))):
            raise Refused(
                f"`{name}` in {CONFIG_FILE} is {value!r}: write {type(getattr(wish, field)).__name__}"
            )
        setattr(wish, field, value)
    check(wish)
    return wish


def yes(word: str) -> bool:
    """Whether a word says yes. Anything but yes and no is an error: a disk may depend on it."""
    if word not in ("yes", "no"):
        raise Refused(f"`{word}` is no answer: write yes or no")
    return word == "yes"


def check(wish: Wish) -> None:
    """Refuses what cannot be meant."""
    if wish.disk and wish.disk not in ("ask", "auto") and not wish.disk.startswith("/dev/"):
        raise Refused(f"aios.install={wish.disk}: write ask, auto, or a disk such as /dev/nvme0n1")
    if wish.then not in ("reboot", "poweroff", "stay"):
        raise Refused(f"aios.install.then={wish.then}: write reboot, poweroff or stay")
    if wish.hostname and not re.fullmatch(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9-]+)*", wish.hostname
    ):
        raise Refused(f"`{wish.hostname}` is no host name: letters, digits and `-`")
    if wish.admin_key and not re.fullmatch(
        r"(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\"\n]*)?", wish.admin_key
    ):
        raise Refused(
            "the administrator's key is no line of an SSH public key, such as `ssh-ed25519 AAAA… me`"
        )


def disks_of(report: dict[str, Any]) -> list[Disk]:
    """Whole disks in what `lsblk --json --bytes` answered; media in drives and devices made of others are none."""
    return [
        Disk(
            path=entry["path"],
            size=int(entry["size"]),
            model=(entry.get("model") or "").strip(),
            read_only=bool(entry.get("ro")),
            removable=bool(entry.get("rm")),
            used_by=uses(entry),
            holds=[name for name in (entry.get("fstype"), entry.get("pttype")) if name],
        )
        for entry in report.get("blockdevices", [])
        if entry.get("type") == "disk"
        and int(entry["size"]) > 0
        and not entry["path"].startswith(("/dev/zram", "/dev/ram"))
    ]


def uses(entry: dict[str, Any]) -> list[str]:
    """Where a device or one on top of it is mounted, and what it is part of."""
    used = [point for point in entry.get("mountpoints", []) if point]
    for child in entry.get("children", []):
        if child.get("type") != "part":
            used.append(child["path"])
        used.extend(uses(child))
    return used


def refusal(disk: Disk, wipe: bool) -> str | None:
    """Why aiOS is not installed on this disk; nothing when it may be."""
    if disk.used_by:
        return f"{disk.path} is in use: {', '.join(disk.used_by)}"
    if disk.read_only:
        return f"{disk.path} cannot be written"
    if disk.size < SMALLEST_BYTES:
        return f"{disk.path} has {disk.size / (1 << 30):.1f} GiB; {SMALLEST_BYTES >> 30} GiB are needed"
    if disk.holds and not wipe:
        return f"{disk.path} is not empty ({', '.join(disk.holds)}): allow it to be erased with aios.install.wipe=yes"
    return None


def choose(disks: list[Disk], wish: Wish) -> Disk:
    """The disk that an unattended installation takes: the one that was named, or the only one that will do."""
    if wish.disk == "auto":
        fit = [disk for disk in disks if refusal(disk, wish.wipe) is None and not disk.removable]
        if len(fit) == 1:
            return fit[0]
        if fit:
            names = ", ".join(disk.path for disk in fit)
            raise Refused(f"several disks will do ({names}): name one, aios.install=/dev/…")
        reasons = "; ".join(
            refusal(disk, wish.wipe) or f"{disk.path} can be removed" for disk in disks
        )
        raise Refused(
            f"no disk will do: {reasons or 'this machine has none that its kernel knows'}"
        )
    wanted = os.path.realpath(wish.disk)
    for disk in disks:
        if disk.path == wanted:
            reason = refusal(disk, wish.wipe)
            if reason:
                raise Refused(reason)
            return disk
    raise Refused(
        f"there is no disk {wish.disk}; there are {', '.join(disk.path for disk in disks) or 'none'}"
    )


def ask(
    disks: list[Disk], wish: Wish, answer: Callable[[str], str], say: Callable[[str], None]
) -> Disk | None:
    """Asks a person which disk, and whether it may be erased; nothing when they do not want to."""
    while True:
        say("")
        say("Install aiOS on a disk of this machine. All that is on that disk will be lost.")
        for number, disk in enumerate(disks, 1):
            reason = refusal(disk, wipe=True)
            say(f"  {number}  {disk.describe()}" + (f": not possible, {reason}" if reason else ""))
        word = answer(f"Which disk? [1-{len(disks)}, or q to go on without installing] ").strip()
        if word == "q":
            return None
        if not word.isdigit() or not 1 <= int(word) <= len(disks):
            say(f"`{word}` is none of them.")
            continue
        disk = disks[int(word) - 1]
        reason = refusal(disk, wipe=True)
        if reason:
            say(f"Not possible: {reason}.")
            continue
        word = answer(f"Erase {disk.path} and install aiOS on it? [yes/no] ").strip()
        if word == "yes":
            break
        if word != "no":
            say(f"`{word}` is neither yes nor no; nothing was done.")
    wish.hostname = answer("Host name? [empty: one is made] ").strip()
    wish.admin_key = answer("Administrator's SSH public key? [empty: no SSH] ").strip()
    check(wish)
    return disk


def command(disk: Disk, wish: Wish, medium: Path) -> list[str]:
    """How bootc is told."""
    words = [
        "bootc",
        "install",
        "to-disk",
        "--composefs-backend",
        "--wipe",
        "--generic-image",
        "--skip-fetch-check",
    ]
    words += ["--source-imgref", f"oci:{medium}/aios/image"]
    transport, reference = (medium / "aios/follow").read_text().split(maxsplit=1)
    words += ["--target-transport", transport, "--target-imgref", reference.strip()]
    if wish.hostname:
        words += ["--karg", f"aios.hostname={wish.hostname}"]
    if wish.admin_key:
        words += ["--karg", f'aios.admin_key="{wish.admin_key}"']
    return [*words, disk.path]


def list_disks() -> list[Disk]:
    """The disks of this machine."""
    columns = "PATH,SIZE,MODEL,RO,RM,TYPE,FSTYPE,PTTYPE,MOUNTPOINTS"
    report = subprocess.run(
        ["lsblk", "--json", "--bytes", "--output", columns],
        capture_output=True,
        text=True,
        check=True,
    )
    return disks_of(json.loads(report.stdout))


def config_file() -> dict[str, Any]:
    """What the labelled disk says; nothing without one."""
    found = subprocess.run(
        ["blkid", "-L", CONFIG_LABEL], capture_output=True, text=True, check=False
    )
    device = found.stdout.strip()
    if not device:
        return {}
    at = Path("/run/aios-install")
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "ro,nosuid,nodev,noexec", device, str(at)], check=True)
    try:
        path = at / CONFIG_FILE
        value = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise Refused(f"{CONFIG_FILE} on {device}: {error}") from error
    finally:
        subprocess.run(["umount", str(at)], check=True)
    if not isinstance(value, dict):
        raise Refused(f"{CONFIG_FILE} on {device} is no object")
    return value


def install(disk: Disk, wish: Wish, say: Callable[[str], None]) -> None:
    """Has bootc lay the image on the disk."""
    say(f"Installing on {disk.path}; this takes some minutes.")
    log = Path("/run/aios-install.log")
    with log.open("wb") as output:
        done = subprocess.run(
            command(disk, wish, MEDIUM),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode != 0:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Refused(
            f"bootc ended with {done.returncode}; its last words, all of them in {log}:\n{last}"
        )
    os.sync()


def run(say: Callable[[str], None], answer: Callable[[str], str]) -> None:
    """Finds out what is wanted, and does it."""
    wish = wish_of(parse_command_line(Path("/proc/cmdline").read_text()), config_file())
    if not wish.disk:
        return
    if not Path("/sys/firmware/efi").exists():
        raise Refused(
            "this machine was not started by UEFI, which aiOS needs: change that in the firmware's settings"
        )
    # What a slow bus shows later is not offered.
    subprocess.run(["udevadm", "settle", "--timeout=30"], check=False)
    disks = list_disks()
    disk = ask(disks, wish, answer, say) if wish.asked else choose(disks, wish)
    if disk is None:
        say("Nothing is installed. aiOS runs from the medium until it is switched off.")
        return
    install(disk, wish, say)
    say(f"aios-installer: installed on {disk.path}")
    if wish.then != "stay":
        say("Take the medium out." if wish.then == "reboot" else "Switching off.")
        subprocess.run(["systemctl", wish.then], check=True)


def main() -> int:
    """Speaks on the console."""
    with open("/dev/console", "r+b", buffering=0) as console:

        def say(text: str) -> None:
            console.write((text + "\r\n").encode())

        def answer(question: str) -> str:
            console.write(question.encode())
            line = console.readline()
            if not line:
                raise Refused("the console was closed")
            return line.decode(errors="replace")

        try:
            run(say, answer)
        except Refused as error:
            say(f"aios-installer: not installed: {error}")
            return 1
        except (OSError, subprocess.CalledProcessError) as error:
            say(f"aios-installer: not installed: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
