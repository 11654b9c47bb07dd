"""Clusters 300 points: a small job with scikit-learn in it."""

import numpy as np
from sklearn.cluster import KMeans

points = np.random.default_rng(7).normal(size=(300, 2))
print(KMeans(3, n_init=2, random_state=0).fit(points).inertia_ > 0)
