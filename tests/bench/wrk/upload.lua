-- POSTs 1 MiB a request.

dofile(os.getenv("BENCH_WRK") .. "/result.lua")

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/octet-stream"
wrk.body = string.rep("x", 1024 * 1024)
