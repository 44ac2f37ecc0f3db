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


class Tools:
    """Every namespace."""

    def __init__(self, caller: Caller) -> None:
        self.fs = FsTools(caller)
