"""Loggers that send figures too."""
