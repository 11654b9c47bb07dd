# First uses that every pandas script pays for otherwise.
import io

import numpy
import pandas

repr(numpy.arange(3.0)), numpy.random.default_rng(0).normal(size=3)
frame = pandas.read_csv(io.StringIO("day,shop,sold\n2026-01-01,a,3\n2026-01-02,b,4\n2026-01-03,a,5.5\n"), parse_dates=["day"])
frame["double"] = frame["sold"] * 2
str(frame), str(frame.describe()), frame.to_string(index=False), frame.to_csv()
totals = frame.groupby("shop")["sold"].agg(["sum", "mean"])
str(totals), str(frame.groupby("shop").sum(numeric_only=True)), str(totals.sort_values("sum", ascending=False))
frame.merge(frame, on="shop"), frame[frame["sold"] > 3].head(), frame.pivot_table(index="shop", values="sold")
str(frame.set_index("day")["sold"].resample("D").sum()), str(frame.dtypes), str(pandas.DataFrame({"a": [1, 2]}).sum())
frame["sold"].value_counts(), frame["shop"].str.upper(), pandas.concat([frame, frame])
