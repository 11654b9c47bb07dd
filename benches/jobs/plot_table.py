# Draws what compare.py measured: medians on a logarithmic scale, one group of bars for each job.
import json

import matplotlib.pyplot as plt

rows = json.load(open("rows.json"))
jobs = list(dict.fromkeys(row["job"] for row in rows))
figure, panels = plt.subplots(1, len(jobs), figsize=(4 * len(jobs), 3.2))
for panel, job in zip(panels, jobs):
    own = [row for row in rows if row["job"] == job][::-1]
    panel.barh([row["where"] for row in own], [row["median_ms"] for row in own])
    panel.set(title=job, xscale="log", xlabel="ms, median")
    for place, row in enumerate(own):
        panel.text(row["median_ms"], place, f" {row['median_ms']:.1f}", va="center", fontsize=8)
    panel.margins(x=0.3)
figure.tight_layout()
figure.savefig("compare.png", dpi=110)
