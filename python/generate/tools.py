"""Generates `aios_agents/tools.py` from the tool registry: one typed method a tool.

The registry's JSON Schemas come from the Rust types that the tools use, so the two sides cannot
drift; `tests/test_generated.py` fails when the file is stale. Run it from `python/`:

    aios-tools --print-registry | python -m generate.tools
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[1] / "aios_agents" / "tools.py"
WIDTH = 100
SCALARS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "object": "Mapping[str, Any]",
}
# What belongs to the call and not to the tool.
RESERVED = ("reason", "timeout_ms", "self")

HEADER = '''"""The tools, one typed method each. Generated from the tool registry; do not edit.

A method sends its arguments as the task's next step and returns the tool's result, which the tool
service has checked against the tool's schema. Results are tainted when the tool says so: text in
them may inform a decision, and never grants anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, Protocol, TypedDict, cast

# A class with a method `list` has no other `list` within.
_List = list


class Caller(Protocol):
    """What carries a call: a task."""

    async def call_tool(
        self, tool: str, args: Mapping[str, Any], *, reason: str, timeout_ms: int = 0
    ) -> Any:  # noqa: ANN401 - JSON; the methods below narrow it
        """Sends the call and returns its JSON result."""


def _given(**args: object) -> dict[str, Any]:
    return {name: value for name, value in args.items() if value is not None}
'''


@dataclass
class Module:
    """The generated module so far."""

    types: dict[str, str] = field(default_factory=dict)
    methods: dict[str, list[str]] = field(default_factory=dict)

    def declare(self, name: str, text: str) -> None:
        """Adds a type; the same name must mean the same everywhere."""
        if self.types.setdefault(name, text) != text:
            raise SystemExit(f"two tools mean different things by `{name}`")

    def text(self) -> str:
        """The whole module."""
        parts = [HEADER, *self.types.values()]
        for namespace, methods in sorted(self.methods.items()):
            head = (
                f"class {_pascal(namespace)}Tools:\n"
                f'    """Tools of the namespace `{namespace}`."""\n\n'
                "    def __init__(self, caller: Caller) -> None:\n"
                "        self._caller = caller\n"
            )
            parts.append("\n".join([head, *methods]))
        tools = ['class Tools:\n    """Every namespace."""\n']
        tools.append("    def __init__(self, caller: Caller) -> None:")
        tools.extend(
            f"        self.{namespace} = {_pascal(namespace)}Tools(caller)"
            for namespace in sorted(self.methods)
        )
        parts.append("\n".join(tools) + "\n")
        return "\n\n".join(parts)


def generate(registry: Iterable[Mapping[str, Any]]) -> str:
    """The module's text, formatted by ruff."""
    module = Module()
    for tool in sorted(registry, key=lambda tool: str(tool["name"])):
        namespace, verb = tool["name"].split(".", 1)
        output, defs = tool["output_schema"], tool["output_schema"].get("$defs", {})
        _declare_all(module, namespace, defs)
        result = f"{_pascal(namespace)}{_pascal(verb)}Result"
        module.declare(result, _typed_dict(result, output, namespace))
        _declare_all(module, namespace, tool["input_schema"].get("$defs", {}))
        module.methods.setdefault(namespace, []).append(_method(tool, namespace, verb, result))
    return _formatted(module.text())


def _declare_all(module: Module, namespace: str, defs: Mapping[str, Mapping[str, Any]]) -> None:
    # A definition may use another one; annotations are lazy, so the order does not matter to
    # Python, except for literals, which are values.
    for name, schema in sorted(defs.items(), key=lambda item: not _is_enum(item[1])):
        full = _named(namespace, name)
        if _is_enum(schema):
            doc = "".join(f"# {line}\n" for line in _wrapped(schema.get("description", ""), 2))
            module.declare(full, f"{doc}{full} = {_literal(schema)}\n")
        else:
            module.declare(full, _typed_dict(full, schema, namespace))


def _method(tool: Mapping[str, Any], namespace: str, verb: str, result: str) -> str:
    schema = tool["input_schema"]
    required = set(schema.get("required", ()))
    properties: Mapping[str, Any] = schema.get("properties", {})
    clash = [name for name in properties if name in RESERVED]
    if clash:
        raise SystemExit(f"{tool['name']} has an argument `{clash[0]}`, which belongs to the call")
    names = sorted(
        properties, key=lambda name: (name not in required, list(properties).index(name))
    )
    parameters = []
    for name in names:
        kind = _type(properties[name], namespace)
        if name in required:
            parameters.append(f"{name}: {kind}")
        else:
            kind = kind if kind.endswith("None") else f"{kind} | None"
            parameters.append(f"{name}: {kind} = None")
    arguments = ", ".join(f"{name}={name}" for name in names)
    return "\n".join(
        [
            f"    async def {verb}(",
            f"        self, *, {', '.join([*parameters, 'reason: str', 'timeout_ms: int = 0'])}",
            f"    ) -> {result}:",
            _method_doc(tool, names, properties),
            "        return cast(",
            f"            {result!r},",
            f"            await self._caller.call_tool({tool['name']!r}, _given({arguments}),",
            "                reason=reason, timeout_ms=timeout_ms),",
            "        )",
            "",
        ]
    )


def _method_doc(tool: Mapping[str, Any], names: list[str], properties: Mapping[str, Any]) -> str:
    lines = [f'        """{tool["summary"].rstrip(".")}.', "", "        Args:"]
    docs = [(name, _description(properties[name])) for name in names]
    docs.append(("reason", "Why, one sentence; shown to the person beside the call."))
    docs.append(("timeout_ms", f"Time allowed; 0 for the tool's {tool['timeout_ms']} ms."))
    for name, doc in docs:
        first, *rest = _wrapped(f"{name}: {doc}", 12) or [f"{name}:"]
        lines.append(f"            {first}")
        lines.extend(f"                {line}" for line in rest)
    return "\n".join([*lines, '        """'])


def _typed_dict(name: str, schema: Mapping[str, Any], namespace: str) -> str:
    required = set(schema.get("required", ()))
    doc = schema.get("description", name).splitlines()[0]
    lines = [f"class {name}(TypedDict):", f'    """{doc}"""', ""]
    for key, value in schema.get("properties", {}).items():
        lines.extend(f"    # {line}" for line in _wrapped(_description(value), 6))
        kind = _type(value, namespace)
        lines.append(f"    {key}: {kind if key in required else f'NotRequired[{kind}]'}")
    return "\n".join(lines) + "\n"


def _type(schema: Any, namespace: str) -> str:  # noqa: ANN401 - a JSON Schema
    if not isinstance(schema, dict):
        return "Any"
    if "$ref" in schema:
        return _named(namespace, schema["$ref"].rsplit("/", 1)[1])
    if _is_enum(schema):
        return _literal(schema)
    for joint in ("anyOf", "oneOf"):
        if joint in schema:
            return " | ".join(dict.fromkeys(_type(option, namespace) for option in schema[joint]))
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds:
        return "Any"
    return " | ".join(
        f"_List[{_type(schema.get('items', True), namespace)}]"
        if kind == "array"
        else SCALARS[kind]
        for kind in kinds
    )


def _is_enum(schema: Mapping[str, Any]) -> bool:
    options = schema.get("oneOf")
    return "enum" in schema or (
        isinstance(options, list) and all("const" in option for option in options)
    )


def _literal(schema: Mapping[str, Any]) -> str:
    values = schema.get("enum") or [option["const"] for option in schema["oneOf"]]
    return f"Literal[{', '.join(json.dumps(value) for value in values)}]"


def _description(schema: Any) -> str:  # noqa: ANN401 - a JSON Schema
    text = schema.get("description", "") if isinstance(schema, dict) else ""
    return " ".join(text.split())


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, WIDTH - indent - 4)


def _named(namespace: str, name: str) -> str:
    return f"{_pascal(namespace)}{name}"


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "tools.py", "-"]
    done = subprocess.run(  # noqa: S603 - a fixed command
        command, input=text, capture_output=True, text=True, check=True, cwd=TARGET.parents[1]
    )
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(generate(json.load(sys.stdin)))
