import gunicorn
from gunicorn.config import Config

workers = 2 if hasattr(gunicorn, "version_info") and Config else 9
