raw_env = ["A=1", "B"]
