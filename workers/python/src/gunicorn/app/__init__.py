"""Applications as gunicorn sees them: settings, and something to call."""
