"""Options that several commands share, as a dataclass that a command takes as one parameter.

A field `text: Annotated[str, typer.Option(help="…")] = ""` of such a parameter becomes the option
`--text`. Fields are keywords, so they stand behind what the command takes by position.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_type_hints


def spread_out(command: Callable[..., None]) -> Callable[..., None]:
    """The command with each parameter that is a dataclass replaced by the dataclass's fields."""
    hints = get_type_hints(command, include_extras=True)
    plain: list[inspect.Parameter] = []
    bundles: dict[str, type] = {}
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if isinstance(kind, type) and is_dataclass(kind):
            bundles[parameter.name] = kind
            own = get_type_hints(kind, include_extras=True)
            plain += [_parameter(one, own[one.name]) for one in fields(kind)]
        else:
            plain.append(parameter.replace(annotation=kind))

    def called(*given: Any, **named: Any) -> None:  # noqa: ANN401 - what the parser makes of words
        made = {
            name: kind(**{one.name: named.pop(one.name) for one in fields(kind)})
            for name, kind in bundles.items()
        }
        command(*given, **made, **named)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {one.name: one.annotation for one in plain}
    setattr(called, "__signature__", inspect.Signature(plain))  # noqa: B010 - no type knows of it
    return called


def _parameter(one: Field[Any], annotation: object) -> inspect.Parameter:
    default = inspect.Parameter.empty
    if one.default is not MISSING:
        default = one.default
    elif one.default_factory is not MISSING:
        default = one.default_factory()
    return inspect.Parameter(
        one.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )
