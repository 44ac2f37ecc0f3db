"""Generates `aios_agents/_proto` from `proto/`: the messages and the client of the agent session.

The result is committed, so that an agent image needs no generator; `tests/test_generated.py`
fails when it is stale. Run it from `python/`: `python -m generate.proto [OUTPUT_DIR]`.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "python" / "aios_agents" / "_proto"
# What an agent may speak: its session, and the messages that this one uses.
PROTOS = ("aios/common/v1/common.proto", "aios/agent/v1/agent.proto")
# protoc writes absolute imports of `aios`, which would claim that name for the whole interpreter.
ABSOLUTE_IMPORT = re.compile(r"^(from|import) aios\.", re.MULTILINE)


def generate(target: Path) -> None:
    """Writes the generated modules below `target`, replacing files of the same name."""
    with tempfile.TemporaryDirectory() as scratch:
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={ROOT / 'proto'}",
                f"--python_out={scratch}",
                f"--pyi_out={scratch}",
                f"--grpc_python_out={scratch}",
                *PROTOS,
            ]
        )
        if code != 0:
            raise SystemExit(f"protoc ended with {code}; its message is above")
        for made in sorted(Path(scratch).rglob("*.py*")):
            relative = made.relative_to(scratch)
            if relative.name == "common_pb2_grpc.py":
                continue  # common.proto has no service
            text = ABSOLUTE_IMPORT.sub(r"\1 aios_agents._proto.aios.", made.read_text())
            destination = target / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            destination.write_text(text)
    for folder in [target, *(entry for entry in target.rglob("*") if entry.is_dir())]:
        if folder.name != "__pycache__":
            (folder / "__init__.py").write_text('"""Generated from `proto/`; do not edit."""\n')


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
