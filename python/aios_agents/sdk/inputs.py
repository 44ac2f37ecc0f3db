"""Parses a task's JSON input into a dataclass, once, at the edge.

Not a validation framework: fields are `str`, `int`, `bool`, `list[str]`, or one of these with
`| None`, which is all that skills take.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from aios_agents.sdk.errors import InputError

T = TypeVar("T")


def parse_input(into: type[T], value: Mapping[str, Any]) -> T:
    """Builds `into`, a dataclass, from a JSON object.

    Raises:
        InputError: a field is missing, unknown or of another type; it names the field.
    """
    hints = typing.get_type_hints(into)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, into))}
    for name in value:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise InputError(f"unknown input field `{name}`{hint}")
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if name not in value:
            if required:
                raise InputError(f"input field `{name}` is missing")
            continue
        if not _fits(value[name], hints[name]):
            raise InputError(
                f"input field `{name}` is {type(value[name]).__name__}, "
                f"wanted {_describe(hints[name])}"
            )
    return into(**value)


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401 - a type hint has no narrower type
    if isinstance(hint, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if hint is type(None):
        return value is None
    if typing.get_origin(hint) is list:
        (item,) = typing.get_args(hint)
        return isinstance(value, list) and all(_fits(entry, item) for entry in value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _describe(hint: Any) -> str:  # noqa: ANN401 - see above
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)
