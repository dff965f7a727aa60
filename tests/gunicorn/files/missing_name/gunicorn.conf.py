worker_class: gevent
