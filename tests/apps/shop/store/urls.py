"""Addresses of the store."""

from django.urls import path

from store import views

urlpatterns = [
    path("", views.shelf, name="shelf"),
    path("products.json", views.products_json, name="products_json"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("products/<slug:slug>/put/", views.put, name="put"),
    path("products/<slug:slug>/sheet/", views.sheet, name="sheet"),
    path("basket/", views.basket, name="basket"),
    path("thanks/", views.thanks, name="thanks"),
    path("orders.csv", views.orders_csv, name="orders_csv"),
]
