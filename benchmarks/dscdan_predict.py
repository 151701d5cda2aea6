"""How much of DSCDAN's predict is the network: images a second beside the bare forward pass.

    python benchmarks/dscdan_predict.py

A short fit of the MNIST test set (speed does not depend on the training), then all 10,000 images
through ``transform``, ``predict`` and the bare network on blocks that are ready in the memory.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from common import SETS, cell_text, record

from fiedler import DSCDAN, DSCDANRecipe, Round, Training
from fiedler.training.reader import BLOCK

REPEATS = 5
NOTES = [
    "Medians of 5 after a warm-up, the three in turn: images a second of wall time and of "
    "processor time (all threads), and the share of the bare forward pass, by processor time.",
    "bare network: the same network in float32 on tensors of 256 images, without reading, rotation "
    "or centres.",
]


def fitted(images: np.ndarray) -> DSCDAN:
    """The default networks after a few steps."""
    brief = Training(steps=5, batch_size=256)
    recipe = replace(DSCDANRecipe(), pretraining=brief, rounds=(Round(training=brief),))
    return DSCDAN(10, recipe=recipe, random_state=0).fit(images)


def seconds_of(call: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    start, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    """Fit, time, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="default 1")
    torch.set_num_threads(parser.parse_args().threads)
    images, _ = SETS["mnist_test"]()
    model = fitted(images)
    network = model.export_module()[0].network
    blocks = torch.from_numpy(images.reshape(len(images), -1)).float().split(BLOCK)

    @torch.inference_mode()
    def bare() -> None:
        for block in blocks:
            network(block)

    calls: dict[str, Callable[[], object]] = {
        "bare network": bare,
        "transform": lambda: model.transform(images),
        "predict": lambda: model.predict(images),
    }
    measured = [
        {name: seconds_of(call) for name, call in calls.items()} for _ in range(REPEATS + 1)
    ]
    medians = {name: np.median([each[name] for each in measured[1:]], axis=0) for name in calls}
    rows = [
        {
            "what": name,
            "images a second": round(len(images) / float(wall)),
            "images a processor second": round(len(images) / float(cpu)),
            "of the bare network": float(medians["bare network"][1] / cpu),
        }
        for name, (wall, cpu) in medians.items()
    ]
    record("dscdan_predict", rows, notes=NOTES)
    for row in rows:
        print("  ".join(f"{name} {cell_text(value)}" for name, value in row.items()))


if __name__ == "__main__":
    main()
