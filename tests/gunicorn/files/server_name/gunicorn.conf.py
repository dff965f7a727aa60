import gunicorn

gunicorn.SERVER = "Shop"
gunicorn.SERVER_SOFTWARE = "Shop"
workers = 1
