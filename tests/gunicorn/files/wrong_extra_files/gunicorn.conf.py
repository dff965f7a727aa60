reload_extra_files = ["/no/such/file"]
