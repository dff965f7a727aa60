strip_header_spaces = True
casefold_http_method = True
loglevel = "DEBUG"
