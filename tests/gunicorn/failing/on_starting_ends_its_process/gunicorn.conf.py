import os


def on_starting(server):
    os._exit(6)
