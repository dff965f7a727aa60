"""What is sold, and what was ordered."""

from django.core.validators import FileExtensionValidator, MinValueValidator
from django.db import models
from django.urls import reverse


class Product(models.Model):
    """Something on the shelf."""

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    price = models.DecimalField(
        max_digits=8, decimal_places=2, validators=[MinValueValidator(0)]
    )
    stock = models.PositiveIntegerField(default=0)
    sheet = models.FileField(
        "data sheet",
        upload_to="sheets",
        blank=True,
        validators=[FileExtensionValidator(["pdf", "txt"])],
        help_text="A PDF or text file that customers can download.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.slug])


class Order(models.Model):
    """What one customer bought at one time."""

    name = models.CharField(max_length=80)
    email = models.EmailField()
    artwork = models.FileField(
        upload_to="artwork",
        blank=True,
        help_text="What to print on the covers, if anything.",
    )
    placed = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-placed"]

    def __str__(self) -> str:
        return f"Order {self.pk} of {self.name}"

    @property
    def total(self):
        """The sum of all lines."""
        return sum(line.total for line in self.lines.all())


class Line(models.Model):
    """One product in an order, at the price of that day."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT)
    quantity = models.PositiveIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"

    @property
    def total(self):
        """Price times quantity."""
        return self.quantity * self.price
