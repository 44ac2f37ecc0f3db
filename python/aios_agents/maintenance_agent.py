"""Keeps a machine tidy. One skill so far: freeing space by deleting old files of one pattern."""

from __future__ import annotations

from dataclasses import dataclass

from aios_agents.base_agent import BaseAgent, main, skill
from aios_agents.sdk import CallError, Outcome, TaskContext, parse_input
from aios_agents.tools import FsDeleteResult, FsDiskUsageResult, FsSearchResult

# The most that fs.delete takes in one call: all are deleted, or none.
MOST_FILES = 10_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class FreeSpace:
    """Input of `maintenance.free_space`.

    Attributes:
        root: Directory, with everything below it.
        name_glob: Pattern of file names, `*.log`.
        older_than_ms: Only files that were last changed longer ago.
        keep_newest: How many of the newest that match the pattern stay, whatever their age.
    """

    root: str
    name_glob: str = "*"
    older_than_ms: int | None = None
    keep_newest: int | None = None


class MaintenanceAgent(BaseAgent):
    """The maintenance agent."""

    @skill("maintenance.free_space")
    async def free_space(self, task: TaskContext) -> Outcome:
        """Deletes what matches in one call, so that it is one decision and one undo."""
        wanted = parse_input(FreeSpace, task.input)
        fs = task.tools.fs
        before = await fs.disk_usage(path=wanted.root, reason="how much space is taken before")
        found = await fs.search(
            root=wanted.root,
            name_glob=wanted.name_glob,
            older_than_ms=wanted.older_than_ms,
            keep_newest=wanted.keep_newest,
            limit=MOST_FILES,
            reason=f"find {describe(wanted)}",
        )
        if not found["files"]:
            return nothing_to_do(wanted, before, found)
        count = len(found["files"])
        await task.progress(f"{files(count)} to delete, {size(found['total_bytes'])}", 40)
        try:
            deleted = await fs.delete(
                paths=[file["path"] for file in found["files"]],
                reason=f"they are {describe(wanted)}; {size(found['total_bytes'])} in all",
            )
        except CallError as error:
            # Deletion is all or nothing; code and next step stay those of who refused or failed.
            raise type(error)(
                f"nothing was deleted: {error.message}", code=error.code, next_step=error.next_step
            ) from error
        await task.progress(f"{files(deleted['files'])} deleted", 80)
        after = await usage_after(task, wanted)
        return freed(wanted, before, after, found, deleted)


async def usage_after(task: TaskContext, wanted: FreeSpace) -> FsDiskUsageResult | None:
    """How much is taken now; not knowing it is no failure, the files are gone already."""
    try:
        return await task.tools.fs.disk_usage(
            path=wanted.root, reason="how much space is taken after"
        )
    except CallError as error:
        await task.progress(f"the space taken afterwards is not known: {error.message}", 90)
        return None


def nothing_to_do(wanted: FreeSpace, before: FsDiskUsageResult, found: FsSearchResult) -> Outcome:
    """The outcome when nothing matches."""
    summary = f"Nothing to do: no {describe(wanted)} under {wanted.root}."
    if found["kept"]:
        summary += f" {files(found['kept'])} kept as the newest."
    return Outcome(
        output={
            "changed": False,
            "deleted": [],
            "files": 0,
            "bytes_freed": 0,
            "kept": found["kept"],
            "matched": found["matched"],
            "used_before_bytes": before["bytes"],
            "used_after_bytes": before["bytes"],
        },
        summary=summary,
    )


def freed(
    wanted: FreeSpace,
    before: FsDiskUsageResult,
    after: FsDiskUsageResult | None,
    found: FsSearchResult,
    deleted: FsDeleteResult,
) -> Outcome:
    """The outcome after a deletion."""
    summary = (
        f"Deleted {files(deleted['files'])} under {wanted.root} and freed "
        f"{size(deleted['bytes_freed'])}."
    )
    if found["kept"]:
        summary += f" {files(found['kept'])} kept as the newest."
    if found["truncated"]:
        summary += f" There are more: state the goal again for the next {MOST_FILES}."
    return Outcome(
        output={
            "changed": True,
            "deleted": deleted["deleted"],
            "files": deleted["files"],
            "bytes_freed": deleted["bytes_freed"],
            "kept": found["kept"],
            "matched": found["matched"],
            "more": found["truncated"],
            "used_before_bytes": before["bytes"],
            "used_after_bytes": None if after is None else after["bytes"],
        },
        summary=summary,
    )


def describe(wanted: FreeSpace) -> str:
    """What is looked for, in words."""
    words = f"files {wanted.name_glob}"
    if wanted.older_than_ms is not None:
        words += f" older than {age(wanted.older_than_ms)}"
    if wanted.keep_newest:
        words += f", without the newest {wanted.keep_newest}"
    return words


def age(ms: int) -> str:
    """A duration in the largest unit that divides it."""
    for name, unit in (("day", DAY_MS), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}{'' if ms == unit else 's'}"
    return f"{ms} ms"


def size(count: int) -> str:
    """Bytes for a person."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{count} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{count} bytes"


def files(count: int) -> str:
    """A count of files."""
    return f"{count} file{'' if count == 1 else 's'}"


if __name__ == "__main__":
    main(MaintenanceAgent())
