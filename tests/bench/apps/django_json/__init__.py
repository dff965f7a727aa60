"""The smallest Django project that is still a project: settings, one route, one view."""
