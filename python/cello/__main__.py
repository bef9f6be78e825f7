"""`python -m cello` is the command `cello`."""

import sys

from cello._cli import main

if __name__ == "__main__":
    sys.exit(main())
