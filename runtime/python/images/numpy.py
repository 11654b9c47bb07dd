# First uses that every numpy script pays for otherwise.
import numpy

values = numpy.arange(12.0).reshape(3, 4)
str((values @ values.T).sum()), repr(values), values.mean(axis=0), numpy.sort(values[:, 0])
numpy.random.default_rng(0).normal(size=3), numpy.random.rand(2), numpy.linspace(0, 1, 3)
