from defaults import *
from defaults import set_defaults

set_defaults(globals())
