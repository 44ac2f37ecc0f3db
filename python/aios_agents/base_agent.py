"""What every agent is: a set of skills behind one session.

class Janitor(BaseAgent):
    @skill("maintenance.free_space")
    async def free_space(self, task: TaskContext) -> Outcome: ...

if __name__ == "__main__":
    main(Janitor())
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from aios_agents.sdk import Handler, serve
from aios_agents.sdk.session import DOOR

F = TypeVar("F", bound=Callable[..., Any])
_SKILL = "_aios_skill"
# Fields of a log record that are the logging module's own.
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "taskName"}


def skill(name: str) -> Callable[[F], F]:
    """Declares a method as a skill, `maintenance.free_space`."""

    def mark(method: F) -> F:
        setattr(method, _SKILL, name)
        return method

    return mark


class BaseAgent:
    """An agent. Subclasses hold decisions only."""

    # Most tasks at once.
    max_tasks: ClassVar[int] = 1

    def skills(self) -> dict[str, Handler]:
        """The declared skills by name."""
        found: dict[str, Handler] = {}
        for attribute in dir(type(self)):
            name = getattr(getattr(type(self), attribute), _SKILL, None)
            if name is not None:
                found[name] = getattr(self, attribute)
        return found

    async def run(self, address: str = DOOR, *, stop: asyncio.Event | None = None) -> None:
        """Serves tasks until the container is asked to end."""
        await serve(address, self.skills(), max_tasks=self.max_tasks, stop=stop)


class JsonLines(logging.Formatter):
    """One JSON object a line, as every service of aiOS logs."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line: dict[str, Any] = {
            "level": record.levelname,
            "target": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN_FIELDS}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main(agent: BaseAgent) -> None:
    """Runs an agent as the process of its container."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=os.environ.get("AIOS_LOG", "INFO").upper(), handlers=[handler])
    asyncio.run(agent.run())
