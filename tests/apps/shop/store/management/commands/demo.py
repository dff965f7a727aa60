"""``manage.py demo``: fills an empty store and makes a user for the admin."""

import secrets
from decimal import Decimal
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from store.models import Product

PRODUCTS = [
    ("Pocket notebook", "4.50", 120, "48 dotted pages that survive a back pocket."),
    ("Logbook", "18.00", 40, "Numbered pages, sewn, opens flat. For those who write it down."),
    ("Sketch pad", "9.90", 60, "Heavy paper, torn off cleanly."),
    ("Graph paper", "6.20", 80, "Five millimetres to the square, printed in pale blue."),
    ("Drawing pencil", "1.80", 400, "HB, cedar, no eraser: be sure of yourself."),
    ("Fountain pen", "32.00", 15, "Steel nib, fine. Filled from a bottle."),
    ("Bottle of ink", "11.00", 50, "Blue-black, 50 ml. Dries darker than it writes."),
]


class Command(BaseCommand):
    """Safe to run again: only what is missing is added."""

    help = "Fill an empty store, and make the user 'admin' for the admin pages."

    def handle(self, *args, **options):
        if not Product.objects.exists():
            Product.objects.bulk_create(map(product, PRODUCTS))
        password = admin_password(settings.DATA_DIR / "admin-password")
        self.stdout.write(f"The admin pages at /admin/ know: admin, password {password}")


def product(row) -> Product:
    """A product from a row of ``PRODUCTS``."""
    name, price, stock, description = row
    slug = name.lower().replace(" ", "-")
    price = Decimal(price)
    return Product(name=name, slug=slug, price=price, stock=stock, description=description)


def admin_password(path: Path) -> str:
    """The password of the user ``admin``, who is made if there is none.

    It is kept in a file beside the database, which only a demo may do.
    """
    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        password = secrets.token_urlsafe(9)
        users.create_superuser("admin", "admin@localhost", password)
        path.touch(mode=0o600)
        path.write_text(password)
    return path.read_text() if path.exists() else "(as it was set)"
