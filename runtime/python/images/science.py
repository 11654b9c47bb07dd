# First uses that every script with scikit-learn or scipy pays for otherwise.
import numpy
import pandas
import scipy.linalg
import scipy.optimize
import scipy.stats
import sklearn.cluster
import sklearn.ensemble
import sklearn.linear_model
import sklearn.metrics
import sklearn.model_selection
import sklearn.preprocessing

points = numpy.array([[0.0, 1.0], [1.0, 0.5], [9.0, 8.0], [10.0, 9.0], [9.5, 9.0], [0.5, 0.0]])
labels = numpy.array([0, 0, 1, 1, 1, 0])
str(sklearn.cluster.KMeans(2, n_init=1, random_state=0).fit(points).cluster_centers_)
sklearn.cluster.KMeans(2, n_init=1, random_state=0).fit_predict(points)
model = sklearn.linear_model.LinearRegression().fit(points, labels)
str(model.predict(points)), str(model.score(points, labels))
sklearn.linear_model.LogisticRegression().fit(points, labels).predict(points)
sklearn.preprocessing.StandardScaler().fit_transform(points)
sklearn.model_selection.train_test_split(points, labels, random_state=0)
sklearn.metrics.accuracy_score(labels, labels)
scipy.stats.ttest_ind(points[:, 0], points[:, 1]), scipy.stats.norm.cdf(0.0), scipy.linalg.solve(numpy.eye(2), [1.0, 2.0])
str(pandas.DataFrame({"a": [1, 2]}).sum())
