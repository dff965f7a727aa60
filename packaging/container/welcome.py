"""What the image serves until it is told what to serve. Needs nothing."""

PAGE = b"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Monoceros</title>
<style>body { font: 1.1rem/1.6 sans-serif; margin: 10vh auto; max-width: 36rem; padding: 0 1rem }
pre { background: #eee; overflow: auto; padding: 1rem }</style>
<h1>Monoceros serves</h1>
<p>This is the image itself, without an application. Yours goes on top:</p>
<pre>FROM monoceros
USER root
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
USER 10001:10001
CMD ["monoceros", "shop.wsgi"]</pre>
</html>
"""


def application(environ, start_response):
    """The page, at every path."""
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))]
    start_response("200 OK", headers)
    return [PAGE]
