"""Options as the native module takes them: JSON with the names of ``famlens choices``."""

from __future__ import annotations

import json
from typing import Any, Mapping

FINER = {"flip", "shifts", "scales"}
METHOD = {"seed", "channels", "masks", "grid", "keep", "window", "stride"}


def camel(name: str) -> str:
    """``weight_norm`` as ``weightNorm``."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def as_json(options: Mapping[str, Any]) -> str:
    """The options as JSON; unknown ones are refused by the native module, by name.

    >>> as_json({"weight_norm": "sum", "flip": True, "against": "tabby", "masks": 50})
    '{"weightNorm": "sum", "finer": {"flip": true}, "against": {"logit": "tabby"}, "methodOptions": {"masks": 50}}'
    """
    fields: dict[str, Any] = {}
    for name, value in options.items():
        if value is None:
            continue
        if name in FINER:
            fields.setdefault("finer", {})[name] = value
        elif name in METHOD:
            fields.setdefault("methodOptions", {})[name] = value
        elif name == "against" and not isinstance(value, Mapping):
            fields["against"] = {"logit": value}
        else:
            fields[camel(name)] = value
    return json.dumps(fields)
