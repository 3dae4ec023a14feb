"""The tests of the IR share a torch interpreter and a generator of random graphs that lie beside them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
