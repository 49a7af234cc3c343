"""Generate Python code and types from the protocol definitions, beside each of them.

Run after changing a ``.proto``: ``python scripts/generate_protos.py``. A test checks that nothing would change.
"""

from __future__ import annotations

import argparse
import importlib.resources
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PROTOS = REPOSITORY / "protos"


def generate(target: Path) -> list[Path]:
    """Write the code of every definition below ``target``, in the folders Python imports it from.

    Returns:
        The files, relative to ``target``.

    Raises:
        RuntimeError: A definition cannot be compiled; the compiler said why on stderr.
    """
    from grpc_tools import protoc

    definitions = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.glob("mnemon_protos/v*/*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    # protoc finds its plugins on PATH; those of this interpreter's environment belong to it.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    code = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={well_known}",
            f"--python_out={target}",
            f"--grpc_python_out={target}",
            f"--mypy_out={target}",
            f"--mypy_grpc_out={target}",
            *definitions,
        ]
    )
    if code:
        raise RuntimeError(f"protoc ended with {code}")
    found = [p for p in target.glob("mnemon_protos/v*/*_pb2*") if p.suffix in (".py", ".pyi")]
    # A definition without services gets a module that only imports grpc: nobody needs it.
    services = {Path(d).stem for d in definitions if "\nservice " in (PROTOS / d).read_text("utf-8")}
    kept = []
    for path in sorted(found):
        if path.stem.endswith("_pb2_grpc") and path.stem.removesuffix("_pb2_grpc") not in services:
            path.unlink()
        else:
            kept.append(path.relative_to(target))
    return kept


def main() -> None:
    """Write the generated code into the repository."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=PROTOS, help="write below this folder instead")
    for path in generate(parser.parse_args().target):
        print(path)


if __name__ == "__main__":
    main()
