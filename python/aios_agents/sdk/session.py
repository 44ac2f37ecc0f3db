"""The session with the orchestrator: the only thing that an agent can reach.

One bidirectional gRPC stream over the socket that the front door serves. This module keeps the
stream, runs tasks, matches answers to calls, sends heartbeats and obeys cancellation and draining.
It decides nothing, and it knows no tool.

    await serve("unix:///run/aios/door.sock", {"maintenance.free_space": free_space})
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import grpc

from aios_agents import __version__
from aios_agents._proto.aios.agent.v1 import agent_pb2, agent_pb2_grpc
from aios_agents.sdk.errors import (
    AgentError,
    BusyError,
    CancelledError,
    DeadlineError,
    SessionLost,
    UnknownSkillError,
)
from aios_agents.sdk.task import Outcome, TaskContext, to_json

Handler = Callable[[TaskContext], Awaitable[Outcome]]

DOOR = "unix:///run/aios/door.sock"
# Messages that wait to be sent; an agent that outruns the stream waits.
OUTGOING_LIMIT = 64
# Pauses between attempts to reach the orchestrator, seconds.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
CHANNEL_OPTIONS = (
    # Over a Unix socket grpcio sends the path as authority, which strict HTTP/2 servers refuse.
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
)

log = logging.getLogger(__name__)


class Session:
    """One connection: from Hello to its end."""

    def __init__(self, address: str, skills: Mapping[str, Handler], *, max_tasks: int = 1) -> None:
        self._address = address
        self._skills = skills
        self._max_tasks = max_tasks
        self._outgoing: asyncio.Queue[agent_pb2.AgentMessage | None] = asyncio.Queue(OUTGOING_LIMIT)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._withdrawn: dict[str, str] = {}
        self._waiting: dict[tuple[str, int], asyncio.Future[agent_pb2.CallResult]] = {}
        self._background: list[asyncio.Task[None]] = []
        self._draining = False
        self.welcomed = False

    async def run(self) -> None:
        """Serves tasks until the orchestrator drains the session.

        Raises:
            SessionLost: the stream ended otherwise; every task was stopped.
        """
        async with grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS) as channel:
            stub = agent_pb2_grpc.AgentSessionStub(channel)
            call = stub.Connect(self._send_all())
            try:
                await self._send(self._hello())
                async for message in call:
                    if message.WhichOneof("message") == "welcome":
                        self._welcome(message.welcome)
                    else:
                        await self._receive(message)
            except grpc.aio.AioRpcError as error:
                if not self._draining:
                    raise SessionLost(f"{error.code().name}: {error.details()}") from error
            finally:
                await self._stop_tasks()
                call.cancel()
            if not self._draining:
                raise SessionLost("the orchestrator closed the session")

    def _hello(self) -> agent_pb2.AgentMessage:
        return agent_pb2.AgentMessage(
            hello=agent_pb2.Hello(
                sdk_version=__version__, skills=sorted(self._skills), max_tasks=self._max_tasks
            )
        )

    async def _send(self, message: agent_pb2.AgentMessage) -> None:
        await self._outgoing.put(message)

    async def _send_all(self) -> AsyncIterator[agent_pb2.AgentMessage]:
        while (message := await self._outgoing.get()) is not None:
            yield message

    async def _beat(self, period_s: float) -> None:
        while True:
            await asyncio.sleep(period_s)
            await self._send(
                agent_pb2.AgentMessage(heartbeat=agent_pb2.Heartbeat(active_tasks=len(self._tasks)))
            )

    def _welcome(self, welcome: agent_pb2.Welcome) -> None:
        if self.welcomed:
            log.warning("welcomed twice")
            return
        self.welcomed = True
        log.info("welcomed", extra={"agent_id": welcome.agent_id})
        if welcome.heartbeat_ms > 0:
            beat = self._beat(welcome.heartbeat_ms / 1000)
            self._background.append(asyncio.create_task(beat, name="heartbeat"))

    async def _receive(self, message: agent_pb2.OrchestratorMessage) -> None:
        match message.WhichOneof("message"):
            case "task":
                await self._begin(message.task)
            case "cancel":
                self._cancel(message.cancel)
            case "tool_result":
                self._answer(message.tool_result)
            case "memory_result":
                self._answer(message.memory_result)
            case "think_result":
                self._answer(message.think_result)
            case "drain":
                drain = self._drain(message.drain.grace_ms / 1000)
                self._background.append(asyncio.create_task(drain, name="drain"))
            case other:
                log.warning("message not understood", extra={"field": other})

    async def _begin(self, assignment: agent_pb2.TaskAssignment) -> None:
        task_id = assignment.task_id
        if task_id in self._tasks:
            log.warning("task assigned twice; the first goes on", extra={"task_id": task_id})
            return
        if self._draining or len(self._tasks) >= self._max_tasks:
            await self._fail(task_id, BusyError(f"{len(self._tasks)} tasks are in work"))
            return
        task = asyncio.create_task(self._work(assignment), name=f"task {task_id}")
        self._tasks[task_id] = task
        task.add_done_callback(lambda _done: self._tasks.pop(task_id, None))

    def _cancel(self, cancel: agent_pb2.CancelTask) -> None:
        task = self._tasks.get(cancel.task_id)
        if task is None:
            log.info("cancelled task is not in work", extra={"task_id": cancel.task_id})
            return
        self._withdrawn[cancel.task_id] = cancel.reason
        task.cancel()

    def _answer(self, result: agent_pb2.CallResult) -> None:
        waiting = self._waiting.get((result.task_id, result.step))
        if waiting is None or waiting.done():
            log.info(
                "answer that nothing waits for",
                extra={"task_id": result.task_id, "step": result.step},
            )
            return
        waiting.set_result(result)

    async def _exchange(self, message: agent_pb2.AgentMessage, step: int) -> agent_pb2.CallResult:
        call = getattr(message, message.WhichOneof("message") or "")
        key = (str(call.task_id), step)
        waiting: asyncio.Future[agent_pb2.CallResult] = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            await self._send(message)
            return await waiting
        finally:
            del self._waiting[key]

    async def _work(self, assignment: agent_pb2.TaskAssignment) -> None:
        task_id = assignment.task_id
        try:
            outcome = await self._perform(assignment)
            await self._send(
                agent_pb2.AgentMessage(
                    task_result=agent_pb2.TaskResult(
                        task_id=task_id,
                        output_json=to_json(outcome.output),
                        summary=outcome.summary,
                    )
                )
            )
        except AgentError as error:
            await self._fail(task_id, error)
        except asyncio.CancelledError:
            reason = self._withdrawn.pop(task_id, None)
            if reason is None:
                raise  # the session ends; a later one resumes the task from its record
            await self._fail(task_id, CancelledError(reason or "cancelled"))
        except Exception as error:
            log.exception("the skill failed", extra={"task_id": task_id})
            await self._fail(task_id, AgentError(f"{type(error).__name__}: {error}"))

    async def _perform(self, assignment: agent_pb2.TaskAssignment) -> Outcome:
        handler = self._skills.get(assignment.skill)
        if handler is None:
            raise UnknownSkillError(
                f"this agent has no skill `{assignment.skill}`; it has {', '.join(self._skills)}"
            )
        context = TaskContext.from_assignment(assignment, self._exchange, self._send)
        if assignment.deadline_ms == 0:
            return await handler(context)
        left_s = assignment.deadline_ms / 1000 - time.time()
        deadline = asyncio.timeout(max(0.0, left_s))
        try:
            async with deadline:
                return await handler(context)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineError(f"the task's deadline passed in `{assignment.skill}`") from error

    async def _fail(self, task_id: str, error: AgentError) -> None:
        await self._send(
            agent_pb2.AgentMessage(
                task_result=agent_pb2.TaskResult(
                    task_id=task_id, error=error.to_proto(), summary=error.message
                )
            )
        )

    async def _drain(self, grace_s: float) -> None:
        """Takes no more tasks, waits `grace_s` for those in work, then closes our half."""
        self._draining = True
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=grace_s)
        await self._outgoing.put(None)

    async def _stop_tasks(self) -> None:
        running = [*self._tasks.values(), *self._background]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def serve(
    address: str,
    skills: Mapping[str, Handler],
    *,
    max_tasks: int = 1,
    stop: asyncio.Event | None = None,
) -> None:
    """Keeps a session with the orchestrator until SIGTERM or SIGINT comes, or `stop` is set.

    A session that was lost or drained is opened again, with growing pauses while nobody answers;
    the orchestrator then assigns unfinished tasks anew, with the steps that are recorded.
    """
    stopping = stop or asyncio.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    stopped = asyncio.create_task(stopping.wait(), name="stop")
    pause_s = FIRST_PAUSE_S
    try:
        while not stopped.done():
            session = Session(address, skills, max_tasks=max_tasks)
            running = asyncio.create_task(session.run(), name="session")
            await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                return
            try:
                await running
            except SessionLost as lost:
                log.warning("session lost", extra={"why": lost.message})
            pause_s = FIRST_PAUSE_S if session.welcomed else min(pause_s * 2, LONGEST_PAUSE_S)
            await asyncio.wait({stopped}, timeout=pause_s)
    finally:
        stopped.cancel()
