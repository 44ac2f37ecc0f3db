"""What every agent stands on: the session, tasks with replay, typed errors and inputs."""

from aios_agents.sdk.errors import (
    AgentError,
    CallError,
    Denied,
    InputError,
    ReplayError,
    SessionLost,
)
from aios_agents.sdk.inputs import parse_input
from aios_agents.sdk.session import Handler, Session, serve
from aios_agents.sdk.task import Outcome, TaskContext

__all__ = [
    "AgentError",
    "CallError",
    "Denied",
    "Handler",
    "InputError",
    "Outcome",
    "ReplayError",
    "Session",
    "SessionLost",
    "TaskContext",
    "parse_input",
    "serve",
]
