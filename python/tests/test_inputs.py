"""Inputs of skills are parsed once, and errors name the field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from aios_agents.sdk import InputError, parse_input


@dataclass(frozen=True)
class Sample:
    root: str
    count: int = 1
    limit: int | None = None
    names: list[str] = field(default_factory=list)
    deep: bool = False


def test_defaults_fill_what_is_not_given() -> None:
    assert parse_input(Sample, {"root": "/x"}) == Sample(root="/x")


def test_every_kind_of_field_is_taken() -> None:
    given: dict[str, Any] = {"root": "/", "count": 2, "limit": None, "names": ["a"], "deep": True}
    assert parse_input(Sample, given) == Sample("/", 2, None, ["a"], deep=True)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "`root` is missing"),
        ({"root": 1}, "`root` is int, wanted str"),
        ({"root": "/", "count": True}, "`count` is bool, wanted int"),
        ({"root": "/", "count": 1.5}, "`count` is float"),
        ({"root": "/", "limit": "3"}, "`limit` is str"),
        ({"root": "/", "names": [1]}, "`names` is list"),
        ({"root": "/", "cuont": 1}, "did you mean `count`?"),
    ],
)
def test_errors_name_the_field(given: dict[str, Any], wanted: str) -> None:
    with pytest.raises(InputError, match=wanted.replace("?", r"\?")):
        parse_input(Sample, given)
