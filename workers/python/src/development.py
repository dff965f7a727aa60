"""What a developer's machine has, and a production server has not: the setting `development`."""

import sys


def with_static_files(project, application):
    """The application of a Django project in debug mode, with the static files of its apps."""
    found = project.find_project()
    if found is None or not found.debug:
        return application
    apps = sys.modules["django.apps"].apps
    if not apps.ready or not apps.is_installed("django.contrib.staticfiles"):
        return application
    from django.contrib.staticfiles.handlers import StaticFilesHandler

    return StaticFilesHandler(application)
