"""A trained PixelCNN in Python: reads its weights with safetensors, computes -log p(x) of images with NumPy
alone, and compares the result with the values that the program prints. Needs numpy and safetensors.

    python examples/load_in_python.py target/release/pixelloom

Nothing is downloaded: the script draws its own images and trains on them for about a second. Shapes: images
[B, H, W] of 0 and 1, feature maps [B, H, W, channels], convolutions (out, in, height, width).
"""

import csv
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy
from safetensors import safe_open

SIDE = 12


def write_png(path, image):
    """Writes an 8-bit grey image."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def bars(random, count):
    """Images [count, SIDE, SIDE], each of a horizontal and a vertical bar at random positions."""
    images = numpy.zeros((count, SIDE, SIDE), numpy.uint8)
    for image in images:
        row, column = random.integers(0, SIDE - 2, 2)
        image[row : row + 2], image[:, column : column + 2] = 255, 255
    return images


def convolution(x, weights, name):
    """A convolution with zero padding; the output has the size of x. No mask is needed: hidden weights are 0 in the file."""
    w, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    _, height, width, _ = x.shape
    tall, wide = w.shape[2], w.shape[3]
    padded = numpy.pad(x, ((0, 0), (tall // 2, tall // 2), (wide // 2, wide // 2), (0, 0)))
    y = bias.astype(numpy.float64)
    for dy in range(tall):
        for dx in range(wide):
            y = y + padded[:, dy : dy + height, dx : dx + width] @ w[:, :, dy, dx].T
    return y


def relu(x):
    return numpy.maximum(x, 0)


def negative_log_likelihood(x, weights, config):
    """-log p(x) of each image, in nats, by the PixelCNN of table 1 of "Pixel Recurrent Neural Networks"."""
    y = (x[..., None].astype(numpy.float64) - config["mean"]) / config["deviation"]
    y = convolution(y, weights, "first")
    skips = 0.0
    for layer in range(config["layers"]):
        h = relu(convolution(relu(y), weights, f"layers.{layer}.down"))
        h = relu(convolution(h, weights, f"layers.{layer}.conv"))
        up = convolution(h, weights, f"layers.{layer}.up")
        y = y + up if config["residual"] else up
        if config["skip"]:
            skips = skips + convolution(y, weights, f"layers.{layer}.skip")
    y = relu(convolution(relu(y + skips), weights, "head.0"))
    y = relu(convolution(y, weights, "head.1"))
    logits = convolution(y, weights, "head.2")[..., 0]
    # -log sigmoid(logit) where x = 1, and -log(1 - sigmoid(logit)) where x = 0.
    return (numpy.logaddexp(0, logits) - x * logits).sum((1, 2))


def main(program):
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        for split, count in [("train", 200), ("valid", 20), ("test", 20)]:
            (home / "images" / split).mkdir(parents=True)
            images = bars(numpy.random.default_rng(count), count)
            for number, image in enumerate(images):
                write_png(home / "images" / split / f"{number:03}.png", image)

        def run(*arguments):
            subprocess.run([program, *arguments, "--device", "cpu"], cwd=home, check=True)

        run("train", "pixelcnn", "--data", "folder:images", "--binarization", "threshold", "--hidden", "8",
            "--layers", "2", "--set", "model.head=8", "--batch", "20", "--epochs", "5", "--name", "bars")
        run("eval", "bars", "--per-image", "nll.csv")
        with open(home / "nll.csv", newline="") as file:
            next(file)  # Skip the comment line above the header.
            printed = numpy.array([float(row["nll"]) for row in csv.DictReader(file)])

        newest = sorted((home / "runs" / "bars" / "checkpoints").iterdir())[-1]
        with safe_open(newest / "model.safetensors", "numpy") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}
            config = json.loads(file.metadata()["config"])
        computed = negative_log_likelihood(images / 255, weights, config)

    error = numpy.abs(computed - printed).max()
    print(f"{len(printed)} images: {printed.mean():.4f} nats by the program, {computed.mean():.4f} by NumPy,")
    print(f"largest difference {error:.1e} nats (bars, test split, threshold binarization, cpu)")
    assert error < 1e-3, "the program and NumPy disagree"


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()))
