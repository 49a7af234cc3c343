"""The source distribution of the pinned llama-cpp-python, fetched once: it carries llama.cpp's own source (the
yardstick ``llama-bench``), real vocabularies and some 70 real chat templates.

    python scripts/llama_cpp_source.py        prints the folder of llama.cpp's source
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "llama-cpp-python"


def cache_folder() -> Path:
    """Where downloads and builds are kept: ``MNEMON_BENCH_DIR``, else ``~/.cache/mnemon-bench``."""
    # the home of the account, not $HOME: tests move that one, and would fetch 70 MB each
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    return Path(os.environ.get("MNEMON_BENCH_DIR") or home / ".cache" / "mnemon-bench")


def llama_cpp() -> Path:
    """The folder ``vendor/llama.cpp`` of the source distribution of the installed version.

    Raises:
        OSError: It is not in the cache and cannot be fetched.
    """
    name = f"llama_cpp_python-{version(PACKAGE)}"
    source = cache_folder() / name / "vendor" / "llama.cpp"
    if source.is_dir():
        return source
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as part:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", part, f"{PACKAGE}=={version(PACKAGE)}"]
        subprocess.run(command, check=False, capture_output=True, timeout=300)
        archives = list(Path(part).glob("*.tar.gz"))
        if not archives:
            raise OSError(f"{PACKAGE}'s source distribution could not be fetched: is this machine offline?")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(part, filter="data")
        (Path(part) / name).replace(cache_folder() / name)
    return source


def vocabulary(name: str) -> Path:
    """A real vocabulary without weights, such as ``qwen2`` or ``llama-spm``."""
    return llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"


def templates() -> list[Path]:
    """The real chat templates."""
    return sorted((llama_cpp() / "models" / "templates").glob("*.jinja"))


if __name__ == "__main__":
    print(llama_cpp())
