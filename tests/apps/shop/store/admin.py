"""The store behind the counter."""

from django.contrib import admin

from store.models import Line, Order, Product

admin.site.site_header = "Narwhal Stationers"
admin.site.site_title = "Narwhal Stationers"


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products, with the shelf's numbers to be changed in the list."""

    list_display = ["name", "price", "stock"]
    list_editable = ["price", "stock"]
    search_fields = ["name", "description"]
    prepopulated_fields = {"slug": ["name"]}


class LineInline(admin.TabularInline):
    """The lines of an order: a record, not to be changed."""

    model = Line
    extra = 0
    readonly_fields = ["product", "quantity", "price"]
    can_delete = False


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, newest first."""

    list_display = ["__str__", "email", "placed", "total"]
    date_hierarchy = "placed"
    inlines = [LineInline]
