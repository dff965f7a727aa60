"""A Django project in one file, which counts with django_prometheus."""

import os
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)


def hello(request):
    return HttpResponse("hello")


def place(request):
    """Where this process counts."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    files = sorted(os.listdir(directory)) if directory else []
    return JsonResponse({"directory": directory, "files": files, "pid": os.getpid()})


def error(request):
    raise ValueError("an error of the application")


def stuck(request):
    time.sleep(600)


application = get_wsgi_application()

urlpatterns = [
    path("", hello),
    path("place", place),
    path("error", error),
    path("stuck", stuck),
    path("", include("django_prometheus.urls")),
]
