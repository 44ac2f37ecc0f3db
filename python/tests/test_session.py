"""The session against a real gRPC server: tasks, replay, cancellation, loss, draining, ending."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from aios_agents._proto.aios.agent.v1 import agent_pb2
from aios_agents._proto.aios.common.v1 import common_pb2
from aios_agents.sdk import CallError, Denied, Handler, Outcome, Session, TaskContext, serve
from tests.orchestrator import PATIENCE_S, Orchestrator, recorded_step


async def two_calls(task: TaskContext) -> Outcome:
    """Calls two tools, one after the other."""
    first = await task.call_tool("x.first", {"n": 1}, reason="one")
    second = await task.call_tool("x.second", {"got": first["v"]}, reason="two")
    return Outcome(output={"second": second["v"], "tainted": task.tainted}, summary="both done")


@contextlib.asynccontextmanager
async def agent(
    orchestrator: Orchestrator, skills: Mapping[str, Handler], *, max_tasks: int = 1
) -> AsyncIterator[asyncio.Event]:
    """An agent that serves `skills` until the block ends."""
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(orchestrator.address, skills, max_tasks=max_tasks, stop=stop)
    )
    try:
        await orchestrator.hello()
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(serving, PATIENCE_S)


def values(call: agent_pb2.ToolCall) -> dict[str, Any]:
    return {"v": f"{call.tool}:{call.args_json}"}


async def test_hello_declares_skills_and_capacity(orchestrator: Orchestrator) -> None:
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(orchestrator.address, {"b.y": two_calls, "a.x": two_calls}, max_tasks=3, stop=stop)
    )
    hello = await orchestrator.hello()
    assert (list(hello.skills), hello.max_tasks) == (["a.x", "b.y"], 3)
    stop.set()
    await asyncio.wait_for(serving, PATIENCE_S)


async def test_steps_are_numbered_from_one_and_results_come_back(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.answer = values
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {})
        result = await orchestrator.result()
    assert [(call.step, call.tool, call.reason) for call in orchestrator.calls] == [
        (1, "x.first", "one"),
        (2, "x.second", "two"),
    ]
    assert json.loads(result.output_json)["second"].startswith("x.second:")
    assert result.summary == "both done"


async def test_recorded_steps_are_answered_from_the_record_and_not_sent(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.answer = values
    record = recorded_step(1, "x.first", {"n": 1}, {"v": "recorded"})
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {}, recorded=(record,))
        await orchestrator.result()
    assert [(call.step, json.loads(call.args_json)) for call in orchestrator.calls] == [
        (2, {"got": "recorded"})
    ]


async def test_a_recorded_error_is_raised_again(orchestrator: Orchestrator) -> None:
    error = common_pb2.Error(code="AIOS-TOOLS-0007", message="no such file", next_step="look")
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {}, recorded=(recorded_step(1, "x.first", {"n": 1}, error),))
        result = await orchestrator.result()
    assert (result.error.code, result.error.next_step) == ("AIOS-TOOLS-0007", "look")
    assert orchestrator.calls == []


@pytest.mark.parametrize(
    "record",
    [
        recorded_step(1, "x.other", {"n": 1}, {"v": 1}),
        recorded_step(1, "x.first", {"n": 2}, {"v": 1}),
        agent_pb2.RecordedStep(step=1, kind="memory", name="x.first", args_json='{"n":1}'),
    ],
    ids=["name", "args", "kind"],
)
async def test_a_replay_that_differs_is_refused(
    orchestrator: Orchestrator, record: agent_pb2.RecordedStep
) -> None:
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {}, recorded=(record,))
        result = await orchestrator.result()
    assert result.error.code == "AIOS-AGENT-0004"
    assert orchestrator.calls == []


async def test_arguments_in_another_order_are_the_same_arguments(
    orchestrator: Orchestrator,
) -> None:
    async def one(task: TaskContext) -> Outcome:
        answer = await task.call_tool("x", {"b": 1, "a": [2]}, reason="r")
        return Outcome(output=answer, summary="")

    record = recorded_step(1, "x", {"a": [2], "b": 1}, {"v": 1})
    async with agent(orchestrator, {"s": one}):
        orchestrator.assign("s", {}, recorded=(record,))
        assert json.loads((await orchestrator.result()).output_json) == {"v": 1}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AIOS-GUARD-0101", Denied),
        ("AIOS-AUTH-0003", Denied),
        ("AIOS-ORCH-0023", Denied),
        ("AIOS-TOOLS-0007", CallError),
    ],
)
async def test_errors_of_calls_are_typed(
    orchestrator: Orchestrator, code: str, kind: type[CallError]
) -> None:
    seen: list[CallError] = []

    async def catching(task: TaskContext) -> Outcome:
        try:
            await task.call_tool("x", {}, reason="r")
        except CallError as error:
            seen.append(error)
        return Outcome(output={}, summary="caught")

    orchestrator.answer = lambda _call: common_pb2.Error(code=code, message="m", next_step="n")
    async with agent(orchestrator, {"s": catching}):
        orchestrator.assign("s", {})
        await orchestrator.result()
    assert [(type(error), error.code, error.next_step) for error in seen] == [(kind, code, "n")]


async def test_a_cancelled_task_stops_waiting_and_says_so(orchestrator: Orchestrator) -> None:
    orchestrator.answer = lambda _call: None
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {})
        await asyncio.wait_for(orchestrator.called.wait(), PATIENCE_S)
        orchestrator.send(cancel=agent_pb2.CancelTask(task_id="t1", reason="changed my mind"))
        result = await orchestrator.result()
        assert (result.error.code, result.error.message) == ("AIOS-AGENT-0006", "changed my mind")
        # The agent is free again.
        orchestrator.answer = values
        orchestrator.assign("s", {}, task_id="t2")
        assert (await orchestrator.result()).summary == "both done"


async def test_a_deadline_that_passed_ends_the_task(orchestrator: Orchestrator) -> None:
    orchestrator.answer = lambda _call: None
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {}, deadline_ms=int(time.time() * 1000) - 1)
        assert (await orchestrator.result()).error.code == "AIOS-AGENT-0005"


@pytest.mark.parametrize(
    ("skill", "task_input", "code"),
    [("unknown", {}, "AIOS-AGENT-0002"), ("s", [1], "AIOS-AGENT-0003")],
)
async def test_bad_assignments_are_answered_with_a_code(
    orchestrator: Orchestrator, skill: str, task_input: object, code: str
) -> None:
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign(skill, task_input)
        result = await orchestrator.result()
    assert result.error.code == code
    assert result.error.next_step


async def test_a_defect_in_a_skill_fails_the_task_and_not_the_agent(
    orchestrator: Orchestrator,
) -> None:
    async def broken(_task: TaskContext) -> Outcome:
        raise ZeroDivisionError("oh")

    async with agent(orchestrator, {"s": broken}):
        for number in ("t1", "t2"):
            orchestrator.assign("s", {}, task_id=number)
            result = await orchestrator.result()
            assert (result.task_id, result.error.code) == (number, "AIOS-AGENT-0001")
            assert "ZeroDivisionError" in result.error.message


async def test_more_tasks_than_declared_are_turned_away(orchestrator: Orchestrator) -> None:
    orchestrator.answer = lambda _call: None
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {}, task_id="t1")
        orchestrator.assign("s", {}, task_id="t1")  # the same one again is no second task
        orchestrator.assign("s", {}, task_id="t2")
        result = await orchestrator.result()
    assert (result.task_id, result.error.code) == ("t2", "AIOS-AGENT-0007")


async def test_a_lost_session_is_opened_again_and_the_task_goes_on_from_its_record(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.answer = lambda call: None if call.step == 2 else values(call)
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {})
        while len(orchestrator.calls) < 2:
            await asyncio.wait_for(orchestrator.called.wait(), PATIENCE_S)
            orchestrator.called.clear()
        orchestrator.hang_up()
        await orchestrator.hello()
        orchestrator.answer = values
        first = recorded_step(1, "x.first", {"n": 1}, values(orchestrator.calls[0]))
        orchestrator.assign("s", {}, recorded=(first,))
        assert (await orchestrator.result()).summary == "both done"
    assert [call.step for call in orchestrator.calls] == [1, 2, 2]
    assert orchestrator.calls[1] == orchestrator.calls[2]


async def test_draining_finishes_what_runs_and_takes_nothing_more(
    orchestrator: Orchestrator,
) -> None:
    orchestrator.answer = lambda _call: None
    session = Session(orchestrator.address, {"s": two_calls}, max_tasks=2)
    running = asyncio.create_task(session.run())
    await orchestrator.hello()
    orchestrator.assign("s", {})
    await asyncio.wait_for(orchestrator.called.wait(), PATIENCE_S)
    orchestrator.send(drain=agent_pb2.Drain(grace_ms=PATIENCE_S * 1000))
    orchestrator.assign("s", {}, task_id="t2")
    assert (await orchestrator.result()).error.code == "AIOS-AGENT-0007"
    orchestrator.answer = values
    orchestrator.send(tool_result=agent_pb2.CallResult(task_id="t1", step=1, result_json='{"v":1}'))
    assert (await orchestrator.result()).summary == "both done"
    await asyncio.wait_for(orchestrator.half_closed.wait(), PATIENCE_S)
    orchestrator.hang_up()
    await asyncio.wait_for(running, PATIENCE_S)


async def test_stopping_in_the_middle_of_a_task_ends_at_once(orchestrator: Orchestrator) -> None:
    orchestrator.answer = lambda _call: None
    async with agent(orchestrator, {"s": two_calls}) as stop:
        orchestrator.assign("s", {})
        await asyncio.wait_for(orchestrator.called.wait(), PATIENCE_S)
        stop.set()
    # No result: the task is not over, a later session goes on with it.
    assert orchestrator.results.empty()


async def test_heartbeats_come_as_often_as_wanted(orchestrator: Orchestrator) -> None:
    orchestrator.heartbeat_ms = 20
    async with agent(orchestrator, {"s": two_calls}):
        for _ in range(2):
            beat = await asyncio.wait_for(orchestrator.heartbeats.get(), PATIENCE_S)
            assert beat.active_tasks == 0


async def test_answers_that_nothing_waits_for_are_dropped(orchestrator: Orchestrator) -> None:
    orchestrator.answer = values
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.send(tool_result=agent_pb2.CallResult(task_id="t9", step=1, result_json="{}"))
        orchestrator.send(cancel=agent_pb2.CancelTask(task_id="t9", reason="x"))
        orchestrator.assign("s", {})
        assert (await orchestrator.result()).summary == "both done"


async def test_taint_of_an_answer_taints_the_task(orchestrator: Orchestrator) -> None:
    orchestrator.answer = lambda _call: None
    async with agent(orchestrator, {"s": two_calls}):
        orchestrator.assign("s", {})
        await asyncio.wait_for(orchestrator.called.wait(), PATIENCE_S)
        orchestrator.answer = values
        orchestrator.send(
            tool_result=agent_pb2.CallResult(
                task_id="t1", step=1, result_json='{"v":1}', tainted=True
            )
        )
        assert json.loads((await orchestrator.result()).output_json)["tainted"] is True
