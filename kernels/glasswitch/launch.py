"""Start the Glasswitch kernel: from the checkout this file lies in, if it lies in one, else from the installed package."""
import sys
from pathlib import Path

del sys.path[0]  # this folder: nothing is imported from beside the kernel's specification
checkout = Path(__file__).resolve().parents[2]
if (checkout / "lab" / "ui" / "kernel.py").exists():
    sys.path.insert(0, str(checkout))

from lab.ui.kernel import main  # noqa: E402

main()
