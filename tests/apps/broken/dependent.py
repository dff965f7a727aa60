"""Imports a module that does not exist."""

import no_such_module_at_all  # noqa: F401
