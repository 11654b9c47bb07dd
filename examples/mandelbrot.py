"""Draws the Mandelbrot set with matplotlib and saves it as a picture.

    potluck run -o out examples/mandelbrot.py
    potluck run --on attic -o out examples/mandelbrot.py 640 480

The arguments are the picture's width and height in pixels (default 480 by
360). With `-o out` the picture comes back as `out/mandelbrot.png`.
"""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

width, height = (int(text) for text in (sys.argv[1:3] or ("480", "360")))
steps_max = 60
dots_per_inch = 100

real, imaginary = np.meshgrid(np.linspace(-2.2, 0.8, width), np.linspace(-1.125, 1.125, height))
point = real + 1j * imaginary
value = np.zeros_like(point)
steps = np.zeros(point.shape, dtype=int)
for _ in range(steps_max):
    inside = np.abs(value) <= 2
    value[inside] = value[inside] ** 2 + point[inside]
    steps += inside

figure = plt.figure(figsize=(width / dots_per_inch, height / dots_per_inch), dpi=dots_per_inch)
axes = figure.add_axes((0, 0, 1, 1))
axes.imshow(steps, cmap="magma", extent=(-2.2, 0.8, -1.125, 1.125), aspect="auto")
axes.set_axis_off()
figure.savefig("mandelbrot.png")
print(f"mandelbrot.png: {width} x {height} pixels, {np.mean(steps == steps_max):.1%} inside the set")
