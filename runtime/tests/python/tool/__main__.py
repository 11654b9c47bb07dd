#! with: tool/inner.py
#! args: go
#! out: ['tool', 'go'] __main__ /tool/__main__.py /tool 7
import sys

import inner

print(sys.argv, __name__, __file__, sys.path[0], inner.SEVEN)
