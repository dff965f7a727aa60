worker_class = "shop.worker.ShopWorker"
workers = 2
raw_env = ["SHOP=1"]
