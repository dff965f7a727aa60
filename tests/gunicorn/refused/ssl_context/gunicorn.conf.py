workers = 3


def ssl_context(config, default_ssl_context_factory):
    return default_ssl_context_factory()
