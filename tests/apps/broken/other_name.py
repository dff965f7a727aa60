"""Has a function that makes the application, under one of the usual names."""


def create_app():
    return lambda environ, start_response: []
