#! args: one two
#! out: ['arguments.py', 'one', 'two']
#! out: __main__ /arguments.py / / None
#! out: True
import os
import sys

print(sys.argv)
print(__name__, __file__, sys.path[0], os.getcwd(), __spec__)
print(sorted(globals()) == sorted(set(globals()) - {"boot"}) and "_potluck" not in globals())
