"""`python -m gunicorn`: the program."""

from gunicorn.app.wsgiapp import run

if __name__ == "__main__":
    run(prog="gunicorn")
