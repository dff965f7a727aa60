user = "no-such-user"
