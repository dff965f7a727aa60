config = {"workers": 3}
workers = config["workers"]
