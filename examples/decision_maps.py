"""Decision maps of SpectralNet: two moons and two nested C shapes, and every point between them.

    python examples/decision_maps.py [docs/decision_maps.png]

Fits 1,000 points of each shape, asks the network for the cluster of every pixel of the plane, and
draws the answer: colour is the cluster, strength the confidence, dots are the fitted points.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import make_moons

from fiedler import KNN, DenseMap, SpectralNet, SpectralNetRecipe, Training
from fiedler.evaluation import accuracy

N, PIXELS, MARGIN = 1000, 480, 0.35
COLOURS = np.array([[0x3F, 0x90, 0xDA], [0xFF, 0xA9, 0x0E]], dtype=float)

# Two curves far longer than they are apart need no outputs beyond the two clusters', and a graph
# that holds each of them together.
RECIPE = SpectralNetRecipe(
    affinity=KNN(20),
    network=DenseMap((50, 50, 50), batch_norm=False),
    extra_outputs=0,
    training=Training(steps=1000, batch_size=2 * N, learning_rate=1e-2, precision="float32"),
)


def moons() -> tuple[np.ndarray, np.ndarray]:
    """Two interleaved half circles, (n, 2), and which one each point is of."""
    return make_moons(N, noise=0.05, random_state=0)


def nested_cs() -> tuple[np.ndarray, np.ndarray]:
    """A small C inside a large one, both open to the right, (n, 2), and which one."""
    rng = np.random.default_rng(0)
    inside = np.arange(N) % 3 == 0
    angle = rng.uniform(0.2 * np.pi, 1.8 * np.pi, N)
    radius = np.where(inside, 0.5, 1.0) + rng.normal(0, 0.04, N)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), inside.astype(int)


def plane(X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Points of a square raster around X, from the top left, (PIXELS^2, 2); corner and step."""
    middle = (X.min(axis=0) + X.max(axis=0)) / 2
    side = float(np.ptp(X, axis=0).max()) + 2 * MARGIN
    step = side / PIXELS
    corner = middle + np.array([-side, side]) / 2
    across, down = np.meshgrid(np.arange(PIXELS), np.arange(PIXELS))
    offsets = np.stack([across.ravel() + 0.5, -(down.ravel() + 0.5)], axis=1) * step
    return corner + offsets, corner, step


def draw(X: np.ndarray, model: SpectralNet) -> np.ndarray:
    """The map of a fitted model, (PIXELS, PIXELS, 3), uint8."""
    points, corner, step = plane(X)
    labels, confidence = model.predict_with_confidence(points)
    strength = (0.15 + 0.45 * confidence)[:, None]
    image = (255 * (1 - strength) + COLOURS[labels] * strength).reshape(PIXELS, PIXELS, 3)
    column, row = ((X - corner) * np.array([1, -1]) / step).astype(int).T
    for right, below in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        image[row + below, column + right] = COLOURS[model.labels_] * 0.6
    return image.round().astype(np.uint8)


def main() -> None:
    """Fit both shapes and write the two maps side by side."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/decision_maps.png")
    maps = []
    for name, (X, y) in {"moons": moons(), "nested C": nested_cs()}.items():
        model = SpectralNet(2, recipe=RECIPE, random_state=0).fit(X)
        maps.append(draw(X, model))
        print(f"{name}: accuracy {accuracy(y, model.labels_):.3f}")
    gap = np.full((PIXELS, 12, 3), 255, dtype=np.uint8)
    Image.fromarray(np.concatenate([maps[0], gap, maps[1]], axis=1)).save(target, optimize=True)
    print(f"written: {target}")


if __name__ == "__main__":
    main()
