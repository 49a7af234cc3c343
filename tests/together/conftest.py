"""Both ends for real: what the tests of either end share is found from here too."""

from __future__ import annotations

import sys
from pathlib import Path

for room in ("device", "cloud"):
    sys.path.append(str(Path(__file__).parent.parent / room))
