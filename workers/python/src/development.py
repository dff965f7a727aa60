"""What a developer's machine has, and a production server has not: the setting `development`."""

import os
import sys
import time
from importlib import util

# The time for which an application has served before it is examined: the requests that come right
# after a reload are not delayed.
PAUSE = 1


# The files of variables that `flask run` reads. A variable that is set keeps its value.
VARIABLES = (".env", ".flaskenv")


def prepare():
    """What `flask run --debug` does before it loads the application, if Flask is installed: it
    reads the files of variables, and sets FLASK_DEBUG. Without the debug mode Flask responds to an
    exception by itself, and no traceback can be shown."""
    if util.find_spec("flask") is None:
        return
    files = [name for name in VARIABLES if os.path.isfile(name)]
    # Django reads none, nor does its runserver.
    if files and not os.path.exists("manage.py") and util.find_spec("dotenv") is not None:
        from dotenv import load_dotenv

        for name in files:
            load_dotenv(os.path.abspath(name))
    os.environ.setdefault("FLASK_DEBUG", "1")


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


def examine(project, report):
    """Reports what `manage.py runserver` does about a Django project: its system checks, and
    migrations that are not applied. Each text is one line."""
    if project.find_project() is None or not sys.modules["django.apps"].apps.ready:
        return
    import threading

    def report_all():
        time.sleep(PAUSE)
        for text in [*project.check_messages(False), *migration_messages(project)]:
            report(text)

    threading.Thread(target=report_all, name="monoceros-checks", daemon=True).start()


def migration_messages(project):
    from django.db import DEFAULT_DB_ALIAS, connections
    from django.db.migrations.executor import MigrationExecutor

    if DEFAULT_DB_ALIAS not in project.find_project().get("DATABASES", ()):
        return []
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Exception as error:
        return [project.one_line("django: cannot look for migrations: %s" % error)]
    finally:
        # Those of this thread.
        connections.close_all()
    apps = ", ".join(sorted({migration.app_label for migration, _ in plan}))
    if not plan:
        return []
    return [
        "django: migrations that are not applied: %d, of %s; run manage.py migrate"
        % (len(plan), apps)
    ]
