"""Puts the program and the extension into the wheel; Cargo compiles them."""

import json
import os
import re
import shutil
import subprocess
import sysconfig

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "monoceros"
EXTENSION = "libmonoceros_python.so"


class CustomBuildHook(BuildHookInterface):
    """What hatchling calls."""

    def initialize(self, version, build_data):
        """Adds what Python's own files lack."""
        if version == "editable":
            raise SystemExit("monoceros is no Python code to edit: install it without --editable")
        # Whoever has compiled this source already says where: `make wheel` does.
        built = os.environ.get("MONOCEROS_BUILT")
        files = {name: os.path.join(built, name) for name in (PROGRAM, EXTENSION)} if built else self.compile()
        # Of the extension: one build for CPython 3.10 and later, and for no other Python.
        build_data["tag"] = "cp310-abi3-" + re.sub("[-.]", "_", sysconfig.get_platform())
        build_data["pure_python"] = False
        # The program finds the extension there. A directory of its own would outlive the
        # package: pip and uv remove only those of Python's packages.
        build_data["shared_scripts"] = {files[PROGRAM]: PROGRAM}
        build_data["shared_data"] = {files[EXTENSION]: "lib/" + EXTENSION}

    def compile(self):
        """Runs Cargo; returns the path of each file by its name."""
        with open(os.path.join(self.root, "Cargo.toml"), encoding="utf-8") as file:
            needed = re.search(r'rust-version = "(.+)"', file.read()).group(1)
        hint = (
            f"Rust {needed} or newer compiles monoceros: apt install cargo-web rustc-web "
            "(Debian 13, and 12 with its security suite), or https://rustup.rs"
        )
        if shutil.which("cargo") is None:
            raise SystemExit(f"cargo is missing. {hint}")
        command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
        command += ["--package=monoceros", "--package=monoceros-python"]
        # Debug information is half of an installation, and serves developers only.
        environment = {"CARGO_PROFILE_RELEASE_STRIP": "symbols", **os.environ}
        run = subprocess.run(command, cwd=self.root, env=environment, stdout=subprocess.PIPE, encoding="utf-8")
        if run.returncode != 0:
            raise SystemExit(f"cargo failed: its messages say why. {hint}")
        messages = map(json.loads, run.stdout.splitlines())
        paths = [path for message in messages for path in message.get("filenames", [])]
        return {os.path.basename(path): path for path in paths if os.path.basename(path) in (PROGRAM, EXTENSION)}
