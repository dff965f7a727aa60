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

# Each crate's licence has to be made of these, which are told in full below.
KNOWN = ["MIT", "Apache-2.0", "ISC", "BSD-3-Clause", "BSD-2-Clause", "Zlib"]

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

ISC = """\
Permission to use, copy, modify, and/or distribute this software for any purpose with or
without fee is hereby granted, provided that the above copyright notice and this
permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO
THIS SOFTWARE INCLUDING ALL IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO
EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR CONSEQUENTIAL
DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER
IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN
CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE."""

BSD = """\
Redistribution and use in source and binary forms, with or without modification, are
permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of
conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list
of conditions and the following disclaimer in the documentation and/or other materials
provided with the distribution.

3. Neither the name of the copyright holder nor the names of its contributors may be
used to endorse or promote products derived from this software without specific prior
written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY
EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF
MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL
THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL,
SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT
OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS
INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT
LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE."""

# The same without its third clause.
BSD_2 = "\n\n".join(part for part in BSD.split("\n\n") if not part.startswith("3."))

ZLIB = """\
This software is provided 'as-is', without any express or implied warranty. In no event
will the authors be held liable for any damages arising from the use of this software.

Permission is granted to anyone to use this software for any purpose, including
commercial applications, and to alter it and redistribute it freely, subject to the
following restrictions:

1. The origin of this software must not be misrepresented; you must not claim that you
wrote the original software. If you use this software in a product, an acknowledgment in
the product documentation would be appreciated but is not required.

2. Altered source versions must be plainly marked as such, and must not be
misrepresented as being the original software.

3. This notice may not be removed or altered from any source distribution."""

# Part of every program in Rust, and not among the crates.
STANDARD_LIBRARY = ("std", ["The Rust Project contributors"], "MIT or Apache-2.0")

# Holders that no notice in the usual form names: of what was translated to Rust the
# authors before, and of notices without a year.
FURTHER = {
    "unsafe-libyaml": ["2006-2016 Kirill Simonov", "2017-2020 Ingy döt Net"],
    "aws-lc-rs": ["Amazon.com, Inc. or its affiliates"],
    "aws-lc-sys": ["Amazon.com, Inc. or its affiliates", "2016 Brian Smith", "2020 Arm Ltd",
                   "2022 Robert Nagy", "2002 Sun Microsystems, Inc.", "2005 Nokia",
                   "2012-2021 Intel Corporation"],
    "zlib-rs": ["2024 Trifecta Tech Foundation", "Jean-loup Gailly and Mark Adler"],
}


def main():
    crates = sorted(map(about, linked())) + [STANDARD_LIBRARY]
    sys.stdout.write(sys.stdin.read())
    for name, holders, licence in crates:
        print(f"\nFiles: vendor/{name}/*")
        print("Copyright: " + "\n ".join(holders))
        print("License: " + licence)
    for licence, text in zip(KNOWN, [MIT, APACHE, ISC, BSD, BSD_2, ZLIB]):
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
    """Its directory, who has the copyright, and its licence."""
    name = package["name"]
    directory = Path(package["manifest_path"]).parent
    notices = []
    for path in sorted(directory.glob("*")):
        if re.match(r"(?i)(licen[cs]e|copying|copyright|notice)", path.name) and path.is_file():
            notices += holders(path.read_text())
    notices += FURTHER.get(name, [])
    # Without a notice that names somebody, the authors.
    if not any(re.search("[A-Za-z]", notice) for notice in notices):
        notices += package["authors"] or [f"the {name} developers"]
    return directory.name, list(dict.fromkeys(notices)), licence(name, package["license"] or "")


def licence(name, expression):
    """An expression of SPDX as Debian writes it, without the choices that are not known."""
    parts = []
    for part in re.split(r"\s+AND\s+", expression):
        choices = re.split(r"\s+OR\s+|/", part.strip("()"))
        known = [choice for choice in KNOWN if choice in choices]
        assert known, f"{name} is licensed as {expression}: {part} is neither of {KNOWN}"
        parts.append(" or ".join(known))
    # Each once: files of several origins can have the same licence.
    return ", and ".join(dict.fromkeys(parts))


def holders(text):
    """Who has the copyright, by a licence's notices; not by its explanations."""
    for line in text.splitlines():
        found = re.match(r"\s*Copyright\s+(?=\d|\(c\)|©)(?:\(c\)|©)?\s*(.+)", line, re.I)
        if found and "yyyy" not in line:
            yield found[1].strip()


if __name__ == "__main__":
    main()
