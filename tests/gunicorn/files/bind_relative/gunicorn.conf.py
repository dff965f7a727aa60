bind = "unix://run/shop.sock"
umask = 0o007
