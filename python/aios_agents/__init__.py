"""The agents of aiOS.

An agent is a process in a container of its own, without network, that decides; it holds no power.
It receives tasks over one session with the orchestrator and asks for tools in it. The plumbing is
in `aios_agents.sdk`; an agent's module holds its decisions only.
"""

__version__ = "0.1.0"
