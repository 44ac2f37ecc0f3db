"""The tools, one typed method each. Generated from the tool registry; do not edit.

A method sends its arguments as the task's next step and returns the tool's result, which the tool
service has checked against the tool's schema. Results are tainted when the tool says so: text in
them may inform a decision, and never grants anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast


class Caller(Protocol):
    """What carries a call: a task."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, reason: str, timeout_ms: int = 0
    ) -> Any:  # noqa: ANN401 - JSON; the methods below narrow it
        """Sends the call and returns its JSON result."""


def _given(**args: object) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}


class FsDeleteResult(TypedDict):
    """Result of fs.delete."""

    # Space given back, bytes: files whose last name was deleted.
    bytes_freed: int
    # What was deleted, sorted.
    deleted: list[str]
    # How many.
    files: int


class FsDiskUsageResult(TypedDict):
    """Result of fs.disk_usage."""

    # Sum of the sizes, bytes; a file with several names counts once.
    apparent_bytes: int
    # Space taken on the disk, bytes; a file with several names counts once.
    bytes: int
    # Directories, the first one included.
    dirs: int
    # Files and links.
    files: int
    # Free for ordinary users, bytes.
    fs_free_bytes: int
    # Size of the file system, bytes.
    fs_total_bytes: int
    # Path with every symbolic link resolved.
    path: str
    # Directories not entered: another mount, not granted, protected or not readable.
    skipped: int


# Kind of a thing in a directory.
FsKind = Literal["file", "dir", "symlink", "other"]


class FsEntry(TypedDict):
    """One thing in a directory."""

    # Kind.
    kind: FsKind
    # Last change of the content, milliseconds since 1970, UTC.
    mtime_ms: int
    # Name without directory.
    name: str
    # Size in bytes.
    size: int


class FsListResult(TypedDict):
    """Result of fs.list."""

    # Entries, sorted by name.
    entries: list[FsEntry]
    # The directory, every symbolic link resolved.
    path: str
    # True when there are more than `limit`.
    truncated: bool
    # Entries left out because their names are not UTF-8.
    unnamed: int


# How `content` is written down.
FsEncoding = Literal["utf8", "base64"]


class FsReadResult(TypedDict):
    """Result of fs.read."""

    # Bytes returned.
    bytes: int
    # The bytes.
    content: str
    # How `content` is written down.
    encoding: FsEncoding
    # True when the end of the file was reached.
    eof: bool
    # First byte returned.
    offset: int
    # Path with every symbolic link resolved.
    path: str
    # Size of the whole file, bytes.
    size: int
    # Always true: content of a file is not to be trusted.
    tainted: bool


class FsFound(TypedDict):
    """One thing found."""

    # Kind.
    kind: FsKind
    # Last change of the content, milliseconds since 1970, UTC.
    mtime_ms: int
    # Absolute path.
    path: str
    # Size in bytes.
    size: int


class FsSearchResult(TypedDict):
    """Result of fs.search."""

    # What was found, oldest first, then by path.
    files: list[FsFound]
    # How many of those were left out by `keep_newest`.
    kept: int
    # How many matched name and kind.
    matched: int
    # The directory searched, every symbolic link resolved.
    root: str
    # Directories not entered: another mount, not granted, protected or not readable.
    skipped: int
    # Sum of the sizes of `files`, bytes.
    total_bytes: int
    # True when there are more than `limit`.
    truncated: bool


# What fs.search looks for.
FsSearchKind = Literal["file", "dir", "symlink", "any"]


class FsStatResult(TypedDict):
    """Result of fs.stat."""

    # False when nothing is there; the other fields are then empty or 0.
    exists: bool
    # Owner's group id.
    gid: int
    # Kind; absent when nothing is there.
    kind: NotRequired[FsKind | None]
    # Names that the file has.
    links: int
    # Permission bits, octal text `0644`.
    mode: str
    # Last change of the content, milliseconds since 1970, UTC.
    mtime_ms: int
    # Path with every directory link resolved.
    path: str
    # Size in bytes.
    size: int
    # Where a symbolic link points, as it is written.
    target: NotRequired[str | None]
    # Owner's user id.
    uid: int


class FsUndoResult(TypedDict):
    """Result of fs.undo."""

    # Bytes of content restored.
    bytes: int
    # How many.
    files: int
    # Paths that are again as they were, sorted.
    restored: list[str]


class FsWriteResult(TypedDict):
    """Result of fs.write."""

    # Bytes written.
    bytes: int
    # True when the file was made.
    created: bool
    # Path with every symbolic link resolved.
    path: str
    # SHA-256 of the file afterwards, hex.
    sha256: str
    # Size of the file afterwards, bytes.
    size: int


# How fs.write treats what is there.
FsHow = Literal["create", "overwrite", "append"]


class HwVulnerability(TypedDict):
    """A weakness of the processor."""

    # Its name, `spectre_v2`.
    name: str
    # The kernel's words: `Not affected`, `Vulnerable`, `Mitigation: ...`.
    state: str


class HwCpuResult(TypedDict):
    """Result of hw.cpu."""

    # Cores, each counted once however many threads it has; absent when the kernel does not say.
    cores: NotRequired[int | None]
    # Logical processors that are online.
    cpus: int
    # Highest frequency, kilohertz.
    max_khz: NotRequired[int | None]
    # Model of the first processor.
    model: NotRequired[str | None]
    # Processor packages; absent when the kernel does not say.
    sockets: NotRequired[int | None]
    # Who made it.
    vendor: NotRequired[str | None]
    # Whether a hypervisor runs this machine.
    virtual_machine: bool
    # Known weaknesses, and what the kernel does about each.
    vulnerabilities: list[HwVulnerability]


class HwInfoResult(TypedDict):
    """Result of hw.info."""

    # Architecture of the machine, `x86_64`.
    architecture: str
    # When the kernel started, UTC milliseconds.
    booted_ms: int
    # Logical processors that are online.
    cpus: int
    # Version of its firmware.
    firmware: NotRequired[str | None]
    # Host name.
    hostname: str
    # Release of the running kernel, `6.12.9-cloud-amd64`.
    kernel: str
    # Memory, bytes.
    memory_bytes: int
    # Its model, as its firmware says.
    product: NotRequired[str | None]
    # Time since then, milliseconds.
    uptime_ms: int
    # Who made the machine, as its firmware says.
    vendor: NotRequired[str | None]


class HwMemoryResult(TypedDict):
    """Result of hw.memory. Bytes."""

    # What programs could still get without swapping.
    available_bytes: int
    # What holds file contents and can mostly be given back.
    cached_bytes: int
    # Promised to programs.
    committed_bytes: int
    # Written by programs and not yet on disk.
    dirty_bytes: int
    # What nothing uses.
    free_bytes: int
    # Swap space that is free.
    swap_free_bytes: int
    # Swap space.
    swap_total_bytes: int
    # All of it.
    total_bytes: int


class HwInterface(TypedDict):
    """A network interface."""

    # Hardware address.
    address: NotRequired[str | None]
    # Driver; absent for what is no device.
    driver: NotRequired[str | None]
    # Largest packet, bytes.
    mtu_bytes: NotRequired[int | None]
    # Name, `eth0`.
    name: str
    # Speed of the link, megabits a second.
    speed_mbit: NotRequired[int | None]
    # `up`, `down`, `unknown`, ... (RFC 2863).
    state: NotRequired[str | None]


class HwNetworkResult(TypedDict):
    """Result of hw.network."""

    # Interfaces, sorted by name.
    interfaces: list[HwInterface]


class HwPciDevice(TypedDict):
    """A device on the PCI bus."""

    # Address, `0000:00:1f.2`.
    address: str
    # Class code, `0x010601`.
    class_code: str
    # Device code.
    device_code: str
    # Driver that has it; absent when none does.
    driver: NotRequired[str | None]
    # Vendor code, `0x8086`.
    vendor_code: str


class HwPciResult(TypedDict):
    """Result of hw.pci."""

    # Devices, sorted by address.
    devices: list[HwPciDevice]


class HwReading(TypedDict):
    """What one sensor says."""

    # Chip, `coretemp`.
    chip: str
    # Value from which it is too much, in the same unit.
    critical: NotRequired[int | None]
    # `temperature`, `fan` or `voltage`.
    kind: str
    # Its own name for it, `Core 0`; else the file's, `temp2`.
    label: str
    # `millicelsius`, `rpm` or `millivolt`.
    unit: str
    # Value: milli-degrees Celsius, turns a minute, or millivolts.
    value: int


class HwSupply(TypedDict):
    """A battery or a power supply."""

    # `Battery`, `Mains`, ...
    kind: NotRequired[str | None]
    # Name, `BAT0`.
    name: str
    # Charge, percent.
    percent: NotRequired[int | None]
    # `Charging`, `Discharging`, `Full`, ...
    state: NotRequired[str | None]


class HwSensorsResult(TypedDict):
    """Result of hw.sensors."""

    # Readings; a virtual machine usually has none.
    readings: list[HwReading]
    # Batteries and power supplies.
    supplies: list[HwSupply]


class HwDevice(TypedDict):
    """A block device."""

    # Model.
    model: NotRequired[str | None]
    # Name, `sda`.
    name: str
    # Its partitions.
    partitions: list[HwPartition]
    # Whether it refuses writing.
    read_only: bool
    # Whether it can be taken out.
    removable: bool
    # Whether it turns.
    rotational: bool
    # Serial number.
    serial: NotRequired[str | None]
    # Size in bytes.
    size_bytes: int


class HwPartition(TypedDict):
    """A part of a disk."""

    # Name, `sda1`.
    name: str
    # Size in bytes.
    size_bytes: int


class HwStorageResult(TypedDict):
    """Result of hw.storage."""

    # Disks and their partitions; loop devices and RAM disks that hold nothing are left out.
    devices: list[HwDevice]


class MonitorShare(TypedDict):
    """What a processor did, percent."""

    # Anything but waiting.
    busy_percent: float
    # Nothing, while a disk was waited for.
    iowait_percent: float
    # Taken by the hypervisor for others.
    steal_percent: float
    # The kernel, interrupts included.
    system_percent: float
    # Programs.
    user_percent: float


class MonitorCpuResult(TypedDict):
    """Result of monitor.cpu. Percent of the time watched."""

    # Each processor, in the kernel's order.
    cpus: list[MonitorShare]
    # How long was watched, milliseconds.
    interval_ms: int
    # All processors together.
    total: MonitorShare


class MonitorDiskRate(TypedDict):
    """What a disk did."""

    # Requests that wait now.
    in_progress: int
    # Name, `sda`.
    name: str
    # Bytes read a second.
    read_bytes_per_s: int
    # Requests ended a second.
    requests_per_s: int
    # Bytes written a second.
    written_bytes_per_s: int


class MonitorDiskResult(TypedDict):
    """Result of monitor.disk."""

    # Devices and partitions that were ever used, sorted by name.
    devices: list[MonitorDiskRate]
    # How long was watched, milliseconds.
    interval_ms: int


class MonitorLoadResult(TypedDict):
    """Result of monitor.load."""

    # Of the last fifteen minutes.
    fifteen: float
    # Of the last five minutes.
    five: float
    # Tasks that ran or waited for a disk, mean of the last minute.
    one: float
    # Tasks that run or could run now.
    running: int
    # Tasks there are.
    tasks: int


class MonitorNetworkRate(TypedDict):
    """What an interface did."""

    # Name, `eth0`.
    name: str
    # Packets received with an error or dropped, since the interface is there.
    receive_errors: int
    # Bytes received a second.
    received_bytes_per_s: int
    # Packets that could not be sent, since the interface is there.
    send_errors: int
    # Bytes sent a second.
    sent_bytes_per_s: int


class MonitorNetworkResult(TypedDict):
    """Result of monitor.network."""

    # Interfaces, sorted by name.
    interfaces: list[MonitorNetworkRate]
    # How long was watched, milliseconds.
    interval_ms: int


class MonitorPressure(TypedDict):
    """Pressure of one resource."""

    # All tasks waited; absent where it has no meaning.
    full: NotRequired[MonitorStall | None]
    # At least one task waited.
    some: MonitorStall


class MonitorStall(TypedDict):
    """Share of the time, percent."""

    # Of the last 10 s.
    avg10_percent: float
    # Of the last five minutes.
    avg300_percent: float
    # Of the last minute.
    avg60_percent: float


class MonitorPressureResult(TypedDict):
    """Result of monitor.pressure: how much of the time something was missing (PSI)."""

    # Processors; absent where the kernel does not measure it.
    cpu: NotRequired[MonitorPressure | None]
    # Disks.
    io: NotRequired[MonitorPressure | None]
    # Memory.
    memory: NotRequired[MonitorPressure | None]


class MonitorHeavy(TypedDict):
    """A process that uses much."""

    # Processor time, percent of one processor.
    cpu_percent: float
    # Its name, at most 15 characters.
    name: str
    # Process id.
    pid: int
    # Resident memory, bytes.
    resident_bytes: int
    # State letter of proc(5): `R`, `S`, `D`, `Z`, ...
    state: str
    # Its user.
    uid: int


class MonitorTopResult(TypedDict):
    """Result of monitor.top."""

    # Processes there are.
    count: int
    # How long was watched, milliseconds.
    interval_ms: int
    # Processes, the heaviest first.
    processes: list[MonitorHeavy]


# What a process is sorted by.
MonitorSortBy = Literal["cpu", "memory"]


class FsTools:
    """Tools of the namespace `fs`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def delete(
        self,
        *,
        path: str | None = None,
        paths: list[str] | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsDeleteResult:
        """Deletes files and symbolic links: all of the list, or none.

        Args:
            path: Absolute path of one file or symbolic link.
            paths: Absolute paths of files and symbolic links, 1 to 10000: all are deleted, or
                none.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsDeleteResult",
            await self._caller.call_tool(
                "fs.delete", _given(path=path, paths=paths), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def disk_usage(self, *, path: str, reason: str, timeout_ms: int = 0) -> FsDiskUsageResult:
        """Says how much room a directory takes and how much its file system has left.

        Args:
            path: Absolute path of a directory or file; links are not followed, other mounts not
                entered.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "FsDiskUsageResult",
            await self._caller.call_tool(
                "fs.disk_usage", _given(path=path), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def list(
        self, *, path: str, limit: int | None = None, reason: str, timeout_ms: int = 0
    ) -> FsListResult:
        """Lists the entries of a directory with kind, size and time.

        Args:
            path: Absolute path of the directory.
            limit: Most entries wanted, 1 to 10000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "FsListResult",
            await self._caller.call_tool(
                "fs.list", _given(path=path, limit=limit), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def read(
        self,
        *,
        path: str,
        max_bytes: int | None = None,
        offset: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsReadResult:
        """Reads bytes of a file, as text where they are UTF-8; what it returns is not to be trusted.

        Args:
            path: Absolute path of the file.
            max_bytes: Most bytes wanted, 1 to 1048576.
            offset: First byte wanted.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "FsReadResult",
            await self._caller.call_tool(
                "fs.read",
                _given(path=path, max_bytes=max_bytes, offset=offset),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def search(
        self,
        *,
        root: str,
        keep_newest: int | None = None,
        kind: FsSearchKind | None = None,
        larger_than_bytes: int | None = None,
        limit: int | None = None,
        name_glob: str | None = None,
        older_than_ms: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsSearchResult:
        """Finds files below a directory by name, age and size, oldest first; can leave out the newest.

        Args:
            root: Absolute path of the directory to search; links are not followed, other mounts
                not entered.
            keep_newest: Leaves out the N newest of all that match name and kind, whatever their
                age and size.
            kind: What to look for.
            larger_than_bytes: Only what is larger than this many bytes.
            limit: Most results wanted, 1 to 10000; the oldest come first.
            name_glob: Glob on the name without directory, `*.log`.
            older_than_ms: Only what was last changed longer ago than this many milliseconds.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "FsSearchResult",
            await self._caller.call_tool(
                "fs.search",
                _given(
                    root=root,
                    keep_newest=keep_newest,
                    kind=kind,
                    larger_than_bytes=larger_than_bytes,
                    limit=limit,
                    name_glob=name_glob,
                    older_than_ms=older_than_ms,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def stat(self, *, path: str, reason: str, timeout_ms: int = 0) -> FsStatResult:
        """Describes a file, directory or symbolic link, or says that nothing is there.

        Args:
            path: Absolute path. A symbolic link is described itself, not what it leads to.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "FsStatResult",
            await self._caller.call_tool(
                "fs.stat", _given(path=path), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> FsUndoResult:
        """Undoes a finished call exactly; refused when somebody changed the place since.

        Args:
            step: Step of the execution to undo, from 1.
            task_id: Task of the execution to undo, a UUID.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsUndoResult",
            await self._caller.call_tool(
                "fs.undo", _given(step=step, task_id=task_id), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def write(
        self,
        *,
        path: str,
        content: str | None = None,
        content_base64: str | None = None,
        how: FsHow | None = None,
        mode: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsWriteResult:
        """Makes a file, replaces its content, or adds at its end.

        Args:
            path: Absolute path of the file; its directory must exist.
            content: Text to write, at most 524288 bytes.
            content_base64: Bytes to write, base64 (RFC 4648, with padding), at most 524288
                bytes decoded.
            how: What to do with what is there.
            mode: Permission bits of a new file, octal text; `0644` when not given. An existing
                file keeps its own.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 30000 ms.
        """
        return cast(
            "FsWriteResult",
            await self._caller.call_tool(
                "fs.write",
                _given(
                    path=path, content=content, content_base64=content_base64, how=how, mode=mode
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class HwTools:
    """Tools of the namespace `hw`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def cpu(self, *, reason: str, timeout_ms: int = 0) -> HwCpuResult:
        """Describes the processors, and how the kernel guards their known weaknesses.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwCpuResult",
            await self._caller.call_tool("hw.cpu", _given(), reason=reason, timeout_ms=timeout_ms),
        )

    async def info(self, *, reason: str, timeout_ms: int = 0) -> HwInfoResult:
        """Says what this machine is: model, kernel, processors, memory, uptime.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwInfoResult",
            await self._caller.call_tool("hw.info", _given(), reason=reason, timeout_ms=timeout_ms),
        )

    async def memory(self, *, reason: str, timeout_ms: int = 0) -> HwMemoryResult:
        """Says how much memory and swap space there is and how it is used.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwMemoryResult",
            await self._caller.call_tool(
                "hw.memory", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def network(self, *, reason: str, timeout_ms: int = 0) -> HwNetworkResult:
        """Lists network interfaces with address, state, speed and driver.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwNetworkResult",
            await self._caller.call_tool(
                "hw.network", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def pci(self, *, reason: str, timeout_ms: int = 0) -> HwPciResult:
        """Lists the devices on the PCI bus with their drivers.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwPciResult",
            await self._caller.call_tool("hw.pci", _given(), reason=reason, timeout_ms=timeout_ms),
        )

    async def sensors(self, *, reason: str, timeout_ms: int = 0) -> HwSensorsResult:
        """Reads temperatures, fans, voltages and batteries.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwSensorsResult",
            await self._caller.call_tool(
                "hw.sensors", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def storage(self, *, reason: str, timeout_ms: int = 0) -> HwStorageResult:
        """Lists disks and their partitions with size and kind.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "HwStorageResult",
            await self._caller.call_tool(
                "hw.storage", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )


class MonitorTools:
    """Tools of the namespace `monitor`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def cpu(
        self, *, interval_ms: int | None = None, reason: str, timeout_ms: int = 0
    ) -> MonitorCpuResult:
        """Measures how busy each processor is, and with what.

        Args:
            interval_ms: How long to watch, milliseconds, 50 to 10000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorCpuResult",
            await self._caller.call_tool(
                "monitor.cpu", _given(interval_ms=interval_ms), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def disk(
        self, *, interval_ms: int | None = None, reason: str, timeout_ms: int = 0
    ) -> MonitorDiskResult:
        """Measures how much each disk reads and writes.

        Args:
            interval_ms: How long to watch, milliseconds, 50 to 10000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorDiskResult",
            await self._caller.call_tool(
                "monitor.disk",
                _given(interval_ms=interval_ms),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def load(self, *, reason: str, timeout_ms: int = 0) -> MonitorLoadResult:
        """Says how many tasks run or wait, now and in the last minutes.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorLoadResult",
            await self._caller.call_tool(
                "monitor.load", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def network(
        self, *, interval_ms: int | None = None, reason: str, timeout_ms: int = 0
    ) -> MonitorNetworkResult:
        """Measures how much each network interface receives and sends.

        Args:
            interval_ms: How long to watch, milliseconds, 50 to 10000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorNetworkResult",
            await self._caller.call_tool(
                "monitor.network",
                _given(interval_ms=interval_ms),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def pressure(self, *, reason: str, timeout_ms: int = 0) -> MonitorPressureResult:
        """Says how much time was lost waiting for processors, memory and disks.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorPressureResult",
            await self._caller.call_tool(
                "monitor.pressure", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def top(
        self,
        *,
        interval_ms: int | None = None,
        limit: int | None = None,
        sort_by: MonitorSortBy | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> MonitorTopResult:
        """Lists the processes that use most processor time or memory.

        Args:
            interval_ms: How long to watch, milliseconds, 50 to 10000.
            limit: Most processes wanted, 1 to 1000.
            sort_by: What they are sorted by.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorTopResult",
            await self._caller.call_tool(
                "monitor.top",
                _given(interval_ms=interval_ms, limit=limit, sort_by=sort_by),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class Tools:
    """Every namespace."""

    def __init__(self, caller: Caller) -> None:
        self.fs = FsTools(caller)
        self.hw = HwTools(caller)
        self.monitor = MonitorTools(caller)
