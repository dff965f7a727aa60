with open("no-such.env") as lines:
    raw_env = lines.read().split()
