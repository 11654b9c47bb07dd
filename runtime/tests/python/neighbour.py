#! with: helper.py
#! with: package/__init__.py
#! out: helped from /helper.py
#! out: package.value
import helper
import package

print(helper.help())
print(package.VALUE)
