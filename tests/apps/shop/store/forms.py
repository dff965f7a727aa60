"""What customers fill in."""

from django import forms
from django.core.exceptions import ValidationError

from store.models import Order

ARTWORK_LIMIT = 5 * 1024 * 1024


class QuantityForm(forms.Form):
    """How many of one product."""

    quantity = forms.IntegerField(min_value=0, max_value=99, initial=1)


class OrderForm(forms.ModelForm):
    """Who orders, and what to print."""

    class Meta:
        model = Order
        fields = ["name", "email", "artwork"]

    def clean_artwork(self):
        """Refuses files that no printing press could want."""
        artwork = self.cleaned_data["artwork"]
        if artwork and artwork.size > ARTWORK_LIMIT:
            raise ValidationError("The file is larger than 5 MiB.")
        return artwork
