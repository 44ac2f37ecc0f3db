"""A double of the orchestrator: a real gRPC server on a Unix socket that speaks the session.

It answers tool calls by a function, and keeps what the agent said for the test to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc

from aios_agents._proto.aios.agent.v1 import agent_pb2, agent_pb2_grpc
from aios_agents._proto.aios.common.v1 import common_pb2

PATIENCE_S = 10
Answer = Callable[[agent_pb2.ToolCall], Mapping[str, Any] | common_pb2.Error | None]


class Orchestrator(agent_pb2_grpc.AgentSessionServicer):
    """One agent's other side."""

    def __init__(self, socket: Path) -> None:
        self.address = f"unix://{socket}"
        self.calls: list[agent_pb2.ToolCall] = []
        self.answer: Answer = lambda _call: {}
        self.hellos: asyncio.Queue[agent_pb2.Hello] = asyncio.Queue()
        self.results: asyncio.Queue[agent_pb2.TaskResult] = asyncio.Queue()
        self.progress: list[agent_pb2.Progress] = []
        self.heartbeats: asyncio.Queue[agent_pb2.Heartbeat] = asyncio.Queue()
        self.called = asyncio.Event()
        self.heartbeat_ms = 0
        self.half_closed = asyncio.Event()
        self._outgoing: asyncio.Queue[agent_pb2.OrchestratorMessage | None] = asyncio.Queue()
        self._server = grpc.aio.server()
        agent_pb2_grpc.add_AgentSessionServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        self._outgoing.put_nowait(None)
        await self._server.stop(grace=0)

    async def Connect(  # noqa: N802 - the name is gRPC's
        self, request_iterator: AsyncIterator[agent_pb2.AgentMessage], _context: object
    ) -> AsyncIterator[agent_pb2.OrchestratorMessage]:
        self._outgoing = asyncio.Queue()
        listening = asyncio.create_task(self._listen(request_iterator))
        try:
            while (message := await self._outgoing.get()) is not None:
                yield message
        finally:
            listening.cancel()

    def send(self, **message: Any) -> None:  # noqa: ANN401 - one field of the message
        self._outgoing.put_nowait(agent_pb2.OrchestratorMessage(**message))

    def hang_up(self) -> None:
        self._outgoing.put_nowait(None)

    def assign(
        self,
        skill: str,
        task_input: object,
        *,
        task_id: str = "t1",
        recorded: tuple[agent_pb2.RecordedStep, ...] = (),
        deadline_ms: int = 0,
    ) -> None:
        self.send(
            task=agent_pb2.TaskAssignment(
                task_id=task_id,
                goal_id="g1",
                skill=skill,
                input_json=json.dumps(task_input),
                recorded=recorded,
                deadline_ms=deadline_ms,
            )
        )

    async def hello(self) -> agent_pb2.Hello:
        return await asyncio.wait_for(self.hellos.get(), PATIENCE_S)

    async def result(self) -> agent_pb2.TaskResult:
        return await asyncio.wait_for(self.results.get(), PATIENCE_S)

    async def _listen(self, messages: AsyncIterator[agent_pb2.AgentMessage]) -> None:
        with contextlib.suppress(grpc.aio.UsageError):
            async for message in messages:
                self._hear(message)
        self.half_closed.set()

    def _hear(self, message: agent_pb2.AgentMessage) -> None:
        match message.WhichOneof("message"):
            case "hello":
                self.hellos.put_nowait(message.hello)
                self.send(welcome=agent_pb2.Welcome(agent_id="a1", heartbeat_ms=self.heartbeat_ms))
            case "tool_call":
                self.calls.append(message.tool_call)
                self.called.set()
                answer = self.answer(message.tool_call)
                if answer is not None:
                    self.send(tool_result=call_result(message.tool_call, answer))
            case "progress":
                self.progress.append(message.progress)
            case "task_result":
                self.results.put_nowait(message.task_result)
            case "heartbeat":
                self.heartbeats.put_nowait(message.heartbeat)
            case other:
                raise AssertionError(f"the agent sent {other}")


def call_result(
    call: agent_pb2.ToolCall, answer: Mapping[str, Any] | common_pb2.Error
) -> agent_pb2.CallResult:
    if isinstance(answer, common_pb2.Error):
        return agent_pb2.CallResult(task_id=call.task_id, step=call.step, error=answer)
    return agent_pb2.CallResult(
        task_id=call.task_id, step=call.step, result_json=json.dumps(answer)
    )


def recorded_step(
    step: int, name: str, args: Mapping[str, Any], result: Mapping[str, Any] | common_pb2.Error
) -> agent_pb2.RecordedStep:
    call = agent_pb2.ToolCall(task_id="t1", step=step)
    return agent_pb2.RecordedStep(
        step=step,
        kind="tool",
        name=name,
        args_json=json.dumps(args),
        result=call_result(call, result),
    )
