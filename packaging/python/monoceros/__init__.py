"""Monoceros, an application server. `python -m monoceros` runs it.

It is a program, not a library: applications import nothing from here. In a worker the name
`monoceros` is that of another module, with functions for applications.
"""
