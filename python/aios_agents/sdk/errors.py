"""Errors with a stable code and a next step, as every part of aiOS reports them."""

from __future__ import annotations

from aios_agents._proto.aios.common.v1 import common_pb2

# Codes of a refusal, as opposed to a failure: the call was understood and is not allowed.
DENIAL_PREFIXES = ("AIOS-GUARD-", "AIOS-AUTH-", "AIOS-POLICY-")
# The orchestrator's word for a person who said no, or nobody who answered in time.
NOT_APPROVED = "AIOS-ORCH-0023"


class AgentError(Exception):
    """Something failed; `code` is stable, `next_step` says what the reader can do."""

    code = "AIOS-AGENT-0001"
    next_step = "read the agent's log: aiosctl agent logs ID"

    def __init__(
        self, message: str, *, code: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if next_step is not None:
            self.next_step = next_step

    def to_proto(self) -> common_pb2.Error:
        """The error as it travels in the session."""
        return common_pb2.Error(code=self.code, message=self.message, next_step=self.next_step)


class UnknownSkillError(AgentError):
    """The task asks for a skill that this agent did not declare."""

    code = "AIOS-AGENT-0002"
    next_step = "route the task to an agent that declares the skill"


class InputError(AgentError):
    """The task's input does not fit its skill."""

    code = "AIOS-AGENT-0003"
    next_step = "correct the input; the skill's documentation names its fields"


class ReplayError(AgentError):
    """A restarted task took another way than its record: going on could double an effect."""

    code = "AIOS-AGENT-0004"
    next_step = "cancel the task and state the goal again"


class DeadlineError(AgentError):
    """The task's time is over."""

    code = "AIOS-AGENT-0005"
    next_step = "state the goal again with more time, or for less work"


class CancelledError(AgentError):
    """The orchestrator withdrew the task."""

    code = "AIOS-AGENT-0006"
    next_step = "nothing: the task was cancelled on request"


class BusyError(AgentError):
    """More tasks were sent than the agent said it takes."""

    code = "AIOS-AGENT-0007"
    next_step = "send the task again when another one has ended"


class SessionLost(AgentError):  # noqa: N818 - the name says what happened
    """The session ended without a request to drain."""

    code = "AIOS-AGENT-0008"
    next_step = "see whether the orchestrator runs: aiosctl status"


class CallError(AgentError):
    """A tool, memory or model call failed; code and next step come from who answered."""


class Denied(CallError):  # noqa: N818 - the name says what happened
    """A call was refused."""


def call_error(error: common_pb2.Error) -> CallError:
    """The typed error of a call that did not succeed."""
    denied = error.code.startswith(DENIAL_PREFIXES) or error.code == NOT_APPROVED
    kind = Denied if denied else CallError
    return kind(
        error.message or "the call failed without a message",
        code=error.code or AgentError.code,
        next_step=error.next_step or AgentError.next_step,
    )
