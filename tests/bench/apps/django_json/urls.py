"""One route to one view."""

from django.http import HttpRequest, JsonResponse
from django.urls import path


def items(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"items": [{"id": number, "name": f"item {number}"} for number in range(10)]})


urlpatterns = [path("", items)]
