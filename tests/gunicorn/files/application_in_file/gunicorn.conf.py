wsgi_app = "application:create_app('shop')"
workers = 2
