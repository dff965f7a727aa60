from record import note


def imported(server, worker):
    note("imported", worker, name=type(server).__name__ != "")
