"""One task: its numbered steps, their replay after a restart, and the calls that they make.

Every call is a step, numbered from 1 in the order in which the agent makes it. A step that an
earlier run recorded is answered from the record and never sent again, so an agent's code must make
the same calls in the same order from the same input: decide by results, not by clock or chance.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aios_agents._proto.aios.agent.v1 import agent_pb2
from aios_agents.sdk.errors import AgentError, InputError, ReplayError, call_error
from aios_agents.tools import Tools

Exchange = Callable[[agent_pb2.AgentMessage, int], Awaitable[agent_pb2.CallResult]]
Send = Callable[[agent_pb2.AgentMessage], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """How a task ended well.

    Attributes:
        output: JSON object for the orchestrator.
        summary: One sentence for a person.
    """

    output: Mapping[str, Any]
    summary: str


@dataclass
class TaskContext:
    """What a skill's code works with.

    Attributes:
        task_id: UUID of the task.
        goal_id: UUID of the goal.
        skill: Skill wanted, `maintenance.free_space`.
        input: The task's JSON object.
        deadline_ms: When it must be over, UTC milliseconds; 0 for no limit.
        tainted: True when untrusted text shaped the input, or an answer so far.
    """

    task_id: str
    goal_id: str
    skill: str
    input: Mapping[str, Any]
    deadline_ms: int
    tainted: bool
    _recorded: dict[int, agent_pb2.RecordedStep] = field(repr=False)
    _exchange: Exchange = field(repr=False)
    _send: Send = field(repr=False)
    _last_step: int = 0

    @classmethod
    def from_assignment(
        cls, assignment: agent_pb2.TaskAssignment, exchange: Exchange, send: Send
    ) -> TaskContext:
        """Reads an assignment.

        Raises:
            InputError: the input is not a JSON object.
        """
        return cls(
            task_id=assignment.task_id,
            goal_id=assignment.goal_id,
            skill=assignment.skill,
            input=_json_object(assignment.input_json),
            deadline_ms=assignment.deadline_ms,
            tainted=assignment.tainted,
            _recorded={step.step: step for step in assignment.recorded},
            _exchange=exchange,
            _send=send,
        )

    @property
    def tools(self) -> Tools:
        """The tools, one typed method each."""
        return Tools(self)

    async def call_tool(
        self,
        tool: str,
        args: Mapping[str, Any],
        *,
        reason: str,
        timeout_ms: int = 0,
        dry_run: bool = False,
    ) -> Any:  # noqa: ANN401 - JSON; the generated methods narrow it
        """Calls a tool and returns its JSON result; waits as long as an approval takes.

        Raises:
            Denied: a policy, a person or a check refused.
            CallError: the tool failed; nothing is half done.
            ReplayError: an earlier run of the task made another call at this step.
        """
        args_json = to_json(args)
        return await self._step(
            "tool",
            tool,
            args_json,
            lambda step: agent_pb2.AgentMessage(
                tool_call=agent_pb2.ToolCall(
                    task_id=self.task_id,
                    step=step,
                    tool=tool,
                    args_json=args_json,
                    timeout_ms=timeout_ms,
                    dry_run=dry_run,
                    reason=reason,
                )
            ),
        )

    async def memory(self, verb: str, args: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Asks memory: `recall` or `note`."""
        args_json = to_json(args)
        return await self._step(
            "memory",
            verb,
            args_json,
            lambda step: agent_pb2.AgentMessage(
                memory_call=agent_pb2.MemoryCall(
                    task_id=self.task_id, step=step, verb=verb, args_json=args_json
                )
            ),
        )

    async def think(
        self, prompt: str, *, schema: Mapping[str, Any] | None = None, max_tokens: int = 256
    ) -> Any:  # noqa: ANN401 - JSON
        """Asks a model; with a JSON Schema the answer has that shape."""
        schema_json = to_json(schema) if schema is not None else ""
        recorded_args = {"max_tokens": max_tokens, "prompt": prompt, "schema_json": schema_json}
        return await self._step(
            "think",
            "",
            to_json(recorded_args),
            lambda step: agent_pb2.AgentMessage(
                think_call=agent_pb2.ThinkCall(
                    task_id=self.task_id,
                    step=step,
                    prompt=prompt,
                    schema_json=schema_json,
                    max_tokens=max_tokens,
                )
            ),
        )

    async def progress(self, message: str, percent: int) -> None:
        """Says how far the task is: one sentence, 0 to 100."""
        await self._send(
            agent_pb2.AgentMessage(
                progress=agent_pb2.Progress(
                    task_id=self.task_id, message=message, percent=max(0, min(100, percent))
                )
            )
        )

    async def _step(
        self,
        kind: str,
        name: str,
        args_json: str,
        message: Callable[[int], agent_pb2.AgentMessage],
    ) -> Any:  # noqa: ANN401 - JSON
        # Numbered before the first await, so that calls made together keep the order of the code.
        self._last_step += 1
        step = self._last_step
        recorded = self._recorded.get(step)
        if recorded is None:
            result = await self._exchange(message(step), step)
        else:
            _check_replay(recorded, step, kind, name, args_json)
            result = recorded.result
        self.tainted = self.tainted or result.tainted
        match result.WhichOneof("result"):
            case "result_json":
                return json.loads(result.result_json)
            case "error":
                raise call_error(result.error)
            case _:
                raise AgentError(f"step {step} of task {self.task_id} was answered with nothing")


def _check_replay(
    recorded: agent_pb2.RecordedStep, step: int, kind: str, name: str, args_json: str
) -> None:
    same = (
        recorded.kind == kind
        and recorded.name == name
        and json.loads(recorded.args_json or "null") == json.loads(args_json)
    )
    if not same:
        raise ReplayError(
            f"step {step} was recorded as {recorded.kind} {recorded.name} {recorded.args_json}, "
            f"and is now {kind} {name} {args_json}"
        )


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise InputError(f"the task's input is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"the task's input is {type(value).__name__}, wanted an object")
    return value


def to_json(value: object) -> str:
    """Compact JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
