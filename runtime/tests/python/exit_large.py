#! exit: 200
import sys

sys.exit(200)
