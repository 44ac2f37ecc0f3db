from aios_agents._proto.aios.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AgentMessage(_message.Message):
    __slots__ = ("hello", "tool_call", "memory_call", "think_call", "progress", "task_result", "heartbeat")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    MEMORY_CALL_FIELD_NUMBER: _ClassVar[int]
    THINK_CALL_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TASK_RESULT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    tool_call: ToolCall
    memory_call: MemoryCall
    think_call: ThinkCall
    progress: Progress
    task_result: TaskResult
    heartbeat: Heartbeat
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., tool_call: _Optional[_Union[ToolCall, _Mapping]] = ..., memory_call: _Optional[_Union[MemoryCall, _Mapping]] = ..., think_call: _Optional[_Union[ThinkCall, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., task_result: _Optional[_Union[TaskResult, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class OrchestratorMessage(_message.Message):
    __slots__ = ("welcome", "task", "cancel", "tool_result", "memory_result", "think_result", "drain")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_RESULT_FIELD_NUMBER: _ClassVar[int]
    THINK_RESULT_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    task: TaskAssignment
    cancel: CancelTask
    tool_result: CallResult
    memory_result: CallResult
    think_result: CallResult
    drain: Drain
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., task: _Optional[_Union[TaskAssignment, _Mapping]] = ..., cancel: _Optional[_Union[CancelTask, _Mapping]] = ..., tool_result: _Optional[_Union[CallResult, _Mapping]] = ..., memory_result: _Optional[_Union[CallResult, _Mapping]] = ..., think_result: _Optional[_Union[CallResult, _Mapping]] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("sdk_version", "skills", "max_tasks")
    SDK_VERSION_FIELD_NUMBER: _ClassVar[int]
    SKILLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    sdk_version: str
    skills: _containers.RepeatedScalarFieldContainer[str]
    max_tasks: int
    def __init__(self, sdk_version: _Optional[str] = ..., skills: _Optional[_Iterable[str]] = ..., max_tasks: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("agent_id", "heartbeat_ms")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_MS_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    heartbeat_ms: int
    def __init__(self, agent_id: _Optional[str] = ..., heartbeat_ms: _Optional[int] = ...) -> None: ...

class TaskAssignment(_message.Message):
    __slots__ = ("task_id", "goal_id", "skill", "input_json", "recorded", "deadline_ms", "tainted")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    GOAL_ID_FIELD_NUMBER: _ClassVar[int]
    SKILL_FIELD_NUMBER: _ClassVar[int]
    INPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_MS_FIELD_NUMBER: _ClassVar[int]
    TAINTED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    goal_id: str
    skill: str
    input_json: str
    recorded: _containers.RepeatedCompositeFieldContainer[RecordedStep]
    deadline_ms: int
    tainted: bool
    def __init__(self, task_id: _Optional[str] = ..., goal_id: _Optional[str] = ..., skill: _Optional[str] = ..., input_json: _Optional[str] = ..., recorded: _Optional[_Iterable[_Union[RecordedStep, _Mapping]]] = ..., deadline_ms: _Optional[int] = ..., tainted: _Optional[bool] = ...) -> None: ...

class RecordedStep(_message.Message):
    __slots__ = ("step", "kind", "name", "args_json", "result")
    STEP_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    step: int
    kind: str
    name: str
    args_json: str
    result: CallResult
    def __init__(self, step: _Optional[int] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., args_json: _Optional[str] = ..., result: _Optional[_Union[CallResult, _Mapping]] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("task_id", "step", "tool", "args_json", "timeout_ms", "dry_run", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step: int
    tool: str
    args_json: str
    timeout_ms: int
    dry_run: bool
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., step: _Optional[int] = ..., tool: _Optional[str] = ..., args_json: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., dry_run: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class MemoryCall(_message.Message):
    __slots__ = ("task_id", "step", "verb", "args_json")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGS_JSON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step: int
    verb: str
    args_json: str
    def __init__(self, task_id: _Optional[str] = ..., step: _Optional[int] = ..., verb: _Optional[str] = ..., args_json: _Optional[str] = ...) -> None: ...

class ThinkCall(_message.Message):
    __slots__ = ("task_id", "step", "prompt", "schema_json", "max_tokens")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_JSON_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step: int
    prompt: str
    schema_json: str
    max_tokens: int
    def __init__(self, task_id: _Optional[str] = ..., step: _Optional[int] = ..., prompt: _Optional[str] = ..., schema_json: _Optional[str] = ..., max_tokens: _Optional[int] = ...) -> None: ...

class CallResult(_message.Message):
    __slots__ = ("task_id", "step", "result_json", "error", "tainted")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TAINTED_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    step: int
    result_json: str
    error: _common_pb2.Error
    tainted: bool
    def __init__(self, task_id: _Optional[str] = ..., step: _Optional[int] = ..., result_json: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., tainted: _Optional[bool] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("task_id", "message", "percent")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    message: str
    percent: int
    def __init__(self, task_id: _Optional[str] = ..., message: _Optional[str] = ..., percent: _Optional[int] = ...) -> None: ...

class TaskResult(_message.Message):
    __slots__ = ("task_id", "output_json", "error", "summary")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    output_json: str
    error: _common_pb2.Error
    summary: str
    def __init__(self, task_id: _Optional[str] = ..., output_json: _Optional[str] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., summary: _Optional[str] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("active_tasks",)
    ACTIVE_TASKS_FIELD_NUMBER: _ClassVar[int]
    active_tasks: int
    def __init__(self, active_tasks: _Optional[int] = ...) -> None: ...

class CancelTask(_message.Message):
    __slots__ = ("task_id", "reason")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    reason: str
    def __init__(self, task_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("grace_ms",)
    GRACE_MS_FIELD_NUMBER: _ClassVar[int]
    grace_ms: int
    def __init__(self, grace_ms: _Optional[int] = ...) -> None: ...
