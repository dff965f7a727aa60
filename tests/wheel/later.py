"""Makes of the wheel that is named first, in the directory that is named second,
the wheel of a version that is later than any; prints its path."""

import os
import sys
import zipfile

old, directory = sys.argv[1:]
name, version, tags = os.path.basename(old).split("-", 2)
later = "999"
new = os.path.join(directory, f"{name}-{later}-{tags}")
with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
    for entry in source.infolist():
        content = source.read(entry)
        entry.filename = entry.filename.replace(f"{name}-{version}.", f"{name}-{later}.")
        if entry.filename.endswith(".dist-info/METADATA"):
            content = content.replace(f"\nVersion: {version}\n".encode(), f"\nVersion: {later}\n".encode())
        if entry.filename.endswith(".dist-info/RECORD"):
            # Without checksums, which an installer need not have.
            files = [line.split(",")[0].replace(f"{name}-{version}.", f"{name}-{later}.") for line in content.decode().splitlines()]
            content = "".join(f"{file},,\n" for file in files).encode()
        target.writestr(entry, content)
print(new)
