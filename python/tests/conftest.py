"""Shared fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.orchestrator import Orchestrator


@pytest.fixture
async def orchestrator(tmp_path: Path) -> AsyncIterator[Orchestrator]:
    """An orchestrator that speaks the protocol over a Unix socket of its own."""
    double = Orchestrator(tmp_path / "door.sock")
    await double.start()
    yield double
    await double.stop()
