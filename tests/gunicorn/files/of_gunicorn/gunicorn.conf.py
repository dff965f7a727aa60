import gunicorn.glogging
from gunicorn.arbiter import Arbiter
from gunicorn.config import OnStarting, Prefork
from gunicorn.workers.base import Worker

assert gunicorn.version_info and Arbiter and Worker and OnStarting and Prefork
logconfig_dict = {**gunicorn.glogging.CONFIG_DEFAULTS}
logconfig_dict["loggers"]["gunicorn.access"]["propagate"] = False
