# The demonstration shop, as an image that starts from the server's: an example.
#   docker build -t shop -f packaging/container/shop.Dockerfile tests/apps/shop

FROM monoceros
USER root
COPY requirements.txt requirements-postgresql.txt ./
RUN pip install --no-cache-dir -r requirements.txt -r requirements-postgresql.txt
COPY . .
# What the shop writes: uploads, its secret key and, without PostgreSQL, its database.
RUN install --directory --owner=10001 --group=10001 /data
ENV SHOP_DATA=/data \
    MONOCEROS_WORKERS=auto \
    MONOCEROS_ACCESS_LOGFILE=-
VOLUME /data
USER 10001:10001
CMD ["monoceros", "config.wsgi"]
