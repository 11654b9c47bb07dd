"""A sales report with pandas: a table on the screen and a file to bring back.

    potluck run -f examples/sales/sales.csv examples/sales/report.py
    potluck run -f examples/sales/sales.csv -o out examples/sales/report.py sales.csv

With `-o out` the file `out/by_region.csv` holds the totals of each region.
"""

import sys

import pandas as pd

path = sys.argv[1] if len(sys.argv) > 1 else "sales.csv"
sales = pd.read_csv(path, parse_dates=["date"])
sales["revenue"] = sales["units"] * sales["price"]

by_region = (
    sales.groupby("region")
    .agg(orders=("units", "size"), units=("units", "sum"), revenue=("revenue", "sum"))
    .sort_values("revenue", ascending=False)
    .round(2)
    .reset_index()
)
by_month = sales.groupby(sales["date"].dt.strftime("%Y-%m"))["revenue"].sum()
best = sales.groupby("product")["revenue"].sum().idxmax()

print(f"{len(sales)} orders from {sales['date'].min():%Y-%m-%d} to {sales['date'].max():%Y-%m-%d}")
print()
print(by_region.to_string(index=False, float_format="{:.2f}".format))
print()
for month, revenue in by_month.items():
    print(f"{month}  {revenue:10.2f}  {'#' * round(revenue / 250)}")
print()
print(f"best product: {best}")

by_region.to_csv("by_region.csv", index=False)
