"""Says hello from inside the sandbox.

    potluck run examples/hello.py
    potluck run --on attic examples/hello.py Ada
"""

import sys

name = sys.argv[1] if len(sys.argv) > 1 else "world"
version = f"{sys.version_info.major}.{sys.version_info.minor}"
print(f"Hello, {name}! This is Python {version} on {sys.platform}.")
