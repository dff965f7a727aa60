"""What the shop answers."""

import csv

from django.contrib.admin.views.decorators import staff_member_required
from django.http import FileResponse, Http404, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from store.basket import Basket
from store.forms import OrderForm, QuantityForm
from store.models import Line, Order, Product
from store.orders import OutOfStock, place


@require_GET
def shelf(request):
    """The front page: everything on sale."""
    return render(request, "store/shelf.html", {"products": Product.objects.all()})


@require_GET
def product(request, slug):
    """One product, with the form that puts it into the basket."""
    item = get_object_or_404(Product, slug=slug)
    return render(request, "store/product.html", {"product": item, "form": QuantityForm()})


@require_GET
def sheet(request, slug):
    """A product's data sheet, as the file that was uploaded."""
    item = get_object_or_404(Product, slug=slug)
    if not item.sheet:
        raise Http404("This product has no data sheet.")
    return FileResponse(item.sheet.open("rb"), as_attachment=True)


@require_POST
def put(request, slug):
    """Puts a product into the basket."""
    item = get_object_or_404(Product, slug=slug)
    form = QuantityForm(request.POST)
    if not form.is_valid():
        return render(request, "store/product.html", {"product": item, "form": form}, status=422)
    Basket(request.session).put(item, form.cleaned_data["quantity"])
    return redirect("basket")


@require_http_methods(["GET", "POST"])
def basket(request):
    """The basket, and the form that orders what is in it."""
    chosen = Basket(request.session)
    form = OrderForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and len(chosen) and form.is_valid():
        try:
            order = place(form.save(commit=False), chosen)
        except OutOfStock as error:
            form.add_error(None, str(error))
        else:
            chosen.clear()
            request.session["order"] = order.pk
            return redirect("thanks")
    context = {"lines": chosen.lines(), "form": form}
    status = 422 if form.errors else 200
    return render(request, "store/basket.html", context, status=status)


@require_GET
def thanks(request):
    """What the customer of this session ordered last."""
    order = get_object_or_404(Order, pk=request.session.get("order"))
    return render(request, "store/thanks.html", {"order": order})


@require_GET
def products_json(request):
    """Everything on sale, for programs."""
    fields = ["slug", "name", "price", "stock"]
    return JsonResponse({"products": list(Product.objects.values(*fields))})


class Echo:
    """A file for ``csv.writer`` that hands each row back as text."""

    def write(self, text):
        """Returns what a file would keep."""
        return text


@staff_member_required
@require_GET
def orders_csv(request):
    """Every line that was ever ordered, row by row as the database gives them."""
    writer = csv.writer(Echo())

    def rows():
        yield writer.writerow(["order", "date", "product", "quantity", "total"])
        lines = Line.objects.select_related("order", "product").order_by("pk")
        for line in lines.iterator(chunk_size=500):
            placed = line.order.placed.date()
            row = [line.order_id, placed, line.product.slug, line.quantity, line.total]
            yield writer.writerow(row)

    return StreamingHttpResponse(rows(), content_type="text/csv")
