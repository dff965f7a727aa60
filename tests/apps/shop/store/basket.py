"""The basket: product numbers and quantities in the customer's session."""

from store.models import Line, Product


class Basket:
    """What one customer has chosen so far."""

    def __init__(self, session):
        self._session = session
        self._quantities = session.get("basket", {})

    def __len__(self) -> int:
        return sum(self._quantities.values())

    def put(self, product: Product, quantity: int) -> None:
        """Sets the quantity of ``product``; 0 takes it out."""
        # Sessions are stored as JSON, whose keys are strings.
        key = str(product.pk)
        self._quantities.pop(key, None)
        if quantity:
            self._quantities[key] = quantity
        self._session["basket"] = self._quantities

    def lines(self) -> list[Line]:
        """The basket as lines of an order that does not exist yet."""
        products = Product.objects.in_bulk([int(key) for key in self._quantities])
        return [
            Line(product=product, quantity=self._quantities[str(pk)], price=product.price)
            for pk, product in products.items()
        ]

    def clear(self) -> None:
        """Takes everything out."""
        self._session.pop("basket", None)
        self._quantities = {}


def in_templates(request) -> dict:
    """Context processor: every page shows how full the basket is."""
    return {"basket_size": len(Basket(request.session))}
