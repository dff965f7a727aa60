"""Placing an order."""

from django.db import transaction
from django.db.models import F

from store.basket import Basket
from store.models import Line, Order, Product


class OutOfStock(Exception):
    """There are fewer of ``product`` than the basket asks for."""

    def __init__(self, product: Product):
        super().__init__(f"There is not enough of {product} in stock.")


@transaction.atomic
def place(order: Order, basket: Basket) -> Order:
    """Saves ``order`` with the basket's lines and takes them off the shelf.

    All or nothing: ``OutOfStock`` leaves the store as it was.
    """
    order.save()
    for line in basket.lines():
        # One statement compares and subtracts, so that two customers cannot
        # both buy the last one.
        taken = Product.objects.filter(
            pk=line.product.pk, stock__gte=line.quantity
        ).update(stock=F("stock") - line.quantity)
        if not taken:
            raise OutOfStock(line.product)
        line.order = order
        line.save()
    return order
