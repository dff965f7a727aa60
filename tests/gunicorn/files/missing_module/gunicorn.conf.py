from no_such_module import settings

workers = settings.WORKERS
