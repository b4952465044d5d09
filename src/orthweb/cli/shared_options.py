"""Gives several commands the same options, without writing them into each."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

Command = Callable[..., None]


def takes(**makers: Callable[..., Any]) -> Callable[[Command], Command]:
    """Put the parameters of functions in the places of a command's parameters, which get what the functions return.

    Typer reads a command's options off its signature; this one is put together from all. The command has to be called
    by keywords.
    """

    def decorate(command: Command) -> Command:
        # What is replaced is no option, so nothing has to know its type.
        hints = _hints(command, makers)
        parameters: list[inspect.Parameter] = []
        owned: dict[str, set[str]] = {}
        for name, parameter in inspect.signature(command).parameters.items():
            if name not in makers:
                parameters.append(parameter)
                continue
            made_from = inspect.signature(makers[name]).parameters
            hints |= _hints(makers[name], ["return"])
            owned[name] = set(made_from)
            parameters += made_from.values()
        typed = [parameter.replace(annotation=hints[parameter.name]) for parameter in parameters]
        signature = inspect.Signature(typed, return_annotation=None)

        @functools.wraps(command)
        def called(**given: Any) -> None:
            bound = signature.bind(**given)
            bound.apply_defaults()
            words = dict(bound.arguments)
            for name, own in owned.items():
                words[name] = makers[name](**{key: words.pop(key) for key in own})
            command(**words)

        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
        del called.__wrapped__
        return called

    return decorate


def _hints(function: Callable[..., Any], unknown: Iterable[str]) -> dict[str, Any]:
    """The types of a function's parameters, but for those that are only imported for the type checker."""
    names = {str(function.__annotations__.get(name)): Any for name in unknown}
    return get_type_hints(function, localns=names, include_extras=True)
