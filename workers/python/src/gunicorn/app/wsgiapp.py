"""The application that a command line names."""

import os
import sys

from gunicorn import _server, util
from gunicorn.app.base import Application, give_up
from gunicorn.errors import ConfigError


class WSGIApplication(Application):
    """An application by its name, from the command line or the setting `wsgi_app`."""

    app_uri = None

    def init(self, parser, opts, args):
        if opts.paste:
            self.use_paste_file(os.path.abspath(opts.paste))
        elif args:
            self.cfg.set("default_proc_name", args[0])
            self.app_uri = args[0]

    def use_paste_file(self, uri):
        file = uri.partition("#")[0]
        if not os.path.exists(file):
            raise ConfigError("%r not found" % file)
        self.cfg.set("default_proc_name", file)
        self.app_uri = uri

    def load_config(self):
        super().load_config()
        self.app_uri = self.app_uri or self.cfg.wsgi_app
        if self.app_uri is None:
            raise ConfigError("No application module specified.")

    def load_wsgiapp(self):
        return util.import_app(self.app_uri)

    def load_pasteapp(self):
        from paste.deploy import loadapp

        return loadapp("config:" + self.app_uri, global_conf=self.cfg.paste_global_conf)

    def load(self):
        return self.load_wsgiapp() if self.cfg.paste is None else self.load_pasteapp()


def run(prog=None):
    """Serves the application that the command line names."""
    try:
        _server.become(sys.argv[1:])
    except RuntimeError as error:
        give_up("\nError: %s\n" % error)


if __name__ == "__main__":
    run()
