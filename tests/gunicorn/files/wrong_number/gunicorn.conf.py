workers = None
