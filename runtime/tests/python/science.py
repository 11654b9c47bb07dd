#! out: agg True
#! out: 6 1.4142
#! out: [3.]
#! out: [1, 2]
#! not: Warning
#! not: font cache
import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import optimize
from sklearn.linear_model import LinearRegression
from tqdm import tqdm

plt.plot([1, 2, 3])
plt.title("title")
plt.savefig("chart.png")
print(plt.get_backend().lower(), open("chart.png", "rb").read(8) == b"\x89PNG\r\n\x1a\n")
print(pd.DataFrame({"a": [1, 2, 3]}).a.sum(), round(optimize.brentq(lambda x: x * x - 2, 0, 2), 4))
print(LinearRegression().fit(np.array([[0.0], [1.0], [2.0]]), [0, 1, 2]).predict([[3.0]]).round(6))
print(joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(-number) for number in tqdm((1, 2))))
