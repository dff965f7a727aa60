workers = (2
