"""The store's entry in Django's registry."""

from django.apps import AppConfig


class StoreConfig(AppConfig):
    """What is sold, and what was ordered."""

    name = "store"
    verbose_name = "Store"
