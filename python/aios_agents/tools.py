"""The tools, one typed method each. Generated from the tool registry; do not edit.

A method sends its arguments as the task's next step and returns the tool's result, which the tool
service has checked against the tool's schema. Results are tainted when the tool says so: text in
them may inform a decision, and never grants anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast

# A class with a method `list` has no other `list` within.
_List = list


class Caller(Protocol):
    """What carries a call: a task."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, reason: str, timeout_ms: int = 0
    ) -> Any:  # noqa: ANN401 - JSON; the methods below narrow it
        """Sends the call and returns its JSON result."""


def _given(**args: object) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}


class FirewallFirewallRule(TypedDict):
    """A rule of the table of aiOS."""

    # Bytes in them.
    bytes: NotRequired[int | None]
    # Why.
    comment: NotRequired[str | None]
    # All of it, as nftables' JSON.
    expression: str
    # Its name for firewall.remove; null when somebody else made it.
    id: NotRequired[str | None]
    # Only by that interface.
    interface: NotRequired[str | None]
    # Packets that it decided on.
    packets: NotRequired[int | None]
    # Port, range, or `any`.
    port: NotRequired[str | None]
    # `tcp`, `udp`, `icmp` or `any`; null when it looks at something else besides.
    protocol: NotRequired[str | None]
    # Only from there.
    source: NotRequired[str | None]
    # `accept`, `drop`, `reject`, or null for one that decides otherwise.
    verdict: NotRequired[str | None]


class FirewallAllowResult(TypedDict):
    """Result of firewall.allow, firewall.deny and firewall.remove."""

    # When the change is taken back unless firewall.confirm names it before, UTC milliseconds.
    confirm_by_ms: int
    # Time given for the confirmation, milliseconds.
    confirm_within_ms: int
    # The rule that was made or removed.
    rule: FirewallFirewallRule
    # How many rules there are now.
    rules: int


# Where a rule goes: of several that match a packet the first decides.
FirewallPlace = Literal["first", "last"]


# What is inside a packet.
FirewallProtocol = Literal["tcp", "udp", "icmp", "any"]


class FirewallPort(TypedDict):
    """A port of this machine: a number, a range `8000-8080`, or `any`."""


class FirewallConfirmResult(TypedDict):
    """A change that stays."""

    # The change.
    execution: str
    # What it did.
    summary: str


class FirewallDenyResult(TypedDict):
    """Result of firewall.allow, firewall.deny and firewall.remove."""

    # When the change is taken back unless firewall.confirm names it before, UTC milliseconds.
    confirm_by_ms: int
    # Time given for the confirmation, milliseconds.
    confirm_within_ms: int
    # The rule that was made or removed.
    rule: FirewallFirewallRule
    # How many rules there are now.
    rules: int


# How a packet is turned away.
FirewallDenial = Literal["drop", "reject"]


class FirewallPendingChange(TypedDict):
    """A provisional change, or one that was."""

    # When it is taken back by itself, UTC milliseconds.
    confirm_by_ms: int
    # When it was taken back, UTC milliseconds.
    ended_ms: NotRequired[int | None]
    # The change.
    execution: str
    # Time left, milliseconds; 0 when it is over.
    left_ms: int
    # `provisional` or `reverted`.
    state: str
    # What it does.
    summary: str
    # Why it was taken back; empty while it waits.
    why: str


class FirewallPendingResult(TypedDict):
    """What waits to be confirmed, and what was taken back because nobody did."""

    # Waiting.
    provisional: _List[FirewallPendingChange]
    # Taken back by themselves, oldest first.
    reverted: _List[FirewallPendingChange]


class FirewallRemoveResult(TypedDict):
    """Result of firewall.allow, firewall.deny and firewall.remove."""

    # When the change is taken back unless firewall.confirm names it before, UTC milliseconds.
    confirm_by_ms: int
    # Time given for the confirmation, milliseconds.
    confirm_within_ms: int
    # The rule that was made or removed.
    rule: FirewallFirewallRule
    # How many rules there are now.
    rules: int


class FirewallRulesResult(TypedDict):
    """Result of firewall.rules."""

    # Whether the table `inet aios` is there.
    active: bool
    # Rules of its chain `input`, in the order in which they are asked.
    rules: _List[FirewallFirewallRule]
    # All tables of this machine as `nft list ruleset` writes them, at most 65536 bytes.
    ruleset: str
    # Whether there is more of it.
    truncated: bool


class FirewallUndoResult(TypedDict):
    """A change that was undone."""

    # When this itself is taken back unless it is confirmed, UTC milliseconds; null when it
    # stays.
    confirm_by_ms: NotRequired[int | None]
    # The change.
    execution: str
    # What was done.
    summary: str


class FsAppendResult(TypedDict):
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


class FsArchiveResult(TypedDict):
    """Result of fs.archive."""

    # Bytes of content before compression.
    content_bytes: int
    # Files, directories and links in it. Extended attributes are not kept; names of one file
    # are kept as files of their own.
    entries: int
    # SHA-256 of the archive, hex.
    sha256: str
    # Size of the archive, bytes.
    size: int
    # The archive.
    target: str


# How an archive is compressed.
FsCompression = Literal["gz", "zst"]


class FsChmodResult(TypedDict):
    """Result of fs.chmod and fs.chown."""

    # Files, directories and links that were changed.
    changed: int
    # Symbolic links left alone.
    links_left: int
    # Path with every symbolic link resolved.
    path: str
    # Those that were so already.
    unchanged: int


class FsChownResult(TypedDict):
    """Result of fs.chmod and fs.chown."""

    # Files, directories and links that were changed.
    changed: int
    # Symbolic links left alone.
    links_left: int
    # Path with every symbolic link resolved.
    path: str
    # Those that were so already.
    unchanged: int


class FsCopyResult(TypedDict):
    """Result of fs.copy."""

    # Bytes copied.
    bytes: int
    # Directories made.
    dirs: int
    # Files copied.
    files: int
    # Symbolic links made.
    links: int
    # What was copied, every directory link resolved.
    source: str
    # The copy.
    target: str


class FsDeleteResult(TypedDict):
    """Result of fs.delete."""

    # Space given back, bytes: files whose last name was deleted.
    bytes_freed: int
    # What was deleted, sorted; with a directory all that was in it.
    deleted: _List[str]
    # How many of them were directories.
    dirs: NotRequired[int]
    # How many of them were files and links.
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
    # How many more of them it can hold; 0 when it has no such limit.
    fs_free_inodes: int
    # Size of the file system, bytes.
    fs_total_bytes: int
    # How many files, links and directories the file system can hold; 0 when it has no such
    # limit.
    fs_total_inodes: int
    # Whether what undo needs of deleted files is kept on the same file system, so that deleting
    # frees nothing there until it is let go.
    keeps_snapshots: bool
    # Path with every symbolic link resolved.
    path: str
    # Directories not entered: another mount, not granted, protected or not readable.
    skipped: int


class FsMatchedLine(TypedDict):
    """One line that matches."""

    # True when the line is longer than `text`.
    cut: bool
    # Number of the line, from 1.
    line: int
    # Absolute path of the file.
    path: str
    # The line without its end, at most 500 bytes around the match; bytes that are not UTF-8 are
    # shown as U+FFFD.
    text: str


class FsGrepResult(TypedDict):
    """Result of fs.grep."""

    # Files left out because they hold a NUL byte in their first 8192 bytes.
    binary: int
    # Bytes that were read.
    bytes: int
    # Files that were read.
    files: int
    # Matching lines by path and line.
    matches: _List[FsMatchedLine]
    # Path with every symbolic link resolved.
    path: str
    # Directories not entered (another mount, not granted, protected or not readable) and files
    # not readable.
    skipped: int
    # Always true: content of a file is not to be trusted.
    tainted: bool
    # Files left out because they are larger than `max_file_bytes`.
    too_large: int
    # True when there may be more than `limit` matches, or more than 1 GiB would have had to be
    # read.
    truncated: bool


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
    entries: _List[FsEntry]
    # The directory, every symbolic link resolved.
    path: str
    # True when there are more than `limit`.
    truncated: bool
    # Entries left out because their names are not UTF-8.
    unnamed: int


class FsMkdirResult(TypedDict):
    """Result of fs.mkdir."""

    # Directories that were made, the uppermost first.
    created: _List[str]
    # Path with every symbolic link resolved.
    path: str


class FsMoveResult(TypedDict):
    """Result of fs.move."""

    # Files, directories and links that changed their path, the first one included.
    places: int
    # True when something at `target` was replaced.
    replaced: bool
    # Where it was.
    source: str
    # Where it is.
    target: str


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
    files: _List[FsFound]
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


class FsSymlinkResult(TypedDict):
    """Result of fs.symlink."""

    # Path with every directory link resolved.
    path: str
    # Where it points.
    target: str


class FsLeftPlace(TypedDict):
    """A place that an undo left as it is."""

    # Absolute path.
    path: str
    # What somebody changed there since.
    why: str


class FsUndoResult(TypedDict):
    """Result of fs.undo."""

    # Bytes of content restored.
    bytes: int
    # How many.
    files: int
    # Places that were changed since and left as they are, sorted; only with `untouched_only`.
    left: NotRequired[_List[FsLeftPlace]]
    # Paths that are again as they were, sorted.
    restored: _List[str]


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
    vulnerabilities: _List[HwVulnerability]


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
    interfaces: _List[HwInterface]


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
    devices: _List[HwPciDevice]


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
    readings: _List[HwReading]
    # Batteries and power supplies.
    supplies: _List[HwSupply]


class HwDevice(TypedDict):
    """A block device."""

    # Model.
    model: NotRequired[str | None]
    # Name, `sda`.
    name: str
    # Its partitions.
    partitions: _List[HwPartition]
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
    devices: _List[HwDevice]


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
    cpus: _List[MonitorShare]
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
    devices: _List[MonitorDiskRate]
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


class MonitorLogFile(TypedDict):
    """The last lines of one log."""

    # Last change, milliseconds since 1970, UTC.
    changed_ms: int
    # The last lines that fit, oldest first; longer ones are cut at 2000 bytes.
    lines: _List[str]
    # Absolute path.
    path: str
    # Size, bytes.
    size_bytes: int
    # True when there may be more that fit before them.
    truncated: bool


class MonitorLogsResult(TypedDict):
    """Result of monitor.logs."""

    # The logs with lines that fit, the one written to last comes first; at most 50.
    files: _List[MonitorLogFile]
    # Files and directories that the worker may not read.
    not_readable: _List[str]
    # Files that are no text, and symbolic links.
    skipped: int
    # Always true: what stands in a log is not to be trusted.
    tainted: bool
    # True when there are more files or lines than were looked at.
    truncated: bool


class MonitorMemoryResult(TypedDict):
    """Result of monitor.memory. Bytes; what this kernel does not tell is absent."""

    # Programs' own memory.
    anonymous_bytes: NotRequired[int | None]
    # What programs could still get without swapping.
    available_bytes: NotRequired[int | None]
    # Block devices' own data kept in memory.
    buffers_bytes: int
    # Files kept in memory.
    cached_bytes: int
    # Waits to be written to a disk.
    dirty_bytes: int
    # What is not used for anything.
    free_bytes: int
    # Processes that the kernel killed for want of memory, since it started.
    out_of_memory_kills: NotRequired[int | None]
    # Shared memory and tmpfs.
    shared_bytes: NotRequired[int | None]
    # The kernel's own objects.
    slab_bytes: int
    # The part of them that it would give back.
    slab_reclaimable_bytes: NotRequired[int | None]
    # Swap space that is not used.
    swap_free_bytes: int
    # Swap space.
    swap_total_bytes: int
    # Memory that the kernel manages.
    total_bytes: int
    # What is not available, percent of the total.
    used_percent: NotRequired[float | None]
    # Is being written to a disk.
    writeback_bytes: int


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
    interfaces: _List[MonitorNetworkRate]
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
    processes: _List[MonitorHeavy]


# What a process is sorted by.
MonitorSortBy = Literal["cpu", "memory"]


# Why a series ended.
MonitorEnded = Literal["complete", "above", "below", "time"]


# What is measured.
MonitorMetric = Literal[
    "cpu", "load", "memory", "cpu_pressure", "memory_pressure", "io_pressure", "disk", "network"
]


class MonitorSample(TypedDict):
    """One sample."""

    # When, milliseconds since the call began.
    after_ms: int
    # What was measured.
    value: float


class MonitorWatchResult(TypedDict):
    """Result of monitor.watch."""

    # Why it ended.
    ended: MonitorEnded
    # Largest value.
    max: float
    # Mean value.
    mean: float
    # What was measured.
    metric: MonitorMetric
    # Smallest value.
    min: float
    # The samples, oldest first; at least one.
    samples: _List[MonitorSample]
    # Unit of every value: `percent`, `tasks` or `bytes_per_s`.
    unit: str


class NetPortCheck(TypedDict):
    """What became of connecting to one address."""

    # Address.
    address: str
    # Time that it took, microseconds.
    elapsed_us: int
    # What the kernel said.
    error: NotRequired[str | None]
    # `open`, `refused`, `timeout`, `unreachable` or `failed`.
    state: str


class NetCheckPortResult(TypedDict):
    """Result of net.check_port."""

    # Each address.
    addresses: _List[NetPortCheck]
    # Host.
    host: str
    # Whether it is open on any address.
    open: bool
    # Port.
    port: int


class NetShape(TypedDict):
    """An interface as net.configure sees it."""

    # Addresses.
    addresses: _List[str]
    # Largest packet, bytes.
    mtu_bytes: int
    # Routes that leave by it.
    routes: _List[str]
    # Whether it is switched on.
    up: bool


class NetConfigureResult(TypedDict):
    """Result of net.configure."""

    # As it is.
    after: NetShape
    # As it was.
    before: NetShape
    # When the change is taken back unless net.confirm names it before, UTC milliseconds.
    confirm_by_ms: int
    # Time given for the confirmation, milliseconds.
    confirm_within_ms: int
    # Interface.
    interface: str


# Whether an interface is switched on.
NetLinkState = Literal["up", "down"]


class NetRouteArgs(TypedDict):
    """A route."""

    # Network, `192.0.2.0/24`; `default` or `default6` for everything.
    destination: str
    # Of several routes to a network the lowest metric is taken.
    metric: NotRequired[int | None]
    # Table, 1 to 4294967295 but not 255; 254 is the main one.
    table: NotRequired[int]
    # The next router; none when the network is on the link itself.
    via: NotRequired[str | None]


class NetConfirmResult(TypedDict):
    """A change that stays."""

    # The change.
    execution: str
    # What it did.
    summary: str


class NetOwner(TypedDict):
    """Who has a socket."""

    # Whether the processes are known: the worker has no right to look into other users'
    # processes.
    known: bool
    # Processes that hold it; empty when their files are closed to this worker.
    pids: _List[int]
    # Program of the first; null when it is unknown.
    program: NotRequired[str | None]
    # Number of its user.
    uid: int
    # Name of its user, when it has one.
    user: NotRequired[str | None]


class NetSocketState(TypedDict):
    """A connection or a socket that waits for some."""

    # Address and port here.
    local: str
    # Who has it.
    owner: NetOwner
    # `tcp` or `udp`.
    protocol: str
    # Address and port there.
    remote: str
    # `established`, `listen`, `time_wait` and others; for udp `established` or `unconnected`.
    state: str
    # Bytes that the other side did not confirm yet.
    unsent_bytes: int
    # Bytes that the program did not take yet.
    waiting_bytes: int


class NetConnectionsResult(TypedDict):
    """Result of net.connections and net.listening."""

    # How many there are, also those that were not listed.
    count: int
    # Sockets, by protocol and local address.
    sockets: _List[NetSocketState]


class NetDnsAttempt(TypedDict):
    """A question to one server."""

    # `NOERROR`, `NXDOMAIN`, `SERVFAIL` and others; null without an answer.
    code: NotRequired[str | None]
    # Time until the answer or until it was given up, microseconds.
    elapsed_us: int
    # Why there was no answer.
    error: NotRequired[str | None]
    # Kind of record.
    record_type: str
    # What was answered.
    records: _List[NetDnsRecord]
    # Server.
    server: str
    # `udp` or `tcp`; null without an answer.
    transport: NotRequired[str | None]


class NetDnsRecord(TypedDict):
    """A record."""

    # Name that it is about.
    name: str
    # Kind, `A`.
    record_type: str
    # How long it may be remembered, seconds.
    ttl_s: int
    # Value as people write it.
    value: str


class NetDnsResult(TypedDict):
    """Result of net.dns."""

    # Whether a server said what there is, or that there is nothing.
    answered: bool
    # The server that did.
    answered_by: NotRequired[str | None]
    # Every question, in order.
    attempts: _List[NetDnsAttempt]
    # Addresses in /etc/hosts, which programs take before they ask a server.
    hosts_file: _List[str]
    # Name that was looked up.
    name: str
    # What it said.
    records: _List[NetDnsRecord]
    # Text of /etc/resolv.conf, at most 4096 bytes.
    resolv_conf: str
    # Domains in /etc/resolv.conf that are tried after a short name.
    search: _List[str]
    # Servers in /etc/resolv.conf.
    servers: _List[str]


# A kind of record in the DNS.
NetRecordType = Literal["A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"]


class NetHeader(TypedDict):
    """A header of an answer."""

    # Name in small letters.
    name: str
    # Value.
    value: str


class NetHttpGetResult(TypedDict):
    """Result of net.http_get."""

    # The address that answered.
    address: str
    # The body, when it is text.
    content: NotRequired[str | None]
    # The body, when it is no text.
    content_base64: NotRequired[str | None]
    # Time that it took, milliseconds.
    elapsed_ms: int
    # Headers.
    headers: _List[NetHeader]
    # URLs that led there.
    redirects: _List[str]
    # Bytes of the body that were read.
    size_bytes: int
    # Status code.
    status: int
    # Whether there was more.
    truncated: bool
    # The URL that answered.
    url: str


class NetAddress(TypedDict):
    """An address of an interface."""

    # With the length of its network's prefix, `192.0.2.7/24`.
    address: str
    # Whether it stays until somebody removes it.
    permanent: bool
    # `global`, `link`, `host` or another.
    scope: str


class NetCounters(TypedDict):
    """Bytes and packets in one direction since the interface came up."""

    # Bytes.
    bytes: int
    # Packets that were dropped.
    dropped: int
    # Packets with an error.
    errors: int
    # Packets.
    packets: int


class NetInterfaceState(TypedDict):
    """A network interface."""

    # Addresses.
    addresses: _List[NetAddress]
    # Whether there is a signal; null when it is switched off or the kernel does not tell.
    carrier: NotRequired[bool | None]
    # Driver, when it is a device.
    driver: NotRequired[str | None]
    # Hardware address.
    hardware_address: NotRequired[str | None]
    # Its number.
    index: int
    # Largest packet, bytes.
    mtu_bytes: int
    # Name.
    name: str
    # What came in.
    received: NetCounters
    # What went out.
    sent: NetCounters
    # The kernel's word for its state: `up`, `down`, `lowerlayerdown`, `unknown` and others.
    state: str
    # Whether it is switched on.
    up: bool


class NetInterfacesResult(TypedDict):
    """Result of net.interfaces."""

    # Every interface, by number.
    interfaces: _List[NetInterfaceState]


class NetListeningResult(TypedDict):
    """Result of net.connections and net.listening."""

    # How many there are, also those that were not listed.
    count: int
    # Sockets, by protocol and local address.
    sockets: _List[NetSocketState]


class NetPendingChange(TypedDict):
    """A provisional change, or one that was."""

    # When it is taken back by itself, UTC milliseconds.
    confirm_by_ms: int
    # When it was taken back, UTC milliseconds.
    ended_ms: NotRequired[int | None]
    # The change.
    execution: str
    # Time left, milliseconds; 0 when it is over.
    left_ms: int
    # `provisional` or `reverted`.
    state: str
    # What it does.
    summary: str
    # Why it was taken back; empty while it waits.
    why: str


class NetPendingResult(TypedDict):
    """What waits to be confirmed, and what was taken back because nobody did."""

    # Waiting.
    provisional: _List[NetPendingChange]
    # Taken back by themselves, oldest first.
    reverted: _List[NetPendingChange]


class NetPingReply(TypedDict):
    """An answer to a ping."""

    # Number of the ping, from 1.
    number: int
    # There and back, microseconds.
    rtt_us: int


class NetPingResult(TypedDict):
    """Result of net.ping."""

    # Its address that was pinged.
    address: str
    # The last thing that a router or the kernel said against it.
    error: NotRequired[str | None]
    # Host.
    host: str
    # How many were not, percent.
    loss_percent: float
    # Size of a packet with its headers, bytes.
    packet_bytes: int
    # Largest packet that goes through as far as is known; null unless `dont_fragment` was asked
    # for.
    path_mtu_bytes: NotRequired[int | None]
    # How many were answered.
    received: int
    # Answers.
    replies: _List[NetPingReply]
    # Slowest, microseconds.
    rtt_max_us: NotRequired[int | None]
    # Mean, microseconds.
    rtt_mean_us: NotRequired[int | None]
    # Fastest, microseconds.
    rtt_min_us: NotRequired[int | None]
    # How many were sent.
    sent: int
    # Whether the packet is larger than what goes through.
    too_large: bool


class NetRoute(TypedDict):
    """A route."""

    # Whether its link is down, so that it is not used.
    dead: bool
    # Network; `default` for everything.
    destination: str
    # `ipv4` or `ipv6`.
    family: str
    # The next router; null when the network is on the link itself.
    gateway: NotRequired[str | None]
    # Interfaces that it leaves by.
    interfaces: _List[str]
    # `unicast`, `blackhole`, `unreachable` or another.
    kind: str
    # Of several routes to a network the lowest is taken.
    metric: NotRequired[int | None]
    # Who made it: `kernel`, `static`, `dhcp`, `boot`, `ra` or another.
    protocol: str
    # The address that packets come from.
    source: NotRequired[str | None]
    # Table; 254 is the main one.
    table: int


class NetRoutesResult(TypedDict):
    """Result of net.routes."""

    # Every route but those to this machine itself.
    routes: _List[NetRoute]


class NetUndoResult(TypedDict):
    """A change that was undone."""

    # When this itself is taken back unless it is confirmed, UTC milliseconds; null when it
    # stays.
    confirm_by_ms: NotRequired[int | None]
    # The change.
    execution: str
    # What was done.
    summary: str


class OsRoom(TypedDict):
    """Room for an image."""

    # Bytes free on the boot partition.
    boot_free_bytes: int
    # Bytes that kernel and initramfs take, as large as those that run.
    boot_needed_bytes: int
    # Whether it fits, with the reserve of the configuration.
    enough: bool
    # Bytes free where images lie.
    free_bytes: int
    # Bytes that the layers take when they are unpacked, an estimate from above.
    needed_bytes: int


class OsCheckResult(TypedDict):
    """Result of os.check."""

    # Whether it is another one than what is laid out: what runs, what is staged, and what a
    # rollback goes to.
    available: bool
    # Why os.upgrade would refuse it now, one sentence each.
    blocked_by: _List[str]
    # Digest of its manifest.
    digest: str
    # Why it failed on this machine before; `null` when it did not.
    failed_before: NotRequired[str | None]
    # Bytes of those layers that are not here.
    fetch_bytes: int
    # The image that an upgrade follows.
    image: str
    # When it was made, RFC 3339, where it says so.
    made_at: NotRequired[str | None]
    # Room for it.
    room: OsRoom
    # What its signature is worth, in words.
    signature: str
    # Whether its signature is enough.
    signed: bool
    # Bytes of its layers, as they are fetched.
    size_bytes: int
    # Its version, where it says one.
    version: NotRequired[str | None]


class OsDeployment(TypedDict):
    """An image that is laid out on this machine."""

    # Digest of that image's manifest, `sha256:…`; empty when that is not known.
    digest: str
    # Its name: digest of its root file system, hexadecimal.
    id: str
    # The image that it came from, `oci:/DIR:TAG`; empty when that is not known.
    image: str
    # When it was made, RFC 3339, where the image says so.
    made_at: NotRequired[str | None]
    # Its version, where the image says one.
    version: NotRequired[str | None]


class OsRebootResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class OsResetResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class OsRollbackResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class OsAddedPackage(TypedDict):
    """A package that was added to an image."""

    # When that was, UTC milliseconds.
    asked_ms: int
    # Name.
    name: str
    # Task of the call that added it.
    task_id: str
    # Version that is in the image; `null` when it is not known.
    version: NotRequired[str | None]
    # Version that was asked for; `null` for the newest.
    wanted_version: NotRequired[str | None]


class OsBase(TypedDict):
    """What an image with added packages was made of."""

    # Digest of its manifest when it was taken.
    digest: str
    # The image that updates come from.
    image: str
    # Its version, where it says one.
    version: NotRequired[str | None]


class OsFailed(TypedDict):
    """An image that did not work."""

    # How many of its boots came as far as aiOS.
    boots: int
    # Digest of its manifest.
    digest: str
    # When that was found out, UTC milliseconds.
    found_ms: int
    # Its deployment's name.
    id: str
    # The image, `oci:/DIR:TAG`.
    image: str
    # Why it was given up.
    why: str


class OsTrial(TypedDict):
    """A boot that is watched."""

    # Until when the image must have been found healthy, UTC milliseconds; `null` when nobody
    # says.
    deadline_ms: NotRequired[int | None]
    # Tries that the boot loader has left.
    tries_left: int


class OsStatusResult(TypedDict):
    """Result of os.status."""

    # What it was made of, when packages were added to it.
    base: NotRequired[OsBase | None]
    # The deployment that was found healthy last.
    blessed: NotRequired[str | None]
    # When, UTC milliseconds.
    blessed_ms: NotRequired[int | None]
    # What is being done that takes minutes, in words; `null` when nothing is.
    doing: NotRequired[str | None]
    # Those that failed, the oldest first.
    failed: _List[OsFailed]
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # Further ones on the boot loader's menu.
    others: _List[OsDeployment]
    # Those packages.
    packages: NotRequired[_List[OsAddedPackage]]
    # What os.rollback goes to.
    rollback: NotRequired[OsDeployment | None]
    # What runs.
    running: OsDeployment
    # What the next shutdown finalizes and the next start tries.
    staged: NotRequired[OsDeployment | None]
    # Packages that are there until the next start only.
    transient: NotRequired[_List[OsAddedPackage]]
    # Set while what runs is on trial.
    trial: NotRequired[OsTrial | None]


class OsSwitchResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class OsUndoResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class OsUpgradeResult(TypedDict):
    """Result of a call that changes what starts next."""

    # Whether anything is otherwise than before.
    changed: bool
    # That deployment.
    next: OsDeployment
    # What starts next: `running`, `staged`, `rollback`.
    next_boot: str
    # What a person does next, or what follows by itself.
    then: str


class PkgUpdate(TypedDict):
    """A newer version of an installed package."""

    # Version that can be had.
    candidate_version: str
    # Version that is installed.
    installed_version: str
    # Name.
    name: str
    # Where it comes from.
    origin: str
    # Whether it comes from a source of security fixes.
    security: bool


class PkgCheckUpdatesResult(TypedDict):
    """Updates that can be had."""

    # Packages with a newer version that apt holds back.
    kept_back: _List[str]
    # When the lists of packages were fetched last, UTC milliseconds; `null` when never.
    lists_fetched_ms: NotRequired[int | None]
    # Newer packages that those need and that are not installed.
    new_packages: _List[str]
    # How many of them fix a weakness.
    security: int
    # Packages with a newer version, by name.
    updates: _List[PkgUpdate]


# How far a package is installed, in dpkg's words.
PkgState = Literal[
    "not_installed",
    "config_files",
    "half_installed",
    "unpacked",
    "half_configured",
    "triggers_awaited",
    "triggers_pending",
    "installed",
]


class PkgStillUnsettled(TypedDict):
    """A package that is still half done."""

    # Name.
    name: str
    # How far it is installed.
    state: PkgState


class PkgConfigureResult(TypedDict):
    """What pkg.configure did."""

    # Packages that were half done and are installed now.
    configured: _List[str]
    # Packages that are still half done.
    left: _List[PkgStillUnsettled]
    # Why those are left, in dpkg's words; empty when none is.
    said: str


class PkgFilesResult(TypedDict):
    """Files of a package."""

    # Name.
    name: str
    # Paths of files and directories, as the package brought them.
    paths: _List[str]
    # How many there are in all.
    total: int
    # Whether the limit left some out.
    truncated: bool


class PkgAddedPackage(TypedDict):
    """A package that was added to an image."""

    # When that was, UTC milliseconds.
    asked_ms: int
    # Name.
    name: str
    # Task of the call that added it.
    task_id: str
    # Version that is in the image; `null` when it is not known.
    version: NotRequired[str | None]
    # Version that was asked for; `null` for the newest.
    wanted_version: NotRequired[str | None]


class PkgAptRun(TypedDict):
    """A run of apt."""

    # What it did, `Install: nginx:amd64 (1.22.1-9)`.
    changes: _List[str]
    # The command.
    command: str
    # What went wrong, where something did.
    error: NotRequired[str | None]
    # Who asked for it, where apt knows.
    requested_by: NotRequired[str | None]
    # When it began, in the machine's local time, as apt writes it.
    time_local: str


class PkgBase(TypedDict):
    """What an image with added packages was made of."""

    # Digest of its manifest when it was taken.
    digest: str
    # The image that updates come from.
    image: str
    # Its version, where it says one.
    version: NotRequired[str | None]


class PkgChanged(TypedDict):
    """What became of a package."""

    # Name.
    name: str
    # How far it is installed now.
    state: PkgState
    # Version before; `null` when it was not there.
    version_before: NotRequired[str | None]
    # Version now; `null` when it is not there.
    version_now: NotRequired[str | None]


class PkgDeployment(TypedDict):
    """An image that is laid out on this machine."""

    # Digest of that image's manifest, `sha256:…`; empty when that is not known.
    digest: str
    # Its name: digest of its root file system, hexadecimal.
    id: str
    # The image that it came from, `oci:/DIR:TAG`; empty when that is not known.
    image: str
    # When it was made, RFC 3339, where the image says so.
    made_at: NotRequired[str | None]
    # Its version, where the image says one.
    version: NotRequired[str | None]


class PkgImagePackages(TypedDict):
    """An image and the packages that were added to it."""

    # Those that were asked for.
    added: _List[PkgAddedPackage]
    # What it was made of, when packages were added to it.
    base: NotRequired[PkgBase | None]
    # Every package that is not the base's, with its version.
    brought: Mapping[str, Any]
    # The image.
    deployment: PkgDeployment
    # `running`, `staged`, `rollback`.
    slot: str


class PkgLogLine(TypedDict):
    """A line of dpkg's own log."""

    # `install`, `upgrade`, `remove`, `purge`, `configure`.
    action: str
    # Name.
    name: str
    # When, in the machine's local time, as dpkg writes it.
    time_local: str
    # Version afterwards; `null` for none.
    version_after: NotRequired[str | None]
    # Version before; `null` for none.
    version_before: NotRequired[str | None]


class PkgPastCall(TypedDict):
    """A call that changed packages."""

    # What became of the packages.
    packages: _List[PkgChanged]
    # `done`, `undone`, `rolled_back`, `running`.
    state: str
    # Step.
    step: int
    # Task; with the step it names the call for pkg.rollback and for an undo.
    task_id: str
    # When it began, UTC milliseconds.
    time_ms: int
    # Tool.
    tool: str


class PkgHistoryResult(TypedDict):
    """What happened to packages."""

    # apt's log, the newest first, of the current file only.
    apt: _List[PkgAptRun]
    # Calls of aiOS, the newest first.
    calls: _List[PkgPastCall]
    # dpkg's log, the newest first, of the current file only.
    dpkg: _List[PkgLogLine]
    # Images that this machine can start, on a machine of images: what runs, what is staged,
    # what a rollback goes to.
    images: NotRequired[_List[PkgImagePackages]]
    # The logs' text comes from packages and people.
    tainted: bool


class PkgConfigFile(TypedDict):
    """A configuration file of a package."""

    # Whether it differs from what the package brought; `null` where that cannot be told.
    changed: NotRequired[bool | None]
    # Whether it is there.
    exists: bool
    # Path.
    path: str


class PkgInfoResult(TypedDict):
    """Everything about a package."""

    # Architecture.
    architecture: str
    # Whether it came only because another one needs it.
    automatic: bool
    # Version that pkg.install would install.
    candidate_version: NotRequired[str | None]
    # Its configuration files.
    conffiles: _List[PkgConfigFile]
    # What it cannot be beside.
    conflicts: str
    # What it needs, as Debian writes it.
    depends: str
    # The rest of the description.
    description: str
    # Size of the candidate's package file, bytes; `null` when it cannot be had.
    download_bytes: NotRequired[int | None]
    # Whether the machine cannot be without it.
    essential: bool
    # Whether a person keeps it at its version.
    held: bool
    # Home page.
    homepage: str
    # Space that it takes when installed, bytes.
    installed_bytes: int
    # Version that is installed, if any.
    installed_version: NotRequired[str | None]
    # Name.
    name: str
    # Where the candidate comes from.
    origins: _List[str]
    # What it would like to have.
    recommends: str
    # Section.
    section: str
    # Source package.
    source: str
    # How far it is installed.
    state: PkgState
    # One line.
    summary: str


class PkgNewImage(TypedDict):
    """An image with packages that were added, which a change made on a machine of images."""

    # Every package that it was made with, by the names that were asked for.
    added: _List[str]
    # The image that it was made of.
    base: str
    # Digest of its manifest.
    digest: str
    # Its name, `oci:DIR:TAG`.
    image: str
    # What a person does next.
    then: str


class PkgInstallResult(TypedDict):
    """What a change did."""

    # Configuration files that were changed with them.
    conffiles: _List[str]
    # Links that enable services which were changed with them.
    enablement: _List[str]
    # The image that has them from the next start on, on a machine of images; `null` elsewhere.
    image: NotRequired[PkgNewImage | None]
    # Packages that were changed, by name.
    packages: _List[PkgChanged]
    # Whether they are there until the next start only.
    transient: NotRequired[bool]
    # What an undo brings back, and what not.
    undo: str


class PkgListed(TypedDict):
    """A package that dpkg knows."""

    # Architecture.
    architecture: str
    # Whether it came only because another one needs it.
    automatic: bool
    # Whether the machine cannot be without it.
    essential: bool
    # Whether a person keeps it at this version.
    held: bool
    # Space that it takes, bytes, as the package says.
    installed_bytes: int
    # Name; `name:arch` where the architecture is not the machine's own.
    name: str
    # Whether dpkg wants it installed again before anything else, because that broke off.
    needs_reinstall: bool
    # How far it is installed.
    state: PkgState
    # One line.
    summary: str
    # Version.
    version: str


class PkgListResult(TypedDict):
    """Packages."""

    # The packages, by name.
    packages: _List[PkgListed]
    # How many there are in all.
    total: int
    # Whether the limit left some out.
    truncated: bool


# Which packages are wanted.
PkgWhich = Literal["installed", "unsettled", "config_files", "held", "automatic", "all"]


class PkgRemoveResult(TypedDict):
    """What a change did."""

    # Configuration files that were changed with them.
    conffiles: _List[str]
    # Links that enable services which were changed with them.
    enablement: _List[str]
    # The image that has them from the next start on, on a machine of images; `null` elsewhere.
    image: NotRequired[PkgNewImage | None]
    # Packages that were changed, by name.
    packages: _List[PkgChanged]
    # Whether they are there until the next start only.
    transient: NotRequired[bool]
    # What an undo brings back, and what not.
    undo: str


class PkgRollbackResult(TypedDict):
    """What a change did."""

    # Configuration files that were changed with them.
    conffiles: _List[str]
    # Links that enable services which were changed with them.
    enablement: _List[str]
    # The image that has them from the next start on, on a machine of images; `null` elsewhere.
    image: NotRequired[PkgNewImage | None]
    # Packages that were changed, by name.
    packages: _List[PkgChanged]
    # Whether they are there until the next start only.
    transient: NotRequired[bool]
    # What an undo brings back, and what not.
    undo: str


class PkgHit(TypedDict):
    """A package that can be had."""

    # Version that is installed, if any.
    installed_version: NotRequired[str | None]
    # Name.
    name: str
    # One line.
    summary: str


class PkgSearchResult(TypedDict):
    """What a search found."""

    # The packages, by name.
    packages: _List[PkgHit]
    # How many there are in all.
    total: int
    # Whether the limit left some out.
    truncated: bool


class PkgUndoResult(TypedDict):
    """What a change did."""

    # Configuration files that were changed with them.
    conffiles: _List[str]
    # Links that enable services which were changed with them.
    enablement: _List[str]
    # The image that has them from the next start on, on a machine of images; `null` elsewhere.
    image: NotRequired[PkgNewImage | None]
    # Packages that were changed, by name.
    packages: _List[PkgChanged]
    # Whether they are there until the next start only.
    transient: NotRequired[bool]
    # What an undo brings back, and what not.
    undo: str


# Resources that can be limited.
ProcessResource = Literal[
    "cpu_seconds",
    "file_bytes",
    "data_bytes",
    "stack_bytes",
    "core_bytes",
    "processes",
    "open_files",
    "locked_bytes",
    "address_bytes",
]


# What a process does.
ProcessState = Literal["running", "sleeping", "blocked", "stopped", "zombie", "idle"]


class ProcessLimitNow(TypedDict):
    """A limit of a process."""

    # How far the process may raise it itself; absent for no end.
    hard: NotRequired[int | None]
    # Which.
    resource: ProcessResource
    # What holds; absent for none.
    soft: NotRequired[int | None]


class ProcessLine(TypedDict):
    """A process, in one line."""

    # Its command line, cut at 300 characters; empty for a thread of the kernel and a zombie.
    command: str
    # Processor time, milliseconds.
    cpu_ms: int
    # Processor time, percent of one processor, mean since it started.
    cpu_percent: float
    # Its name, at most 15 characters.
    name: str
    # Process id.
    pid: int
    # Process id of its parent, 0 for none.
    ppid: int
    # Resident memory, bytes.
    resident_bytes: int
    # When it started, kernel ticks since boot: with the process id it names this process and no
    # later one.
    start_ticks: int
    # When it started, milliseconds since 1970, UTC.
    started_ms: int
    # What it does.
    state: ProcessState
    # Its threads.
    threads: int
    # Its user's number.
    uid: int
    # Its user: name, or `uid N`.
    user: str


class ProcessOpenFile(TypedDict):
    """A file that a process holds open."""

    # Space that it takes, bytes.
    allocated_bytes: int
    # Whether no name is left: its space is given back when the last holder closes it.
    deleted: bool
    # Device of its file system, as fs.stat tells it.
    dev: int
    # Number of the descriptor.
    fd: int
    # Inode.
    ino: int
    # The process's name.
    name: str
    # Path, as the kernel tells it; of a deleted file the last one it had.
    path: str
    # Process id.
    pid: int
    # Size, bytes.
    size_bytes: int
    # When the process started, kernel ticks since boot.
    start_ticks: int
    # Its user.
    user: str


class ProcessSocket(TypedDict):
    """A network socket of a process."""

    # True for one that takes connections, or datagrams from anywhere.
    listens: bool
    # Its own address and port.
    local: str
    # `tcp` or `udp`.
    protocol: str
    # The other side's address and port; absent for one that listens.
    remote: NotRequired[str | None]


class ProcessInfoResult(TypedDict):
    """Result of process.info."""

    # Its arguments, each cut at 4096 characters, at most 256.
    arguments: _List[str]
    # Its control group (v2), as /proc tells it.
    cgroup: NotRequired[str | None]
    # Deleted files that it holds open, the largest first, at most 100.
    deleted_files: _List[ProcessOpenFile]
    # Its working directory.
    directory: NotRequired[str | None]
    # Its effective capabilities, as a hexadecimal mask.
    effective_capabilities: str
    # Its program; absent where it has none (threads of the kernel, zombies) or it cannot be
    # told.
    executable: NotRequired[str | None]
    # Its process group.
    group: int
    # Its limits.
    limits: _List[ProcessLimitNow]
    # Nice value of its main thread, -20 to 19.
    nice: int
    # Whether it and its children can gain no privileges.
    no_new_privileges: bool
    # Descriptors that it holds open; absent where they cannot be told.
    open_files: NotRequired[int | None]
    # The same as in process.list.
    process: ProcessLine
    # Its session.
    session: int
    # Its network sockets.
    sockets: _List[ProcessSocket]
    # Always true: names and arguments are the process's own words.
    tainted: bool


class ProcessLimitsResult(TypedDict):
    """Result of process.limits and process.set_limits."""

    # The limits, or those that were changed.
    limits: _List[ProcessLimitNow]
    # Process id.
    pid: int
    # When it started, kernel ticks since boot.
    start_ticks: int


class ProcessListResult(TypedDict):
    """Result of process.list."""

    # How many fit.
    matched: int
    # Processes whose sockets could not be looked at, where `listens_on` asks for them.
    not_readable: int
    # The processes.
    processes: _List[ProcessLine]
    # Always true: names and command lines are the processes' own words.
    tainted: bool
    # True when there are more than `limit`.
    truncated: bool


# What a list is sorted by.
ProcessOrder = Literal["pid", "cpu", "memory", "newest"]


class ProcessOpenFilesResult(TypedDict):
    """Result of process.open_files."""

    # Space that all of them take, bytes; each file counts once.
    allocated_bytes: int
    # The files; one that several hold open stands there for each of them.
    files: _List[ProcessOpenFile]
    # How many fit.
    matched: int
    # Processes whose files could not be looked at.
    not_readable: int
    # Always true: names of files are others' words.
    tainted: bool
    # True when there are more than `limit`.
    truncated: bool


class ProcessSetLimitsResult(TypedDict):
    """Result of process.limits and process.set_limits."""

    # The limits, or those that were changed.
    limits: _List[ProcessLimitNow]
    # Process id.
    pid: int
    # When it started, kernel ticks since boot.
    start_ticks: int


class ProcessLimitChange(TypedDict):
    """A limit that changes."""

    # How far the process may raise it itself, -1 for no end; stays when not given.
    hard: NotRequired[int | None]
    # Which.
    resource: ProcessResource
    # What holds, -1 for none; stays when not given.
    soft: NotRequired[int | None]


class ProcessSignalResult(TypedDict):
    """Result of process.signal."""

    # Whether the process had ended half a second later, or earlier.
    ended: bool
    # Process id.
    pid: int
    # The signal, without `SIG`.
    signal: str
    # When it started, kernel ticks since boot.
    start_ticks: int
    # Whether it is stopped.
    stopped: bool


# How a program ended.
ProcessEnding = Literal["exited", "signalled", "timed_out", "cancelled"]


class ProcessOutput(TypedDict):
    """What a program wrote."""

    # Bytes written in all.
    bytes: int
    # The first bytes, as text; what is no UTF-8 is replaced.
    text: str
    # True when not all of it is in `text`.
    truncated: bool


class ProcessSpawnResult(TypedDict):
    """Result of process.spawn."""

    # How it ended.
    ending: ProcessEnding
    # Exit status; absent when a signal ended it.
    exit_code: NotRequired[int | None]
    # Processes that it left behind, which were killed.
    left_behind: int
    # Processes that could not be killed within two seconds.
    not_killed: int
    # The program, every symbolic link resolved.
    path: str
    # The process id that it had.
    pid: int
    # How long it ran, milliseconds.
    ran_ms: int
    # Number of the signal that ended it.
    signal: NotRequired[int | None]
    # Standard error.
    stderr: ProcessOutput
    # Standard output.
    stdout: ProcessOutput
    # Always true: what a program writes is not to be trusted.
    tainted: bool


class ProcessNode(TypedDict):
    """A process in a tree."""

    # Its command line, cut at 300 characters.
    command: str
    # Generations below the first.
    depth: int
    # Its name.
    name: str
    # Process id.
    pid: int
    # Process id of its parent.
    ppid: int
    # When it started, kernel ticks since boot.
    start_ticks: int
    # What it does.
    state: ProcessState
    # Its user.
    user: str


class ProcessTreeResult(TypedDict):
    """Result of process.tree."""

    # Each process before its children, children by process id.
    processes: _List[ProcessNode]
    # Always true: names and command lines are the processes' own words.
    tainted: bool
    # True when there are more than `limit`, or deeper ones.
    truncated: bool


class ProcessUndoResult(TypedDict):
    """Result of process.undo."""

    # Process id.
    pid: int
    # What it has back, one sentence.
    restored: str
    # When it started, kernel ticks since boot.
    start_ticks: int


class ProcessWaitResult(TypedDict):
    """Result of process.wait."""

    # Whether it has ended.
    ended: bool
    # Process id.
    pid: int
    # When it started, kernel ticks since boot.
    start_ticks: int
    # How long was waited, milliseconds.
    waited_ms: int


class SecAuditEntry(TypedDict):
    """One record of the audit log, without its payloads."""

    # Kind of the agent.
    agent_kind: NotRequired[str | None]
    # The person who approved.
    approver: NotRequired[str | None]
    # What else stands in the record, JSON text; never arguments or results.
    details_json: str
    # The goal.
    goal_id: NotRequired[str | None]
    # Kind.
    kind: str
    # The person who asked.
    person: NotRequired[str | None]
    # Rule or check that decided.
    rule: NotRequired[str | None]
    # Sequence number.
    seq: int
    # Step within the task.
    step: NotRequired[int | None]
    # The task.
    task_id: NotRequired[str | None]
    # When, milliseconds since 1970, UTC.
    time_ms: int
    # Tool.
    tool: NotRequired[str | None]


class SecAuditQueryResult(TypedDict):
    """Result of sec.audit_query."""

    # Records that match, also those beyond `limit`.
    matched: int
    # Records, oldest first.
    records: _List[SecAuditEntry]
    # Records looked through.
    scanned: int
    # True when more match than `limit`.
    truncated: bool


class SecCertGenerateResult(TypedDict):
    """Result of sec.cert_generate. The key itself is nowhere but in its file."""

    # File of the certificate or request, mode 0644.
    cert_path: str
    # File of the private key, mode 0600.
    key_path: str
    # When a self-signed certificate expires, milliseconds since 1970, UTC.
    not_after_ms: NotRequired[int | None]
    # SHA-256 of the public key (SubjectPublicKeyInfo), hex.
    public_key_sha256: str


# What sec.cert_generate makes beside the key.
SecCertKind = Literal["self_signed", "request"]


# Kind of a new key.
SecKeyKind = Literal["ecdsa_p256", "ed25519"]


class SecCertInfo(TypedDict):
    """A certificate."""

    # Names and addresses it is valid for, `dns:example.org`, `ip:192.0.2.1`.
    alternative_names: _List[str]
    # Whether it may sign other certificates.
    authority: bool
    # What is weak about it, one sentence each.
    concerns: _List[str]
    # Whole days until it expires; negative when it has.
    days_left: int
    # Distinguished name of the issuer.
    issuer: str
    # Size of the public key, bits.
    key_bits: int
    # Kind of the public key: `rsa`, `ec p-256`, `ed25519` …
    key_type: str
    # Valid until, milliseconds since 1970, UTC.
    not_after_ms: int
    # Valid from, milliseconds since 1970, UTC.
    not_before_ms: int
    # Whether it signed itself, which was checked.
    self_signed: bool
    # Serial number, hex.
    serial: str
    # SHA-256 of the certificate, hex.
    sha256: str
    # How it is signed, `ecdsa-with-SHA256`.
    signature: str
    # Distinguished name of the subject.
    subject: str
    # Whether it is valid now by its dates.
    valid_now: bool


class SecCertInfoResult(TypedDict):
    """Result of sec.cert_info."""

    # Its certificates, in the order of the file.
    certificates: _List[SecCertInfo]
    # Why the chain does not.
    chain_problem: NotRequired[str | None]
    # Whether the first one's chain leads to a trusted certificate by signatures, dates and
    # authority; absent without `trust_path`. Names and revocation are not checked.
    chain_verified: NotRequired[bool | None]
    # Whether the private key belongs to the first certificate; absent without `key_path`.
    key_matches: NotRequired[bool | None]
    # Why that could not be told.
    key_problem: NotRequired[str | None]
    # The file, every symbolic link resolved.
    path: str


# Kind of a thing in a directory.
SecKind = Literal["file", "dir", "symlink", "other"]


# What is wrong with an owner or a mode.
SecProblem = Literal[
    "world_writable_file",
    "world_writable_directory",
    "writable_on_path",
    "readable_private_key",
    "wrong_owner",
    "no_owner",
    "no_group",
]


# How bad a finding is.
SecSeverity = Literal["high", "medium", "low"]


class SecPermissionFinding(TypedDict):
    """One thing with a wrong owner or mode."""

    # Owner's group id.
    gid: int
    # Group's name; absent when no group has the number.
    group: NotRequired[str | None]
    # Kind.
    kind: SecKind
    # Permission bits, octal text `0644`.
    mode: str
    # Owner's name; absent when no account has the number.
    owner: NotRequired[str | None]
    # Absolute path.
    path: str
    # What is wrong.
    problem: SecProblem
    # How bad it is.
    severity: SecSeverity
    # Mode that mends it; absent when the mode is right.
    suggested_mode: NotRequired[str | None]
    # `owner:group` that mends it; absent when only a person can know.
    suggested_owner: NotRequired[str | None]
    # Owner's user id.
    uid: int
    # One sentence: what can happen because of it.
    why: str


class SecCheckPermissionsResult(TypedDict):
    """Result of sec.check_permissions."""

    # Findings, the worst first, then by path.
    findings: _List[SecPermissionFinding]
    # Things looked at.
    looked_at: int
    # The directory, every symbolic link resolved.
    root: str
    # Things not looked at: other mounts, protected or not granted places, names that are not
    # UTF-8.
    skipped: int
    # All findings, also those beyond `limit`.
    total: int
    # True when there are more than `limit`.
    truncated: bool


class SecSuidFile(TypedDict):
    """A file that runs with other rights than those of whoever starts it."""

    # Capabilities of the file, `cap_net_raw`.
    capabilities: _List[str]
    # What is suspicious about it, one sentence each.
    concerns: _List[str]
    # Owner's group id.
    gid: int
    # Whether it belongs to a package, or is in the baseline as it is now.
    known: bool
    # Permission bits, octal text `4755`.
    mode: str
    # Package that the file belongs to; absent when none does, or when a baseline was compared
    # with.
    package: NotRequired[str | None]
    # Absolute path.
    path: str
    # It runs with its group.
    set_gid: bool
    # It runs as its owner.
    set_uid: bool
    # Owner's user id.
    uid: int


class SecFindSuidResult(TypedDict):
    """Result of sec.find_suid."""

    # What says which files are known: `packages`, `baseline NAME`, or `nothing` where there is
    # no package database.
    compared_with: str
    # The files, surprises first, then by path.
    files: _List[SecSuidFile]
    # Things looked at.
    looked_at: int
    # The directory, every symbolic link resolved.
    root: str
    # Things not looked at: other mounts, protected or not granted places, names that are not
    # UTF-8.
    skipped: int
    # Files that are not known or give reason for concern.
    surprises: int
    # All such files, also those beyond `limit`.
    total: int
    # True when there are more than `limit`.
    truncated: bool


class SecIntegrityBaselineResult(TypedDict):
    """Result of sec.integrity_baseline."""

    # Bytes of content that were digested.
    bytes: int
    # Things remembered, the directory itself among them.
    entries: int
    # Name of the baseline.
    name: str
    # The directory, every symbolic link resolved.
    path: str
    # Whether an earlier baseline of this name was replaced.
    replaced: bool
    # SHA-256 of the baseline itself, hex: keep it elsewhere to prove that nobody changed the
    # baseline.
    sha256: str
    # Things left out: other mounts, protected or not granted places, names that are not UTF-8.
    skipped: int


# How a thing differs from its baseline.
SecChangeKind = Literal["added", "removed", "changed"]


class SecFieldChange(TypedDict):
    """One field that differs."""

    # As it is.
    after: str
    # As it was.
    before: str
    # `kind`, `mode`, `uid`, `gid`, `size_bytes`, `mtime`, `sha256`, `target`, `xattrs`, `links`
    # or `device`.
    field: str


class SecTreeChange(TypedDict):
    """One thing that differs from its baseline."""

    # How it differs.
    change: SecChangeKind
    # Fields that differ; empty for what was added or removed.
    fields: _List[SecFieldChange]
    # What it is, or was.
    kind: SecKind
    # Absolute path.
    path: str


class SecIntegrityCheckResult(TypedDict):
    """Result of sec.integrity_check."""

    # Things that were added.
    added: int
    # Things that are others now.
    changed: int
    # Changes, by path.
    changes: _List[SecTreeChange]
    # When the baseline was made, milliseconds since 1970, UTC.
    made_ms: int
    # Name of the baseline.
    name: str
    # The directory, every symbolic link resolved.
    path: str
    # Things that were removed.
    removed: int
    # Things not compared: other mounts, protected or not granted places, names that are not
    # UTF-8.
    skipped: int
    # True when there are more changes than `limit`.
    truncated: bool
    # Things that are as they were.
    unchanged: int


# How the process of a socket was found.
SecOwnerProof = Literal["descriptor", "only_of_user"]


# Protocol of a socket.
SecProtocol = Literal["tcp", "udp"]


class SecOpenPort(TypedDict):
    """A socket that takes what others send."""

    # Address that it listens on; `0.0.0.0` and `::` are all addresses.
    address: str
    # Port.
    port: int
    # The process; absent where the kernel does not let this worker see it.
    process: NotRequired[SecPortOwner | None]
    # Protocol.
    protocol: SecProtocol
    # Whether other machines can reach the address. A firewall may still stand before it.
    reachable: bool
    # User id of whoever opened it.
    uid: int
    # The user's name; absent when no account has the number.
    user: NotRequired[str | None]


class SecPortOwner(TypedDict):
    """A process with an open port."""

    # How it was found.
    known_by: SecOwnerProof
    # Name of the program.
    name: str
    # Process id.
    pid: int


class SecOpenPortsResult(TypedDict):
    """Result of sec.open_ports."""

    # Sockets, by protocol, port and address.
    ports: _List[SecOpenPort]
    # Sockets whose process is not known.
    without_process: int


# One of the checks of sec.scan.
SecCheck = Literal["sshd", "accounts", "secrets", "permissions", "suid", "ports", "kernel", "umask"]


class SecNotChecked(TypedDict):
    """A check that could not be done."""

    # The check.
    check: SecCheck
    # Why not.
    why: str


class SecWeakness(TypedDict):
    """One weakness."""

    # The check that found it.
    check: SecCheck
    # What was found there, as it is written.
    evidence: str
    # Stable name of the weakness, `sshd.permit_root_login`.
    id: str
    # What to do.
    remedy: str
    # How bad it is.
    severity: SecSeverity
    # What it is about: a path, an account, an address with port.
    subject: str


class SecScanResult(TypedDict):
    """Result of sec.scan."""

    # Checks that were done to their end.
    checked: _List[SecCheck]
    # Weaknesses, the worst first.
    findings: _List[SecWeakness]
    # Findings of high severity, also those beyond `limit`.
    high: int
    # Findings of low severity.
    low: int
    # Findings of medium severity.
    medium: int
    # Checks that were not: what is not named in `findings` may still be there.
    not_checked: _List[SecNotChecked]
    # True when there are more than `limit`.
    truncated: bool


class SecUndoResult(TypedDict):
    """Result of sec.undo."""

    # What is as it was before: paths of files, or the directory of a baseline.
    restored: _List[str]


class ServiceTouched(TypedDict):
    """One service that a call changed or could have."""

    # State afterwards.
    after: str
    # State before.
    before: str
    # Whether it is started at boot now.
    enabled: bool
    # Name.
    name: str


class ServiceDisableResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class ServiceEnableResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class ServiceSummary(TypedDict):
    """One service in a list."""

    # Whether it is part of aiOS itself, or aiOS needs it: tools may only restart it.
    core: bool
    # What it is, in one sentence.
    description: str
    # Whether it is started at boot.
    enabled: bool
    # How it last ended: `exit 1`, `signal 9`, why it could not be started; empty when it never
    # did.
    last_exit: str
    # Name.
    name: str
    # Process id.
    pid: NotRequired[int | None]
    # Restarts since it was last started by somebody or boot.
    restarts: int
    # `stopped`, `waiting`, `starting`, `ready`, `stopping`, `backoff`, `failed`, `listening`.
    state: str


class ServiceListResult(TypedDict):
    """Result of service.list."""

    # Every service, in start order.
    services: _List[ServiceSummary]


class ServiceLine(TypedDict):
    """One line of a log. It is what the service wrote: text that nobody has checked."""

    # The line.
    text: str
    # When it was written.
    time_ms: int


class ServiceLogsResult(TypedDict):
    """Result of service.logs."""

    # How many older ones fit too and were left out.
    left_out: int
    # The lines, the oldest first.
    lines: _List[ServiceLine]


class ServiceRestartResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class ServiceStartResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class ServiceExit(TypedDict):
    """How a process of a service ended."""

    # Whether init had asked it to end, or killed it because it was late or silent.
    asked: bool
    # Exit status, when it ended by itself.
    code: NotRequired[int | None]
    # `exit 1`, `signal 9`, `exit unknown`, or why it could not be started.
    how: str
    # Whether the kernel killed a process of it because memory ran out.
    out_of_memory: bool
    # How long it ran, milliseconds.
    ran_ms: int
    # Signal, when one ended it.
    signal: NotRequired[int | None]
    # When.
    time_ms: int
    # Whether it had become ready.
    was_ready: bool


class ServiceStatusResult(TypedDict):
    """Result of service.status."""

    # Program, by its path, and arguments.
    command: _List[str]
    # What locks it down, one word each.
    confinement: _List[str]
    # Processor time used, milliseconds.
    cpu_ms: int
    # Directories that init makes for it.
    directories: _List[str]
    # Names of the variables that its files set; values may be secret.
    environment_names: _List[str]
    # How it ended, the oldest first; the last ten.
    exits: _List[ServiceExit]
    # Its service files, the vendor's first.
    files: _List[str]
    # Whether its files say something else than what runs.
    files_changed: bool
    # Its group; empty means the user's own.
    group: str
    # Supplementary groups.
    groups: _List[str]
    # Memory of all its processes, or of the main one where nobody counts them.
    memory_bytes: int
    # Limit of that memory.
    memory_limit_bytes: NotRequired[int | None]
    # Services that need it.
    needed_by: _List[str]
    # Services that must be ready before it, and without which it stops.
    needs: _List[str]
    # Next try, while it waits for one.
    next_start_ms: NotRequired[int | None]
    # How it says that it is ready: `notify`, `fd`, `none`.
    ready_by: str
    # Since when it has been ready.
    ready_since_ms: NotRequired[int | None]
    # When it is started again: `always`, `on-failure`, `never`.
    restart: str
    # Number of its current or last start in this boot.
    run: int
    # What a list says of it.
    service: ServiceSummary
    # Unix sockets that init holds for it.
    sockets: _List[str]
    # Time until it must be ready, milliseconds.
    start_timeout_ms: int
    # Its current or last start.
    started_ms: NotRequired[int | None]
    # What it says of itself, or empty.
    status: str
    # User that it runs as.
    user: str
    # Whether it is to run; a service that waits for another try is.
    wanted: bool
    # Services that are started with it but may fail.
    wants: _List[str]
    # Where it runs.
    working_directory: str


class ServiceStopResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class ServiceUndoResult(TypedDict):
    """Result of a call that changes services."""

    # Whether anything is otherwise than before.
    changed: bool
    # The service and what went along with it, in start order.
    services: _List[ServiceTouched]


class FirewallTools:
    """Tools of the namespace `firewall`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def allow(
        self,
        *,
        port: FirewallPort,
        protocol: FirewallProtocol,
        comment: str | None = None,
        confirm_within_ms: int | None = None,
        interface: str | None = None,
        place: FirewallPlace | None = None,
        source: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FirewallAllowResult:
        """Makes a rule that lets packets in; takes itself back unless confirmed in time.

        Args:
            port: Port of this machine: a number, a range `8000-8080`, or `any`.
            protocol: What is inside the packets.
            comment: Why, for people; at most 100 bytes.
            confirm_within_ms: The change takes itself back unless firewall.confirm names it
                within this time, milliseconds, 1000 to 600000.
            interface: Only what comes in by this interface.
            place: Where the rule goes.
            source: Only from this address or network, `192.0.2.0/24`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallAllowResult",
            await self._caller.call_tool(
                "firewall.allow",
                _given(
                    port=port,
                    protocol=protocol,
                    comment=comment,
                    confirm_within_ms=confirm_within_ms,
                    interface=interface,
                    place=place,
                    source=source,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def confirm(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> FirewallConfirmResult:
        """Keeps a change of the firewall, which would take itself back otherwise.

        Args:
            step: Step of the execution.
            task_id: Task of the execution.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallConfirmResult",
            await self._caller.call_tool(
                "firewall.confirm",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def deny(
        self,
        *,
        port: FirewallPort,
        protocol: FirewallProtocol,
        comment: str | None = None,
        confirm_within_ms: int | None = None,
        how: FirewallDenial | None = None,
        interface: str | None = None,
        place: FirewallPlace | None = None,
        source: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FirewallDenyResult:
        """Makes a rule that turns packets away; takes itself back unless confirmed in time.

        Args:
            port: Port of this machine: a number, a range `8000-8080`, or `any`.
            protocol: What is inside the packets.
            comment: Why, for people; at most 100 bytes.
            confirm_within_ms: The change takes itself back unless firewall.confirm names it
                within this time, milliseconds, 1000 to 600000.
            how: How.
            interface: Only what comes in by this interface; without one, by any but loopback.
            place: Where the rule goes.
            source: Only from this address or network, `192.0.2.0/24`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallDenyResult",
            await self._caller.call_tool(
                "firewall.deny",
                _given(
                    port=port,
                    protocol=protocol,
                    comment=comment,
                    confirm_within_ms=confirm_within_ms,
                    how=how,
                    interface=interface,
                    place=place,
                    source=source,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def pending(self, *, reason: str, timeout_ms: int = 0) -> FirewallPendingResult:
        """Lists changes that wait to be confirmed and those that took themselves back.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallPendingResult",
            await self._caller.call_tool(
                "firewall.pending", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def remove(
        self, *, id: str, confirm_within_ms: int | None = None, reason: str, timeout_ms: int = 0
    ) -> FirewallRemoveResult:
        """Removes a rule by its name; takes itself back unless confirmed in time.

        Args:
            id: The rule, as firewall.rules names it.
            confirm_within_ms: The change takes itself back unless firewall.confirm names it
                within this time, milliseconds, 1000 to 600000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallRemoveResult",
            await self._caller.call_tool(
                "firewall.remove",
                _given(id=id, confirm_within_ms=confirm_within_ms),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def rules(self, *, reason: str, timeout_ms: int = 0) -> FirewallRulesResult:
        """Lists the firewall's rules with their counters, and every other table of this machine.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallRulesResult",
            await self._caller.call_tool(
                "firewall.rules", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> FirewallUndoResult:
        """Undoes a change of the firewall exactly; refused when somebody changed the rules since.

        Args:
            step: Step of the execution.
            task_id: Task of the execution.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "FirewallUndoResult",
            await self._caller.call_tool(
                "firewall.undo",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class FsTools:
    """Tools of the namespace `fs`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def append(
        self,
        *,
        path: str,
        content: str | None = None,
        content_base64: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsAppendResult:
        """Adds at the end of a file; makes it when it is not there.

        Args:
            path: Absolute path of the file; it is made with mode `0644` when it is not there,
                its directory must exist.
            content: Text to add, at most 524288 bytes.
            content_base64: Bytes to add, base64 (RFC 4648, with padding), at most 524288 bytes
                decoded.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 30000 ms.
        """
        return cast(
            "FsAppendResult",
            await self._caller.call_tool(
                "fs.append",
                _given(path=path, content=content, content_base64=content_base64),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def archive(
        self,
        *,
        paths: _List[str],
        target: str,
        compression: FsCompression | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsArchiveResult:
        """Packs files, symbolic links and directories into a new .tar.gz or .tar.zst file.

        Args:
            paths: Absolute paths of files, symbolic links and directories, 1 to 10000; each
                enters the archive under its last name, which must differ.
            target: Absolute path of the archive; nothing may be there, its directory must
                exist.
            compression: How it is compressed; when not given, by the end of its name:
                `.tar.gz`, `.tgz` or `.tar.zst`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 300000 ms.
        """
        return cast(
            "FsArchiveResult",
            await self._caller.call_tool(
                "fs.archive",
                _given(paths=paths, target=target, compression=compression),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def chmod(
        self,
        *,
        mode: str,
        path: str,
        recursive: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsChmodResult:
        """Sets mode bits of a file or directory, with `recursive` of everything in it.

        Args:
            mode: Octal bits, `0640` or `2755`, or symbolic changes, `u+rw,g=rX,o-w`.
            path: Absolute path of a file or directory.
            recursive: Whether everything in a directory is changed too; symbolic links in it
                have no mode and are left.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsChmodResult",
            await self._caller.call_tool(
                "fs.chmod",
                _given(mode=mode, path=path, recursive=recursive),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def chown(
        self,
        *,
        path: str,
        group: str | None = None,
        owner: str | None = None,
        recursive: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsChownResult:
        """Sets owner and group of a file or directory, with `recursive` of everything in it.

        Args:
            path: Absolute path of a file or directory.
            group: New group, a group's name or number.
            owner: New owner, a user's name or number.
            recursive: Whether everything in a directory is changed too; of symbolic links in it
                the links themselves.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsChownResult",
            await self._caller.call_tool(
                "fs.chown",
                _given(path=path, group=group, owner=owner, recursive=recursive),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def copy(
        self,
        *,
        source: str,
        target: str,
        preserve: bool | None = None,
        recursive: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsCopyResult:
        """Copies a file, a symbolic link or, with `recursive`, a directory to a place where nothing is.

        Args:
            source: Absolute path of a file, symbolic link (copied as a link) or directory.
            target: Absolute path of the copy itself; nothing may be there, its directory must
                exist.
            preserve: Whether owner, all mode bits, times and extended attributes (POSIX ACLs)
                are copied. Else the copy belongs to its directory's owner and has the permission
                bits.
            recursive: Whether a directory is copied, with everything in it; names that share
                one file become files of their own.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 300000 ms.
        """
        return cast(
            "FsCopyResult",
            await self._caller.call_tool(
                "fs.copy",
                _given(source=source, target=target, preserve=preserve, recursive=recursive),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def delete(
        self,
        *,
        path: str | None = None,
        paths: _List[str] | None = None,
        recursive: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsDeleteResult:
        """Deletes files, symbolic links and, with `recursive`, directories with everything in them: all of the list, or none.

        Args:
            path: Absolute path of one file or symbolic link, with `recursive` also of a
                directory.
            paths: Absolute paths, 1 to 10000: all are deleted, or none.
            recursive: Whether directories are deleted too, with everything in them.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsDeleteResult",
            await self._caller.call_tool(
                "fs.delete",
                _given(path=path, paths=paths, recursive=recursive),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def disk_usage(self, *, path: str, reason: str, timeout_ms: int = 0) -> FsDiskUsageResult:
        """Says how much room a directory takes, and how much its file system has left, in bytes and files.

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

    async def grep(
        self,
        *,
        path: str,
        pattern: str,
        ignore_case: bool | None = None,
        limit: int | None = None,
        max_file_bytes: int | None = None,
        name_glob: str | None = None,
        regex: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsGrepResult:
        """Finds lines in files by text or regular expression; what it returns is not to be trusted.

        Args:
            path: Absolute path of a file, or of a directory whose files are searched; links are
                not followed, other mounts not entered.
            pattern: What to look for in each line: text, or a regular expression (Rust syntax)
                when `regex` is true.
            ignore_case: Whether large and small letters are the same.
            limit: Most matching lines wanted, 1 to 10000.
            max_file_bytes: Larger files are left out and counted; 1 to 1073741824 bytes.
            name_glob: Glob on the file's name without directory, `*.conf`.
            regex: Whether `pattern` is a regular expression.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "FsGrepResult",
            await self._caller.call_tool(
                "fs.grep",
                _given(
                    path=path,
                    pattern=pattern,
                    ignore_case=ignore_case,
                    limit=limit,
                    max_file_bytes=max_file_bytes,
                    name_glob=name_glob,
                    regex=regex,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
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

    async def mkdir(
        self,
        *,
        path: str,
        mode: str | None = None,
        parents: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsMkdirResult:
        """Makes a directory, with `parents` also those above it.

        Args:
            path: Absolute path of the directory.
            mode: Permission bits of every directory made, octal text; `0755` when not given.
            parents: Whether missing directories above it are made too; an existing directory is
                then no error.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 30000 ms.
        """
        return cast(
            "FsMkdirResult",
            await self._caller.call_tool(
                "fs.mkdir",
                _given(path=path, mode=mode, parents=parents),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def move(
        self,
        *,
        source: str,
        target: str,
        replace: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsMoveResult:
        """Moves or renames a file, symbolic link or directory on its file system, in one step.

        Args:
            source: Absolute path of a file, symbolic link or directory.
            target: Absolute path of its new place, on the same file system; its directory must
                exist.
            replace: Whether a file or link that is at `target` is replaced, in one step; a
                directory never is.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "FsMoveResult",
            await self._caller.call_tool(
                "fs.move",
                _given(source=source, target=target, replace=replace),
                reason=reason,
                timeout_ms=timeout_ms,
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

    async def symlink(
        self, *, path: str, target: str, reason: str, timeout_ms: int = 0
    ) -> FsSymlinkResult:
        """Makes a symbolic link.

        Args:
            path: Absolute path of the link; nothing may be there, its directory must exist.
            target: Where it points, as it is to be written; it need not exist.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "FsSymlinkResult",
            await self._caller.call_tool(
                "fs.symlink", _given(path=path, target=target), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self,
        *,
        step: int,
        task_id: str,
        untouched_only: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> FsUndoResult:
        """Undoes a finished call exactly; refused when somebody changed the place since, or done for what nobody changed.

        Args:
            step: Step of the execution to undo, from 1.
            task_id: Task of the execution to undo, a UUID.
            untouched_only: Whether to undo what is still as the execution left it and to leave
                the rest, instead of refusing when somebody changed a part since.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "FsUndoResult",
            await self._caller.call_tool(
                "fs.undo",
                _given(step=step, task_id=task_id, untouched_only=untouched_only),
                reason=reason,
                timeout_ms=timeout_ms,
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

    async def logs(
        self,
        *,
        path: str,
        changed_within_ms: int | None = None,
        contains: str | None = None,
        limit: int | None = None,
        name_glob: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> MonitorLogsResult:
        """Reads the last lines of the text logs under /var/log.

        Args:
            path: Absolute path of a log, or of a directory of logs, under /var/log.
            changed_within_ms: Only files that were written to in the last so many milliseconds.
            contains: Only lines that hold this text.
            limit: Most lines wanted, of all files together, 1 to 1000.
            name_glob: Glob on the name without directory, `*.log`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorLogsResult",
            await self._caller.call_tool(
                "monitor.logs",
                _given(
                    path=path,
                    changed_within_ms=changed_within_ms,
                    contains=contains,
                    limit=limit,
                    name_glob=name_glob,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def memory(self, *, reason: str, timeout_ms: int = 0) -> MonitorMemoryResult:
        """Says how much memory there is, what it is used for, and how often it ran out.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "MonitorMemoryResult",
            await self._caller.call_tool(
                "monitor.memory", _given(), reason=reason, timeout_ms=timeout_ms
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

    async def watch(
        self,
        *,
        metric: MonitorMetric,
        above: float | None = None,
        below: float | None = None,
        interval_ms: int | None = None,
        name: str | None = None,
        samples: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> MonitorWatchResult:
        """Samples one measure several times, and ends early when a threshold is crossed.

        Args:
            metric: What is measured.
            above: Ends as soon as a sample is above this.
            below: Ends as soon as a sample is below this.
            interval_ms: From one sample to the next, milliseconds, 50 to 10000.
            name: Disk or interface, for `disk` and `network`; all of them when not given.
            samples: Samples wanted, 1 to 600.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "MonitorWatchResult",
            await self._caller.call_tool(
                "monitor.watch",
                _given(
                    metric=metric,
                    above=above,
                    below=below,
                    interval_ms=interval_ms,
                    name=name,
                    samples=samples,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class NetTools:
    """Tools of the namespace `net`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def check_port(
        self,
        *,
        host: str,
        port: int,
        answer_timeout_ms: int | None = None,
        private: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> NetCheckPortResult:
        """Tells whether a TCP port of a host is open, refused, silent or unreachable.

        Args:
            host: Name or address.
            port: TCP port.
            answer_timeout_ms: How long to wait for each address, milliseconds, 50 to 20000.
            private: Whether the host may have an address that is not public; needs
                net:private:HOST:PORT too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "NetCheckPortResult",
            await self._caller.call_tool(
                "net.check_port",
                _given(host=host, port=port, answer_timeout_ms=answer_timeout_ms, private=private),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def configure(
        self,
        *,
        interface: str,
        add_addresses: _List[str] | None = None,
        add_routes: _List[NetRouteArgs] | None = None,
        confirm_within_ms: int | None = None,
        link: NetLinkState | None = None,
        mtu_bytes: int | None = None,
        remove_addresses: _List[str] | None = None,
        remove_routes: _List[NetRouteArgs] | None = None,
        replace_addresses: _List[str] | None = None,
        replace_routes: _List[NetRouteArgs] | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> NetConfigureResult:
        """Changes addresses, routes, MTU or state of an interface; takes itself back unless confirmed in time.

        Args:
            interface: Name of the interface.
            add_addresses: Addresses to give it, `192.0.2.7/24`.
            add_routes: Routes to make.
            confirm_within_ms: The change takes itself back unless net.confirm names it within
                this time, milliseconds, 1000 to 600000.
            link: Switch it on or off.
            mtu_bytes: Its largest packet, bytes, 68 to 65535.
            remove_addresses: Addresses to take from it.
            remove_routes: Routes to take away.
            replace_addresses: Exactly the addresses that it shall have, besides the link-local
                ones.
            replace_routes: Routes to make in the place of those to the same network with the
                same metric.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "NetConfigureResult",
            await self._caller.call_tool(
                "net.configure",
                _given(
                    interface=interface,
                    add_addresses=add_addresses,
                    add_routes=add_routes,
                    confirm_within_ms=confirm_within_ms,
                    link=link,
                    mtu_bytes=mtu_bytes,
                    remove_addresses=remove_addresses,
                    remove_routes=remove_routes,
                    replace_addresses=replace_addresses,
                    replace_routes=replace_routes,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def confirm(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> NetConfirmResult:
        """Keeps a change of net.configure, which would take itself back otherwise.

        Args:
            step: Step of the execution.
            task_id: Task of the execution.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "NetConfirmResult",
            await self._caller.call_tool(
                "net.confirm",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def connections(
        self, *, limit: int | None = None, port: int | None = None, reason: str, timeout_ms: int = 0
    ) -> NetConnectionsResult:
        """Lists TCP and UDP connections with state and owner.

        Args:
            limit: Most sockets that are listed, 1 to 10000.
            port: Only this port of this machine.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "NetConnectionsResult",
            await self._caller.call_tool(
                "net.connections",
                _given(limit=limit, port=port),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def dns(
        self,
        *,
        name: str,
        answer_timeout_ms: int | None = None,
        every_server: bool | None = None,
        private: bool | None = None,
        record_types: _List[NetRecordType] | None = None,
        server: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> NetDnsResult:
        """Looks a name up in the DNS and says which server answered what, and how fast.

        Args:
            name: Full name to look up.
            answer_timeout_ms: Time for one answer, milliseconds, 100 to 10000.
            every_server: Whether to ask every server of the system instead of the first that
                answers.
            private: Whether the given server may have an address that is not public; needs
                net:private:SERVER too.
            record_types: Kinds of records.
            server: Address of the server to ask instead of the system's own; needs
                net:dns:SERVER too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "NetDnsResult",
            await self._caller.call_tool(
                "net.dns",
                _given(
                    name=name,
                    answer_timeout_ms=answer_timeout_ms,
                    every_server=every_server,
                    private=private,
                    record_types=record_types,
                    server=server,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def http_get(
        self,
        *,
        url: str,
        max_bytes: int | None = None,
        max_redirects: int | None = None,
        private: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> NetHttpGetResult:
        """Reads one page over HTTP or HTTPS.

        Args:
            url: `http://` or `https://` address, without a user.
            max_bytes: Most bytes of the body, up to 4 MiB; the rest is not read.
            max_redirects: Redirects to follow, 0 to 5; each must be granted like the first.
            private: Whether hosts may have addresses that are not public; needs
                net:private:HOST:PORT too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "NetHttpGetResult",
            await self._caller.call_tool(
                "net.http_get",
                _given(url=url, max_bytes=max_bytes, max_redirects=max_redirects, private=private),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def interfaces(self, *, reason: str, timeout_ms: int = 0) -> NetInterfacesResult:
        """Lists network interfaces with state, addresses, MTU, carrier and counters.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "NetInterfacesResult",
            await self._caller.call_tool(
                "net.interfaces", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def listening(
        self, *, limit: int | None = None, port: int | None = None, reason: str, timeout_ms: int = 0
    ) -> NetListeningResult:
        """Lists who waits on which TCP and UDP port.

        Args:
            limit: Most sockets that are listed, 1 to 10000.
            port: Only this port of this machine.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "NetListeningResult",
            await self._caller.call_tool(
                "net.listening",
                _given(limit=limit, port=port),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def pending(self, *, reason: str, timeout_ms: int = 0) -> NetPendingResult:
        """Lists changes that wait to be confirmed and those that took themselves back.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "NetPendingResult",
            await self._caller.call_tool(
                "net.pending", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def ping(
        self,
        *,
        host: str,
        answer_timeout_ms: int | None = None,
        count: int | None = None,
        dont_fragment: bool | None = None,
        interval_ms: int | None = None,
        packet_bytes: int | None = None,
        private: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> NetPingResult:
        """Pings a host; tells loss, times and how large a packet may be on the way.

        Args:
            host: Name or address.
            answer_timeout_ms: How long the last answer is waited for, milliseconds, 10 to
                10000.
            count: How many, 1 to 100.
            dont_fragment: Whether routers must not cut packets into pieces; then the largest
                size that goes through is told.
            interval_ms: Pause between two, milliseconds, 10 to 10000.
            packet_bytes: Size of the whole packet with its headers, bytes, 64 to 9000: whether
                packets of this size get there.
            private: Whether the host may have an address that is not public; needs
                net:private:HOST too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "NetPingResult",
            await self._caller.call_tool(
                "net.ping",
                _given(
                    host=host,
                    answer_timeout_ms=answer_timeout_ms,
                    count=count,
                    dont_fragment=dont_fragment,
                    interval_ms=interval_ms,
                    packet_bytes=packet_bytes,
                    private=private,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def routes(self, *, reason: str, timeout_ms: int = 0) -> NetRoutesResult:
        """Lists the routes of IPv4 and IPv6.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "NetRoutesResult",
            await self._caller.call_tool(
                "net.routes", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> NetUndoResult:
        """Undoes a change of net.configure exactly; refused when somebody changed the interface since.

        Args:
            step: Step of the execution.
            task_id: Task of the execution.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 20000 ms.
        """
        return cast(
            "NetUndoResult",
            await self._caller.call_tool(
                "net.undo", _given(step=step, task_id=task_id), reason=reason, timeout_ms=timeout_ms
            ),
        )


class OsTools:
    """Tools of the namespace `os`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def check(self, *, reason: str, timeout_ms: int = 0) -> OsCheckResult:
        """Says what an upgrade would bring: version, size, room, signature, and what stands in its way.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "OsCheckResult",
            await self._caller.call_tool(
                "os.check", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def reboot(self, *, reason: str, timeout_ms: int = 0) -> OsRebootResult:
        """Starts the machine again a few seconds after the call is recorded; it cannot be undone.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "OsRebootResult",
            await self._caller.call_tool(
                "os.reboot", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def reset(
        self, *, force: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> OsResetResult:
        """Stages the image that this machine came with, without packages added since; /etc and /var stay; undo drops it.

        Args:
            force: Also an image that failed on this machine before.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 600000 ms.
        """
        return cast(
            "OsResetResult",
            await self._caller.call_tool(
                "os.reset", _given(force=force), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def rollback(
        self, *, force: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> OsRollbackResult:
        """Has the image before this one start the next time, or takes that back; undo exchanges them again.

        Args:
            force: Also an image that failed on this machine before.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 300000 ms.
        """
        return cast(
            "OsRollbackResult",
            await self._caller.call_tool(
                "os.rollback", _given(force=force), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def status(self, *, reason: str, timeout_ms: int = 0) -> OsStatusResult:
        """Says which image of the operating system runs, which starts next, and which failed and why.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "OsStatusResult",
            await self._caller.call_tool(
                "os.status", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def switch(
        self, *, image: str, force: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> OsSwitchResult:
        """Fetches another image and stages it for the next start; undo drops it.

        Args:
            image: The image: `quay.io/org/os:7`, `docker://…`, `oci:/DIR:TAG`, `containers-
                storage:NAME`.
            force: Also an image that failed on this machine before.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 600000 ms.
        """
        return cast(
            "OsSwitchResult",
            await self._caller.call_tool(
                "os.switch", _given(image=image, force=force), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> OsUndoResult:
        """Undoes a finished call: drops what it staged, or exchanges the entries again; refused when somebody changed that since.

        Args:
            step: Step of the call.
            task_id: Task of the call.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 600000 ms.
        """
        return cast(
            "OsUndoResult",
            await self._caller.call_tool(
                "os.undo", _given(step=step, task_id=task_id), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def upgrade(
        self, *, force: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> OsUpgradeResult:
        """Fetches the newer image of the same name, adds the packages that were added to the one that runs, and stages it for the next start; undo drops it.

        Args:
            force: Also an image that failed on this machine before.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 600000 ms.
        """
        return cast(
            "OsUpgradeResult",
            await self._caller.call_tool(
                "os.upgrade", _given(force=force), reason=reason, timeout_ms=timeout_ms
            ),
        )


class PkgTools:
    """Tools of the namespace `pkg`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def check_updates(self, *, reason: str, timeout_ms: int = 0) -> PkgCheckUpdatesResult:
        """Lists newer versions of installed packages, and which of them fix a weakness.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgCheckUpdatesResult",
            await self._caller.call_tool(
                "pkg.check_updates", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def configure(self, *, reason: str, timeout_ms: int = 0) -> PkgConfigureResult:
        """Finishes the configuration of packages that are half done; it cannot be undone.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 1800000 ms.
        """
        return cast(
            "PkgConfigureResult",
            await self._caller.call_tool(
                "pkg.configure", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def files(
        self, *, name: str, limit: int | None = None, reason: str, timeout_ms: int = 0
    ) -> PkgFilesResult:
        """Lists the files that a package brought.

        Args:
            name: Package, `nginx`.
            limit: Most paths to answer, 1 to 10000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgFilesResult",
            await self._caller.call_tool(
                "pkg.files", _given(name=name, limit=limit), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def history(
        self, *, limit: int | None = None, name: str | None = None, reason: str, timeout_ms: int = 0
    ) -> PkgHistoryResult:
        """Says what happened to packages, by aiOS and by apt and dpkg themselves, and what was added to which image.

        Args:
            limit: Most entries of each kind, the newest, 1 to 10000.
            name: Only of this package.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgHistoryResult",
            await self._caller.call_tool(
                "pkg.history", _given(limit=limit, name=name), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def info(self, *, name: str, reason: str, timeout_ms: int = 0) -> PkgInfoResult:
        """Says everything about a package: versions, needs, sizes, and which configuration files were changed.

        Args:
            name: Package, `nginx`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgInfoResult",
            await self._caller.call_tool(
                "pkg.info", _given(name=name), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def install(
        self,
        *,
        names: _List[str],
        recommends: bool | None = None,
        transient: bool | None = None,
        versions: Mapping[str, Any] | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> PkgInstallResult:
        """Installs or upgrades packages, with what they need; on a machine of images by a new image, which the next start has. Undo brings back packages, configuration files and enablement, or drops that image.

        Args:
            names: Packages to install or to upgrade.
            recommends: Whether packages that they only recommend are installed too.
            transient: Whether they are there at once and until the next start only. On a
                machine of images alone, and for packages that bring nothing but what lies in
                `/usr`.
            versions: Exact version of some of them, `{"nginx": "1.22.1-9"}`; the others get the
                newest.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 1800000 ms.
        """
        return cast(
            "PkgInstallResult",
            await self._caller.call_tool(
                "pkg.install",
                _given(names=names, recommends=recommends, transient=transient, versions=versions),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def list(
        self,
        *,
        limit: int | None = None,
        name_glob: str | None = None,
        which: PkgWhich | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> PkgListResult:
        """Lists packages with version and state: installed, half done, held, or left configuration files.

        Args:
            limit: Most packages to answer, 1 to 10000.
            name_glob: Glob of names, `linux-*`.
            which: Which packages.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgListResult",
            await self._caller.call_tool(
                "pkg.list",
                _given(limit=limit, name_glob=name_glob, which=which),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def remove(
        self, *, names: _List[str], purge: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> PkgRemoveResult:
        """Removes packages; on a machine of images those that were added, by a new image, which the next start has. Undo brings back packages, configuration files and enablement, or drops that image.

        Args:
            names: Packages to remove.
            purge: Whether their configuration files are removed too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 1800000 ms.
        """
        return cast(
            "PkgRemoveResult",
            await self._caller.call_tool(
                "pkg.remove", _given(names=names, purge=purge), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def rollback(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> PkgRollbackResult:
        """Brings back the set of packages from before an earlier call, with configuration files and enablement.

        Args:
            step: Step of the call.
            task_id: Task of the call.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 1800000 ms.
        """
        return cast(
            "PkgRollbackResult",
            await self._caller.call_tool(
                "pkg.rollback",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def search(
        self,
        *,
        text: str,
        limit: int | None = None,
        names_only: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> PkgSearchResult:
        """Finds packages that can be had, by words of name and description.

        Args:
            text: Words; each must stand in the name or the description.
            limit: Most packages to answer, 1 to 10000.
            names_only: Whether only names are searched.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "PkgSearchResult",
            await self._caller.call_tool(
                "pkg.search",
                _given(text=text, limit=limit, names_only=names_only),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> PkgUndoResult:
        """Undoes a finished call: packages, configuration files and enablement; refused when somebody changed them since.

        Args:
            step: Step of the call.
            task_id: Task of the call.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 1800000 ms.
        """
        return cast(
            "PkgUndoResult",
            await self._caller.call_tool(
                "pkg.undo", _given(step=step, task_id=task_id), reason=reason, timeout_ms=timeout_ms
            ),
        )


class ProcessTools:
    """Tools of the namespace `process`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def info(
        self, *, pid: int, start_ticks: int | None = None, reason: str, timeout_ms: int = 0
    ) -> ProcessInfoResult:
        """Says everything about one process: program, files, sockets, limits, control group.

        Args:
            pid: Process id.
            start_ticks: When it started, as process.list says; another process that got the
                same number is then refused.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessInfoResult",
            await self._caller.call_tool(
                "process.info",
                _given(pid=pid, start_ticks=start_ticks),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def limits(
        self, *, pid: int, start_ticks: int | None = None, reason: str, timeout_ms: int = 0
    ) -> ProcessLimitsResult:
        """Says what a process may use.

        Args:
            pid: Process id.
            start_ticks: When it started, as process.list says; another process that got the
                same number is then refused.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessLimitsResult",
            await self._caller.call_tool(
                "process.limits",
                _given(pid=pid, start_ticks=start_ticks),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def list(
        self,
        *,
        kernel_threads: bool | None = None,
        limit: int | None = None,
        listens_on: int | None = None,
        name: str | None = None,
        sort_by: ProcessOrder | None = None,
        state: ProcessState | None = None,
        user: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessListResult:
        """Lists processes by name, user or state.

        Args:
            kernel_threads: Whether threads of the kernel are listed too.
            limit: Most processes wanted, 1 to 5000.
            listens_on: Only what waits for connections or datagrams on this port of this
                machine; not what has a network of its own.
            name: Glob on the name, `nginx*`.
            sort_by: What they are sorted by.
            state: What it does.
            user: User name or number.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessListResult",
            await self._caller.call_tool(
                "process.list",
                _given(
                    kernel_threads=kernel_threads,
                    limit=limit,
                    listens_on=listens_on,
                    name=name,
                    sort_by=sort_by,
                    state=state,
                    user=user,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def open_files(
        self,
        *,
        deleted_only: bool | None = None,
        limit: int | None = None,
        pid: int | None = None,
        under: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessOpenFilesResult:
        """Lists files that processes hold open, above all deleted ones that still take space.

        Args:
            deleted_only: Only files without a name.
            limit: Most files wanted, 1 to 5000; those that take most space come first.
            pid: Only of this process.
            under: Only files at or below this absolute path.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessOpenFilesResult",
            await self._caller.call_tool(
                "process.open_files",
                _given(deleted_only=deleted_only, limit=limit, pid=pid, under=under),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def set_limits(
        self,
        *,
        limits: _List[ProcessLimitChange],
        pid: int,
        start_ticks: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessSetLimitsResult:
        """Changes what a process may use; undo restores the earlier limits while it lives.

        Args:
            limits: What changes, each resource at most once.
            pid: Process id.
            start_ticks: When it started, as process.list says; another process that got the
                same number is then refused.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessSetLimitsResult",
            await self._caller.call_tool(
                "process.set_limits",
                _given(limits=limits, pid=pid, start_ticks=start_ticks),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def signal(
        self,
        *,
        pid: int,
        signal: str,
        start_ticks: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessSignalResult:
        """Sends a signal; STOP and CONT can be undone, nothing else can.

        Args:
            pid: Process id.
            signal: Name or number, `TERM`, `SIGTERM` or `15`.
            start_ticks: When it started, as process.list says; another process that got the
                same number is then refused.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessSignalResult",
            await self._caller.call_tool(
                "process.signal",
                _given(pid=pid, signal=signal, start_ticks=start_ticks),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def spawn(
        self,
        *,
        path: str,
        arguments: _List[str] | None = None,
        cwd: str | None = None,
        env: Mapping[str, Any] | None = None,
        max_output_bytes: int | None = None,
        run_ms: int | None = None,
        user: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessSpawnResult:
        """Runs a program without privileges or network, to its end or until its time is up.

        Args:
            path: Absolute path of the program; it is not searched for, and no shell is
                involved.
            arguments: Its arguments, without its own name, at most 256.
            cwd: Absolute path of the directory it starts in.
            env: Its environment, besides `PATH` and `LC_ALL=C`; what the dynamic loader heeds
                is refused.
            max_output_bytes: Most bytes wanted of each, standard output and error, 0 to 262144;
                the first ones are kept.
            run_ms: How long it may run, milliseconds, 1 to 540000; then it and all that it
                started are killed.
            user: User name or number that it runs as. Never one of aiOS; `root` needs
                process:spawn_as_root too.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 135000 ms.
        """
        return cast(
            "ProcessSpawnResult",
            await self._caller.call_tool(
                "process.spawn",
                _given(
                    path=path,
                    arguments=arguments,
                    cwd=cwd,
                    env=env,
                    max_output_bytes=max_output_bytes,
                    run_ms=run_ms,
                    user=user,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def tree(
        self,
        *,
        depth: int | None = None,
        kernel_threads: bool | None = None,
        limit: int | None = None,
        pid: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessTreeResult:
        """Lists processes below those that started them.

        Args:
            depth: Deepest generation wanted, 0 to 100; 0 is only the first.
            kernel_threads: Whether threads of the kernel are listed too.
            limit: Most processes wanted, 1 to 5000.
            pid: Where the tree begins; everything when not given.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessTreeResult",
            await self._caller.call_tool(
                "process.tree",
                _given(depth=depth, kernel_threads=kernel_threads, limit=limit, pid=pid),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> ProcessUndoResult:
        """Undoes STOP, CONT or a change of limits; refused when somebody changed it since.

        Args:
            step: Step of the execution to undo, from 1.
            task_id: Task of the execution to undo, a UUID.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "ProcessUndoResult",
            await self._caller.call_tool(
                "process.undo",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def wait(
        self,
        *,
        pid: int,
        start_ticks: int | None = None,
        wait_ms: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ProcessWaitResult:
        """Waits until a process ends or the time is up.

        Args:
            pid: Process id.
            start_ticks: When it started, as process.list says.
            wait_ms: How long to wait, milliseconds, 0 to 60000.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 75000 ms.
        """
        return cast(
            "ProcessWaitResult",
            await self._caller.call_tool(
                "process.wait",
                _given(pid=pid, start_ticks=start_ticks, wait_ms=wait_ms),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class SecTools:
    """Tools of the namespace `sec`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def audit_query(
        self,
        *,
        goal_id: str | None = None,
        kind: str | None = None,
        limit: int | None = None,
        person: str | None = None,
        scan_last: int | None = None,
        since_ms: int | None = None,
        tool: str | None = None,
        until_ms: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecAuditQueryResult:
        """Finds records of the aiOS audit log by goal, tool, kind, person and time, without their payloads.

        Args:
            goal_id: Only records of this goal, a UUID.
            kind: Only records of this kind: `intent`, `outcome`, `read`, `denied`,
                `approval.requested` …
            limit: Most records wanted, 1 to 1000; the newest that match.
            person: Only records of this person or approver, by user name.
            scan_last: How many of the newest records are looked through, 1 to 20000.
            since_ms: Only records at or after this time, milliseconds since 1970, UTC.
            tool: Only records of this tool, `fs.delete`; `fs.*` for a whole namespace.
            until_ms: Only records before this time, milliseconds since 1970, UTC.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 30000 ms.
        """
        return cast(
            "SecAuditQueryResult",
            await self._caller.call_tool(
                "sec.audit_query",
                _given(
                    goal_id=goal_id,
                    kind=kind,
                    limit=limit,
                    person=person,
                    scan_last=scan_last,
                    since_ms=since_ms,
                    tool=tool,
                    until_ms=until_ms,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def cert_generate(
        self,
        *,
        common_name: str,
        directory: str,
        name: str,
        what: SecCertKind,
        alternative_names: _List[str] | None = None,
        days: int | None = None,
        key: SecKeyKind | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecCertGenerateResult:
        """Makes a new private key with a self-signed certificate or a request, as two new files.

        Args:
            common_name: Common name of the subject.
            directory: Directory for the files. The worker's own user must be allowed to write
                there.
            name: Name of the files without ending: NAME.key, and NAME.crt or NAME.csr.
            what: What to make.
            alternative_names: DNS names and IP addresses that it is for.
            days: Days that a self-signed certificate is valid, 1 to 825.
            key: Kind of the key.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "SecCertGenerateResult",
            await self._caller.call_tool(
                "sec.cert_generate",
                _given(
                    common_name=common_name,
                    directory=directory,
                    name=name,
                    what=what,
                    alternative_names=alternative_names,
                    days=days,
                    key=key,
                ),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def cert_info(
        self,
        *,
        path: str,
        key_path: str | None = None,
        trust_path: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecCertInfoResult:
        """Reads certificates from a file: names, dates, key; checks their chain and whether a private key fits.

        Args:
            path: Absolute path of a file with one or more certificates, PEM or DER, the
                server's own first.
            key_path: File with a private key; it is then checked whether it belongs to the
                first certificate.
            trust_path: File with the certificates that are trusted; the chain is then checked
                up to one of them.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "SecCertInfoResult",
            await self._caller.call_tool(
                "sec.cert_info",
                _given(path=path, key_path=key_path, trust_path=trust_path),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def check_permissions(
        self, *, root: str, limit: int | None = None, reason: str, timeout_ms: int = 0
    ) -> SecCheckPermissionsResult:
        """Finds what everybody may change, what belongs to nobody or the wrong one, and keys that everybody may read.

        Args:
            root: Absolute path of the directory to look through.
            limit: Most findings wanted, 1 to 1000; the worst come first.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "SecCheckPermissionsResult",
            await self._caller.call_tool(
                "sec.check_permissions",
                _given(root=root, limit=limit),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def find_suid(
        self,
        *,
        root: str,
        baseline: str | None = None,
        limit: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecFindSuidResult:
        """Finds set-uid and set-gid files and files with capabilities, and which of them no package or baseline knows.

        Args:
            root: Absolute path of the directory to look through.
            baseline: Name of a baseline of this very directory to compare with; without it the
                package database says what is known.
            limit: Most files wanted, 1 to 1000; surprises come first.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "SecFindSuidResult",
            await self._caller.call_tool(
                "sec.find_suid",
                _given(root=root, baseline=baseline, limit=limit),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def integrity_baseline(
        self, *, path: str, name: str | None = None, reason: str, timeout_ms: int = 0
    ) -> SecIntegrityBaselineResult:
        """Remembers what a directory tree is like now: content digests, modes, owners, times, attributes, links.

        Args:
            path: Absolute path of the directory to remember.
            name: Name of the baseline; a directory may have several. An earlier one of this
                name is replaced.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 300000 ms.
        """
        return cast(
            "SecIntegrityBaselineResult",
            await self._caller.call_tool(
                "sec.integrity_baseline",
                _given(path=path, name=name),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def integrity_check(
        self,
        *,
        path: str,
        limit: int | None = None,
        name: str | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecIntegrityCheckResult:
        """Says what was added, removed and changed in a directory tree since its baseline.

        Args:
            path: Absolute path of the directory that the baseline is of.
            limit: Most changes wanted, 1 to 1000.
            name: Name of the baseline.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 300000 ms.
        """
        return cast(
            "SecIntegrityCheckResult",
            await self._caller.call_tool(
                "sec.integrity_check",
                _given(path=path, limit=limit, name=name),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def open_ports(
        self, *, reachable_only: bool | None = None, reason: str, timeout_ms: int = 0
    ) -> SecOpenPortsResult:
        """Lists listening sockets with address, port, user and process, and whether other machines reach them.

        Args:
            reachable_only: Leave out what only this machine itself can reach.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 15000 ms.
        """
        return cast(
            "SecOpenPortsResult",
            await self._caller.call_tool(
                "sec.open_ports",
                _given(reachable_only=reachable_only),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def scan(
        self,
        *,
        checks: _List[SecCheck] | None = None,
        limit: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecScanResult:
        """Looks for weaknesses of this machine: SSH server, accounts, secrets, permissions, set-uid files, ports, kernel, umask.

        Args:
            checks: Checks to run; empty for all.
            limit: Most findings wanted, 1 to 1000; the worst come first.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 180000 ms.
        """
        return cast(
            "SecScanResult",
            await self._caller.call_tool(
                "sec.scan", _given(checks=checks, limit=limit), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self,
        *,
        step: int,
        task_id: str,
        untouched_only: bool | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> SecUndoResult:
        """Undoes a finished call: brings back the earlier baseline, or takes the new key and certificate away.

        Args:
            step: Step of the execution to undo, from 1.
            task_id: Task of the execution to undo, a UUID.
            untouched_only: Whether to undo what is still as the execution left it and to leave
                the rest, instead of refusing when somebody changed a part since.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "SecUndoResult",
            await self._caller.call_tool(
                "sec.undo",
                _given(step=step, task_id=task_id, untouched_only=untouched_only),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class ServiceTools:
    """Tools of the namespace `service`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def disable(self, *, name: str, reason: str, timeout_ms: int = 0) -> ServiceDisableResult:
        """Has a service not started at boot, unless an enabled one needs or wants it; stops nothing now.

        Args:
            name: Name of the service, that of its file without `.toml`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "ServiceDisableResult",
            await self._caller.call_tool(
                "service.disable", _given(name=name), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def enable(self, *, name: str, reason: str, timeout_ms: int = 0) -> ServiceEnableResult:
        """Has a service started at boot; starts nothing now.

        Args:
            name: Name of the service, that of its file without `.toml`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 10000 ms.
        """
        return cast(
            "ServiceEnableResult",
            await self._caller.call_tool(
                "service.enable", _given(name=name), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def list(self, *, reason: str, timeout_ms: int = 0) -> ServiceListResult:
        """Lists every service with its state and whether it is started at boot.

        Args:
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "ServiceListResult",
            await self._caller.call_tool(
                "service.list", _given(), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def logs(
        self,
        *,
        name: str,
        contains: str | None = None,
        lines: int | None = None,
        since_ms: int | None = None,
        reason: str,
        timeout_ms: int = 0,
    ) -> ServiceLogsResult:
        """Reads the last lines that a service wrote, from a time on or with a text in them.

        Args:
            name: Name of the service.
            contains: Only lines that hold this text, letter by letter.
            lines: Most lines to answer, the newest of those that fit.
            since_ms: Only lines from this time on, UTC milliseconds.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "ServiceLogsResult",
            await self._caller.call_tool(
                "service.logs",
                _given(name=name, contains=contains, lines=lines, since_ms=since_ms),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def restart(
        self, *, name: str, names: _List[str] | None = None, reason: str, timeout_ms: int = 0
    ) -> ServiceRestartResult:
        """Stops and starts a service and waits until it is up; cannot be undone when it worked before.

        Args:
            name: Name of the service, that of its file without `.toml`.
            names: Other services that may go along: what it needs is started with it, what
                needs it is stopped with it. Without their names here the call is not granted for
                them.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "ServiceRestartResult",
            await self._caller.call_tool(
                "service.restart",
                _given(name=name, names=names),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def start(
        self, *, name: str, names: _List[str] | None = None, reason: str, timeout_ms: int = 0
    ) -> ServiceStartResult:
        """Starts a service and what it needs, and waits until it is up; else takes it back and says why.

        Args:
            name: Name of the service, that of its file without `.toml`.
            names: Other services that may go along: what it needs is started with it, what
                needs it is stopped with it. Without their names here the call is not granted for
                them.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "ServiceStartResult",
            await self._caller.call_tool(
                "service.start",
                _given(name=name, names=names),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )

    async def status(self, *, name: str, reason: str, timeout_ms: int = 0) -> ServiceStatusResult:
        """Tells all about one service: state, last ends with their causes, what its files say, resources.

        Args:
            name: Name of the service, that of its file without `.toml`.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 5000 ms.
        """
        return cast(
            "ServiceStatusResult",
            await self._caller.call_tool(
                "service.status", _given(name=name), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def stop(
        self, *, name: str, names: _List[str] | None = None, reason: str, timeout_ms: int = 0
    ) -> ServiceStopResult:
        """Stops a service and what needs it; undo starts again what ran.

        Args:
            name: Name of the service, that of its file without `.toml`.
            names: Other services that may go along: what it needs is started with it, what
                needs it is stopped with it. Without their names here the call is not granted for
                them.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 60000 ms.
        """
        return cast(
            "ServiceStopResult",
            await self._caller.call_tool(
                "service.stop", _given(name=name, names=names), reason=reason, timeout_ms=timeout_ms
            ),
        )

    async def undo(
        self, *, step: int, task_id: str, reason: str, timeout_ms: int = 0
    ) -> ServiceUndoResult:
        """Undoes a finished call: what ran runs, what was enabled is; refused when somebody changed it since.

        Args:
            step: Step of the execution to undo, from 1.
            task_id: Task of the execution to undo, a UUID.
            reason: Why, one sentence; shown to the person beside the call.
            timeout_ms: Time allowed; 0 for the tool's 120000 ms.
        """
        return cast(
            "ServiceUndoResult",
            await self._caller.call_tool(
                "service.undo",
                _given(step=step, task_id=task_id),
                reason=reason,
                timeout_ms=timeout_ms,
            ),
        )


class Tools:
    """Every namespace."""

    def __init__(self, caller: Caller) -> None:
        self.firewall = FirewallTools(caller)
        self.fs = FsTools(caller)
        self.hw = HwTools(caller)
        self.monitor = MonitorTools(caller)
        self.net = NetTools(caller)
        self.os = OsTools(caller)
        self.pkg = PkgTools(caller)
        self.process = ProcessTools(caller)
        self.sec = SecTools(caller)
        self.service = ServiceTools(caller)
