"""Monoceros, an application server. `python -m monoceros` runs it.

It is a program, not a library: applications import nothing from here.
"""
