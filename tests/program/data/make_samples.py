"""Writes the small files in `tests/program/data/svhn`, which `tests/program/data/svhn.rs` reads: the formats of the Street View
House Numbers as other programs write them. Needs h5py, scipy, numpy and pillow:

    pip install h5py scipy numpy pillow && python tests/program/data/make_samples.py

The tests know the formulas below; whoever changes them changes both.
"""

import gzip
import io
import pathlib
import tarfile

import h5py
import numpy as np
import scipy.io
from PIL import Image

OUT = pathlib.Path(__file__).parent / "svhn"


def cropped():
    """MAT v5, compressed: five 32x32 images, labels 1 to 10."""
    row, column, channel, image = np.indices((32, 32, 3, 5))
    x = ((7 * row + 3 * column + 50 * channel + 11 * image) % 256).astype(np.uint8)
    y = np.array([[1], [9], [10], [2], [5]], dtype=np.uint8)
    file = io.BytesIO()
    scipy.io.savemat(file, {"X": x, "y": y}, do_compression=True)
    # The header contains the time; without it the output is reproducible.
    (OUT / "train_32x32.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + file.getvalue()[116:])


def size(n):
    """Height and width of N.png."""
    return 30 + 10 * n, 90 - 8 * n


def boxes(n):
    """Left, top, width, height and label of every digit of N.png; the last one extends beyond the image."""
    digits = 1 + (n - 1) % 3
    height, width = size(n)
    found = [[4.0 + 9 * d, 3.0 + 2 * d, 8.0 + n, 12.0 + d, float(1 + (n + d) % 10)] for d in range(digits)]
    if n == 6:
        found[-1][2:4] = [float(width), float(height)]
    return found


def png(n):
    height, width = size(n)
    y, x = np.indices((height, width))
    pixels = np.stack([2 * x, 2 * y, np.full_like(x, 40 * n)], axis=2).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def digit_struct(count):
    """MAT v7.3, which is HDF5 after a block of 512 bytes: fields of a single digit are numbers, of several references."""
    file = io.BytesIO()
    with h5py.File(file, "w", libver="earliest", userblock_size=512) as h5:
        refs, struct = h5.create_group("#refs#"), h5.create_group("digitStruct")
        names, groups = [np.empty((count, 1), dtype=h5py.ref_dtype) for _ in range(2)]
        for n in range(1, count + 1):
            text = np.array([[ord(c)] for c in f"{n}.png"], dtype=np.uint16)
            names[n - 1, 0] = refs.create_dataset(f"name{n}", data=text).ref
            group = refs.create_group(f"bbox{n}")
            groups[n - 1, 0] = group.ref
            digits = boxes(n)
            for k, field in enumerate(["left", "top", "width", "height", "label"]):
                values = [np.array([[digit[k]]]) for digit in digits]
                if len(values) == 1:
                    group.create_dataset(field, data=values[0])
                    continue
                pointers = np.empty((len(values), 1), dtype=h5py.ref_dtype)
                for d, value in enumerate(values):
                    pointers[d, 0] = refs.create_dataset(f"{field}{n}.{d}", data=value).ref
                group.create_dataset(field, data=pointers, dtype=h5py.ref_dtype)
        struct.create_dataset("name", data=names, dtype=h5py.ref_dtype)
        struct.create_dataset("bbox", data=groups, dtype=h5py.ref_dtype)
    return b"MATLAB 7.3 MAT-file".ljust(512) + file.getvalue()[512:]


def full(file, numbers):
    """PNG images followed by the struct, in an archive like the published ones."""
    packed = gzip.GzipFile(OUT / file, "wb", mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w") as archive:

        def add(name, content):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

        folder = tarfile.TarInfo("train/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for n in numbers:
            add(f"train/{n}.png", png(n))
        add("train/digitStruct.mat", digit_struct(len(numbers)))
        add("train/see_bboxes.m", b"% how to look at it\n")


def prepared():
    """The expected cut-outs of the pictures, one below the other, with pillow's interpolation."""
    sheet = Image.new("RGB", (64, 6 * 64))
    for n in range(1, 7):
        height, width = size(n)
        digits = np.array(boxes(n))
        left, top = digits[:, 0].min(), digits[:, 1].min()
        right, bottom = (digits[:, 0] + digits[:, 2]).max(), (digits[:, 1] + digits[:, 3]).max()
        across, down = 0.15 * (right - left), 0.15 * (bottom - top)
        part = (max(left - across, 0), max(top - down, 0), min(right + across, width), min(bottom + down, height))
        picture = Image.open(io.BytesIO(png(n)))
        sheet.paste(picture.resize((64, 64), Image.Resampling.BILINEAR, box=part), (0, 64 * (n - 1)))
    sheet.save(OUT / "prepared.png")


OUT.mkdir(exist_ok=True)
cropped()
full("train.tar.gz", [3, 1, 2, 6, 5, 4])
full("one.tar.gz", [1])
prepared()
