check_config = True
