"""Groups a small table: the smallest job with pandas in it."""

import pandas as pd

sales = pd.DataFrame({"shop": ["a", "b", "a", "c"] * 250, "sold": range(1000)})
print(sales.groupby("shop")["sold"].agg(["sum", "mean"]))
