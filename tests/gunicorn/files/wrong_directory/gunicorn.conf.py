chdir = "/no/such/directory"
