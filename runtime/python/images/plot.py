# First uses that every script with a plot pays for otherwise.
import io

import matplotlib.font_manager
import matplotlib.pyplot as plt
import numpy
import pandas

figure, axes = plt.subplots()
axes.plot([1, 2, 3], [1, 4, 9], label="x")
axes.bar([1, 2], [3, 4])
axes.imshow(numpy.zeros((2, 2)))
axes.set_title("t")
axes.legend()
figure.savefig(io.BytesIO(), format="png")
plt.close("all")
# Fonts are read from files that stay open, and no run could read on.
matplotlib.font_manager._get_font.cache_clear()
str(pandas.DataFrame({"a": [1, 2]}).sum())
