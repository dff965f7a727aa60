import json
import os
import sys

print(json.dumps({"name": __name__, "file": os.path.basename(__file__), "is": __name__ in sys.modules}))
print("preload" if "--preload" in sys.argv else "no preload", sys.argv[1:], sys.stdin.isatty())
print(os.path.samefile(sys.path[0] or ".", os.getcwd()), file=sys.stderr)
preload_app = "--preload" in sys.argv
