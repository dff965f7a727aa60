workers = 3
accesslog = "-"
