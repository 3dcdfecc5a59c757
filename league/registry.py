"""A user's own task or script by dotted path: "package.module:name", imported with every failure
told in one line."""

import importlib
from typing import Any

from league.errors import Foreign, UserError


def find(path: str, what: str) -> Any:
    """The object that `path` names; `what` is the config's word for it. Raises UserError for a path
    of another shape and for a module that cannot be imported, whatever it raises."""
    module, _, name = path.partition(":")
    if not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
        raise UserError(f"{what} '{path}': expected 'package.module:name'")
    with Foreign(f"{what} '{path}' cannot be imported"):
        return getattr(importlib.import_module(module), name)
