when_ready = "no_such_module.ready"
