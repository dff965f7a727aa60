logconfig_dict = {
    "version": 1,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "/nonexistent/shop.log"}},
    "loggers": {
        "gunicorn.error": {"handlers": ["file"], "level": "INFO"},
        "gunicorn.access": {"handlers": ["missing"], "level": "INFO"},
    },
}
