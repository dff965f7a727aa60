"""Writes the package's copyright file: standard input, which is about Monoceros
itself, and what is to be said about each crate that is linked into what is shipped.

Runs in the tree that is built, with the crates in `vendor`. A crate whose licence or
copyright is not clear ends the build: somebody has to look.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

SHIPPED = ["monoceros", "monoceros-python"]

# One of each crate's licences has to be among these, which are told in full below.
KNOWN = ["MIT", "Apache-2.0"]

MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this
software and associated documentation files (the "Software"), to deal in the Software
without restriction, including without limitation the rights to use, copy, modify,
merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
permit persons to whom the Software is furnished to do so, subject to the following
conditions:

The above copyright notice and this permission notice shall be included in all copies
or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED,
INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR
PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT
OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR
OTHER DEALINGS IN THE SOFTWARE."""

APACHE = """\
On Debian systems the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0."""

# Part of every program in Rust, and not among the crates.
STANDARD_LIBRARY = ("std", ["The Rust Project contributors"], ["MIT", "Apache-2.0"])

# Of what was translated to Rust the authors before.
TRANSLATED = {"unsafe-libyaml": ["2006-2016 Kirill Simonov", "2017-2020 Ingy döt Net"]}


def main():
    crates = sorted(map(about, linked())) + [STANDARD_LIBRARY]
    sys.stdout.write(sys.stdin.read())
    for name, holders, licences in crates:
        print(f"\nFiles: vendor/{name}/*")
        print("Copyright: " + "\n ".join(holders))
        print("License: " + " or ".join(licences))
    for licence, text in zip(KNOWN, [MIT, APACHE]):
        print(f"\nLicense: {licence}")
        print("\n".join(f" {line or '.'}" for line in text.splitlines()))


def cargo(*arguments):
    command = ["cargo", *arguments, "--frozen"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked():
    """The packages of others that are linked, as `cargo metadata` describes them."""
    # Neither what only builds nor macros, which run at compile time.
    tree = ["tree", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}"]
    lines = cargo(*tree, *(f"--package={name}" for name in SHIPPED)).splitlines()
    wanted = {tuple(line.split()[:2]) for line in lines if line}
    packages = json.loads(cargo("metadata", "--format-version=1"))["packages"]
    found = [it for it in packages if (it["name"], "v" + it["version"]) in wanted]
    assert len(found) == len(wanted), f"{len(wanted) - len(found)} crates were not found"
    return [it for it in found if it["source"]]


def about(package):
    """Its directory, who has the copyright, and the licences to choose from."""
    name = package["name"]
    licences = re.split(r"\s+OR\s+|/", package["license"] or "")
    licences = [licence for licence in KNOWN if licence in licences]
    assert licences, f"{name} is licensed as {package['license']}, which is neither of {KNOWN}"
    directory = Path(package["manifest_path"]).parent
    notices = []
    for path in sorted(directory.glob("*")):
        if re.match(r"(?i)(licen[cs]e|copying|copyright|notice)", path.name) and path.is_file():
            notices += holders(path.read_text())
    notices += TRANSLATED.get(name, [])
    # Without a notice that names somebody, the authors.
    if not any(re.search("[A-Za-z]", notice) for notice in notices):
        notices += package["authors"] or [f"the {name} developers"]
    return directory.name, list(dict.fromkeys(notices)), licences


def holders(text):
    """Who has the copyright, by a licence's notices; not by its explanations."""
    for line in text.splitlines():
        found = re.match(r"\s*Copyright\s+(?=\d|\(c\)|©)(?:\(c\)|©)?\s*(.+)", line, re.I)
        if found and "yyyy" not in line:
            yield found[1].strip()


if __name__ == "__main__":
    main()
