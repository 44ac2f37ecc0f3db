"""Committed generated code equals what the generators make today."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from generate import proto, tools


def test_session_stubs_are_made_from_the_protos_of_today(tmp_path: Path) -> None:
    proto.generate(tmp_path)
    made = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.py*")}
    committed = {
        path.relative_to(proto.TARGET): path.read_text()
        for path in proto.TARGET.rglob("*.py*")
        if path.suffix in {".py", ".pyi"}
    }
    assert made == committed, "run `python -m generate.proto` in python/"


def registry_program() -> Path | None:
    """The built `aios-tools`, which prints the registry."""
    checkout = Path(__file__).parents[2]
    target = os.environ.get("CARGO_TARGET_DIR", checkout / "target")
    places = [os.environ.get("AIOS_TOOLS"), checkout / target / "release/aios-tools"]
    found = [Path(place) for place in places if place is not None and Path(place).is_file()]
    return found[0] if found else None


def test_tool_methods_are_made_from_the_registry_of_today() -> None:
    program = registry_program()
    if program is None:
        pytest.skip("aios-tools is not built; `make test` builds it")
    printed = subprocess.run(  # noqa: S603 - our own program
        [program, "--print-registry"], capture_output=True, check=True
    )
    made = tools.generate(json.loads(printed.stdout))
    assert made == tools.TARGET.read_text(), (
        "run `aios-tools --print-registry | python -m generate.tools` in python/"
    )


def test_two_tools_cannot_mean_different_things_by_one_name() -> None:
    def tool(name: str, kind: str) -> dict[str, object]:
        shared = {"X": {"type": "object", "properties": {"a": {"type": kind}}}}
        return {
            "name": name,
            "summary": "s",
            "timeout_ms": 1,
            "input_schema": {"type": "object", "properties": {}},
            "output_schema": {"type": "object", "properties": {}, "$defs": shared},
        }

    with pytest.raises(SystemExit, match="FsX"):
        tools.generate([tool("fs.a", "string"), tool("fs.b", "integer")])


def test_an_argument_cannot_take_the_name_of_what_belongs_to_the_call() -> None:
    registry = [
        {
            "name": "fs.a",
            "summary": "s",
            "timeout_ms": 1,
            "input_schema": {"type": "object", "properties": {"reason": {"type": "string"}}},
            "output_schema": {"type": "object"},
        }
    ]
    with pytest.raises(SystemExit, match="reason"):
        tools.generate(registry)
