"""The maintenance agent over a real session, with a double of the fs tools behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from aios_agents._proto.aios.agent.v1 import agent_pb2
from aios_agents._proto.aios.common.v1 import common_pb2
from aios_agents.maintenance_agent import DAY_MS, MaintenanceAgent, age, size
from tests.orchestrator import PATIENCE_S, Orchestrator

SKILL = "maintenance.free_space"
WANTED = {"root": "/srv/x", "name_glob": "*.log", "older_than_ms": 7 * DAY_MS, "keep_newest": 3}


class Files:
    """What the fs tools would answer for a directory with these old files."""

    def __init__(self, sizes: Mapping[str, int], *, truncated: bool = False) -> None:
        self.sizes = dict(sizes)
        self.truncated = truncated
        self.denied: common_pb2.Error | None = None

    def __call__(self, call: agent_pb2.ToolCall) -> Mapping[str, Any] | common_pb2.Error:
        args = json.loads(call.args_json)
        match call.tool:
            case "fs.disk_usage":
                return {"path": args["path"], "bytes": sum(self.sizes.values()), "files": 5}
            case "fs.search":
                found = [
                    {"path": path, "kind": "file", "size": count, "mtime_ms": 0}
                    for path, count in self.sizes.items()
                ]
                return {
                    "files": found,
                    "total_bytes": sum(self.sizes.values()),
                    "matched": len(found) + 3,
                    "kept": 3,
                    "truncated": self.truncated,
                }
            case "fs.delete":
                if self.denied is not None:
                    return self.denied
                freed = sum(self.sizes.pop(path) for path in args["paths"])
                return {
                    "deleted": sorted(args["paths"]),
                    "files": len(args["paths"]),
                    "bytes_freed": freed,
                }
            case other:
                raise AssertionError(other)


async def perform(
    orchestrator: Orchestrator, files: Files, task_input: object = WANTED
) -> agent_pb2.TaskResult:
    orchestrator.answer = files
    stop = asyncio.Event()
    running = asyncio.create_task(MaintenanceAgent().run(orchestrator.address, stop=stop))
    hello = await orchestrator.hello()
    assert list(hello.skills) == [SKILL]
    orchestrator.assign(SKILL, task_input)
    result = await orchestrator.result()
    stop.set()
    await asyncio.wait_for(running, PATIENCE_S)
    return result


def tools_called(orchestrator: Orchestrator) -> list[str]:
    return [call.tool for call in orchestrator.calls]


async def test_old_files_are_deleted_in_one_call_with_a_reason(orchestrator: Orchestrator) -> None:
    result = await perform(orchestrator, Files({"/srv/x/b.log": 2048, "/srv/x/a.log": 1024}))
    assert tools_called(orchestrator) == [
        "fs.disk_usage",
        "fs.search",
        "fs.delete",
        "fs.disk_usage",
    ]
    search = json.loads(orchestrator.calls[1].args_json)
    assert {key: search[key] for key in WANTED} == WANTED
    assert "*.log older than 7 days, without the newest 3" in orchestrator.calls[2].reason
    output = json.loads(result.output_json)
    assert output["deleted"] == ["/srv/x/a.log", "/srv/x/b.log"]
    assert (output["files"], output["bytes_freed"], output["changed"]) == (2, 3072, True)
    assert (output["used_before_bytes"], output["used_after_bytes"]) == (3072, 0)
    assert result.summary == (
        "Deleted 2 files under /srv/x and freed 3.0 KiB. 3 files kept as the newest."
    )


async def test_nothing_to_do_is_said_and_nothing_is_called(orchestrator: Orchestrator) -> None:
    result = await perform(orchestrator, Files({}))
    assert tools_called(orchestrator) == ["fs.disk_usage", "fs.search"]
    assert json.loads(result.output_json)["changed"] is False
    assert result.summary.startswith("Nothing to do: no files *.log older than 7 days")


async def test_a_denial_is_reported_with_its_own_code_and_next_step(
    orchestrator: Orchestrator,
) -> None:
    files = Files({"/srv/x/a.log": 1})
    files.denied = common_pb2.Error(
        code="AIOS-GUARD-0101", message="the policy says no", next_step="ask for less"
    )
    result = await perform(orchestrator, files)
    assert (result.error.code, result.error.next_step) == ("AIOS-GUARD-0101", "ask for less")
    assert result.summary == "nothing was deleted: the policy says no"


async def test_more_than_one_call_takes_is_said(orchestrator: Orchestrator) -> None:
    result = await perform(orchestrator, Files({"/srv/x/a.log": 1}, truncated=True))
    assert json.loads(result.output_json)["more"] is True
    assert "There are more" in result.summary


async def test_a_bad_input_calls_nothing(orchestrator: Orchestrator) -> None:
    result = await perform(orchestrator, Files({}), {"root": "/srv/x", "older_than": 5})
    assert result.error.code == "AIOS-AGENT-0003"
    assert "did you mean `older_than_ms`?" in result.error.message
    assert orchestrator.calls == []


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (DAY_MS, "1 day"),
        (7 * DAY_MS, "7 days"),
        (3_600_000, "1 hour"),
        (1500, "1500 ms"),
        (0, "0 ms"),
    ],
)
def test_ages_are_said_in_the_largest_unit_that_fits(ms: int, words: str) -> None:
    assert age(ms) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (5 << 30, "5.0 GiB"),
        (2 << 40, "2048.0 GiB"),
    ],
)
def test_sizes_are_said_for_people(count: int, words: str) -> None:
    assert size(count) == words
