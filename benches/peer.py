"""Compares pixelloom with eager PyTorch on the workloads of `pixelloom bench`, in alternating runs (A B A B).

    python benches/peer.py [--only PREFIX] [--turns N] [--seconds S] [--threads N]
                           [--device cpu|cuda] [--steps PATH] [--rust-device NAME] [--memory]

Builds `cargo bench --bench steps`, runs it and PyTorch alternately, each in its own process, and prints a
Markdown table with medians over the turns. --steps names a binary that is built already. The peak of
multiply-adds is measured by the steps benchmark, if it prints one. --memory prints the peak memory of both
programs instead, with one process per workload. --torch-only measures PyTorch alone; this script calls itself
in this way.

Networks, sizes, batch sizes and optimisers are those of `src/bench/workloads.rs`, written as a PyTorch user
would write them: nn modules, autograd, one call per layer. Sampling makes a full forward pass per pixel, since
PyTorch has no cached sampler for these networks.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(
    r"^(?P<name>\S.*?) +(?P<task>train|sample) +(?P<images>[\d.]+) images/s +(?P<ms>[\d.]+) ms/step"
    r"(?: +params (?P<parameters>\d+))?(?:.* mflop (?P<mflop>[\d.]+))?"
)
MNIST, CIFAR = (1, 28, 28), (3, 32, 32)


def build_networks(torch):
    """The networks; the classes are defined in this function, so that only a measuring process imports PyTorch."""
    nn, F = torch.nn, torch.nn.functional

    class Masked(nn.Conv2d):
        """A masked convolution. It sees the rows above, the pixels to the left, and in the centre the lower
        colour groups (mask A) or these and its own (mask B)."""

        def __init__(self, inputs, outputs, kernel, sight="B", colours=1):
            height, width = kernel
            super().__init__(inputs, outputs, kernel, padding=(height // 2, width // 2))
            mask = torch.zeros(height * width)
            middle = height // 2 * width + width // 2
            mask[:middle] = 1
            mask = mask.repeat(outputs, inputs, 1)
            of_output = torch.arange(outputs)[:, None] * colours // outputs
            of_input = torch.arange(inputs)[None, :] * colours // inputs
            own = of_input < of_output if sight == "A" else of_input <= of_output
            mask[:, :, middle] = own.float()
            self.register_buffer("mask", mask.view(outputs, inputs, height, width))

        def forward(self, x):
            return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    class Residual(nn.Module):
        """x + 1x1(relu(3x3(relu(1x1(relu(x))))))."""

        def __init__(self, h, colours):
            super().__init__()
            self.body = nn.Sequential(
                nn.ReLU(),
                Masked(2 * h, h, (1, 1), colours=colours),
                nn.ReLU(),
                Masked(h, h, (3, 3), colours=colours),
                nn.ReLU(),
                Masked(h, 2 * h, (1, 1), colours=colours),
            )

        def forward(self, x):
            return x + self.body(x)

    def cell(gates, state, axis):
        """States h and c of an LSTM from the inputs of its gates, stacked i, f, o, g."""
        i, f, o, g = gates.chunk(4, axis)
        state = torch.sigmoid(f) * state + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(state), state

    class Row(nn.Module):
        """A Row LSTM layer. It runs row by row; each pixel sees three pixels of the row above."""

        def __init__(self, h, colours):
            super().__init__()
            self.h = h
            self.input = Masked(2 * h, 4 * h, (1, 3), colours=colours)
            self.recurrent = nn.Conv1d(h, 4 * h, 3, padding=1)
            self.up = Masked(h, 2 * h, (1, 1), colours=colours)

        def forward(self, x):
            hidden = state = x.new_zeros(x.shape[0], self.h, x.shape[3])
            rows = []
            for gates in self.input(x).unbind(2):
                hidden, state = cell(gates + self.recurrent(hidden), state, 1)
                rows.append(hidden)
            return x + self.up(torch.stack(rows, 2))

    class Diagonal(nn.Module):
        """One direction of a Diagonal BiLSTM. It runs over the columns of a skewed map."""

        def __init__(self, h, colours):
            super().__init__()
            self.h = h
            self.input = Masked(2 * h, 4 * h, (1, 1), colours=colours)
            self.recurrent = nn.Linear(2 * h, 4 * h)

        def forward(self, x):
            batch, _, height, width = x.shape
            long = width + height - 1
            # Skew: row r is moved right by r columns. Rows are padded to long + 1 and then read as rows of long.
            skewed = F.pad(self.input(x), (0, height)).flatten(2)[..., : height * long]
            columns = skewed.view(batch, -1, height, long).permute(3, 0, 2, 1).contiguous()
            hidden = state = x.new_zeros(batch, height, self.h)
            outputs = []
            for gates in columns:
                above = F.pad(hidden, (0, 0, 1, 0))[:, :-1]
                gates = gates + self.recurrent(torch.cat([hidden, above], -1))
                hidden, state = cell(gates, state, -1)
                outputs.append(hidden)
            skewed = torch.stack(outputs, 3).permute(0, 2, 1, 3)
            straight = F.pad(skewed.flatten(2), (0, height)).view(batch, self.h, height, long + 1)
            return straight[..., :width]

    class Both(nn.Module):
        """A Diagonal BiLSTM layer: the left-to-right map plus the right-to-left map shifted down by one row."""

        def __init__(self, h, colours):
            super().__init__()
            self.left, self.right = Diagonal(h, colours), Diagonal(h, colours)
            self.up = Masked(h, 2 * h, (1, 1), colours=colours)

        def forward(self, x):
            right = self.right(x.flip(3)).flip(3)
            down = F.pad(right, (0, 0, 1, 0))[:, :, :-1]
            return x + self.up(self.left(x) + down)

    class Pixel(nn.Module):
        """A pixel model of `layers` layers."""

        def __init__(self, layer, layers, h, image=MNIST, levels=2, head=32):
            super().__init__()
            colours = image[0]
            self.colours, self.levels = colours, levels
            outputs = colours * (1 if levels == 2 else levels)
            one = lambda i, o: Masked(i, o, (1, 1), colours=colours)
            self.net = nn.Sequential(
                Masked(colours, 2 * h, (7, 7), "A", colours),
                *(layer(h, colours) for _ in range(layers)),
                nn.ReLU(),
                one(2 * h, head),
                nn.ReLU(),
                one(head, head),
                nn.ReLU(),
                one(head, outputs),
            )

        def loss(self, x):
            logits = self.net(x)
            if self.levels == 2:
                lost = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            else:
                batch, _, height, width = logits.shape
                logits = logits.view(batch, self.colours, self.levels, height, width)
                target = (x * (self.levels - 1)).round().long()
                lost = F.cross_entropy(logits.transpose(1, 2), target, reduction="sum")
            return lost / x.shape[0]

        @torch.no_grad()
        def sample(self, x):
            x = torch.zeros_like(x)
            for row in range(x.shape[2]):
                for column in range(x.shape[3]):
                    p = torch.sigmoid(self.net(x)[:, 0, row, column])
                    x[:, 0, row, column] = torch.bernoulli(p)

    def kl(mean, log_deviation):
        """KL(N(mean, deviation) | N(0, 1)) of each row."""
        variance = (2 * log_deviation).exp()
        return 0.5 * (mean * mean + variance - 2 * log_deviation - 1).sum(1)

    class Vae(nn.Module):
        """A VAE with 784 pixels, 500 hidden units and 20 latent dimensions."""

        def __init__(self, dims=784, hidden=500, latent=20):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(dims, hidden), nn.Tanh())
            self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
            self.decoder = nn.Sequential(
                nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, dims)
            )

        def loss(self, x):
            x = x.flatten(1)
            code = self.encoder(x)
            mean, log_deviation = self.mean(code), 0.5 * self.log_variance(code)
            z = mean + log_deviation.exp() * torch.randn_like(mean)
            lost = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none")
            return (lost.sum(1) + kl(mean, log_deviation)).mean()

    class Draw(nn.Module):
        """DRAW on images of 28 x 28 pixels with 64 glimpses."""

        def __init__(self, attention, side=28, glimpses=64, h=256, latent=100, read=2, write=5):
            super().__init__()
            self.attention, self.side, self.glimpses, self.h = attention, side, glimpses, h
            self.read, self.write = read, write
            seen, written = (read**2, write**2) if attention else (side**2, side**2)
            self.encoder = nn.LSTMCell(2 * seen + h, h)
            self.mean, self.log_deviation = nn.Linear(h, latent), nn.Linear(h, latent)
            self.decoder = nn.LSTMCell(latent, h)
            self.patch = nn.Linear(h, written)
            if attention:
                self.read_at, self.write_at = nn.Linear(h, 5), nn.Linear(h, 5)

        def filters(self, where, n):
            """F_Y, F_X and gamma of a grid of n x n filters."""
            x, y, log_variance, log_stride, log_gamma = where.unsqueeze(2).unbind(1)
            stride = (self.side - 1) / (n - 1) * log_stride.exp()
            offsets = (torch.arange(n, device=where.device) - (n - 1) / 2) * stride
            pixels = torch.arange(self.side, device=where.device)
            variance = log_variance.exp().unsqueeze(2)

            def bank(centre):
                mean = (self.side + 1) / 2 * (centre + 1) + offsets
                weight = torch.exp(-((pixels - mean.unsqueeze(2)) ** 2) / (2 * variance))
                return weight / (weight.sum(2, keepdim=True) + 1e-8)

            return bank(y), bank(x), log_gamma.exp()

        def loss(self, x):
            batch, side = x.shape[0], self.side
            image = x.flatten(1)
            zeros = image.new_zeros(batch, self.h)
            encoder, decoder = (zeros, zeros), (zeros, zeros)
            canvas, lost = torch.zeros_like(image), 0
            for _ in range(self.glimpses):
                images = [image, image - torch.sigmoid(canvas)]
                if self.attention:
                    down, across, gamma = self.filters(self.read_at(decoder[0]), self.read)
                    across = across.transpose(1, 2)
                    images = [
                        gamma * (down @ i.view(batch, side, side) @ across).flatten(1)
                        for i in images
                    ]
                encoder = self.encoder(torch.cat([*images, decoder[0]], 1), encoder)
                mean, log_deviation = self.mean(encoder[0]), self.log_deviation(encoder[0])
                lost = lost + kl(mean, log_deviation)
                z = mean + log_deviation.exp() * torch.randn_like(mean)
                decoder = self.decoder(z, decoder)
                patch = self.patch(decoder[0])
                if self.attention:
                    down, across, gamma = self.filters(self.write_at(decoder[0]), self.write)
                    patch = patch.view(batch, self.write, self.write)
                    patch = (down.transpose(1, 2) @ patch @ across).flatten(1) / gamma
                canvas = canvas + patch
            seen = F.binary_cross_entropy_with_logits(canvas, image, reduction="none")
            return (seen.sum(1) + lost).mean()

    colour = dict(image=CIFAR, levels=256, head=1024)
    # Name, task, batch size, shape of an image, network.
    return [
        ("vae-mnist b100 h500 z20", "train", 100, MNIST, lambda: Vae()),
        ("draw-mnist b100 T64 h256 attn", "train", 100, MNIST, lambda: Draw(True)),
        ("draw-mnist b100 T64 h256 noattn", "train", 100, MNIST, lambda: Draw(False)),
        ("pixelcnn-mnist b16 L7 h32", "train", 16, MNIST, lambda: Pixel(Residual, 7, 32)),
        ("pixelcnn-mnist b16 L7 h32", "sample", 16, MNIST, lambda: Pixel(Residual, 7, 32)),
        ("rowlstm-mnist b16 L7 h16", "train", 16, MNIST, lambda: Pixel(Row, 7, 16)),
        ("diagbilstm-mnist b16 L1 h32", "train", 16, MNIST, lambda: Pixel(Both, 1, 32)),
        ("diagbilstm-mnist b16 L7 h16", "train", 16, MNIST, lambda: Pixel(Both, 7, 16)),
        ("pixelcnn-cifar b16 L15 h128", "train", 16, CIFAR, lambda: Pixel(Residual, 15, 128, **colour)),
        ("rowlstm-cifar b16 L12 h128", "train", 16, CIFAR, lambda: Pixel(Row, 12, 128, **colour)),
        ("diagbilstm-cifar b16 L12 h128", "train", 16, CIFAR, lambda: Pixel(Both, 12, 128, **colour)),
    ]


def measure_torch(only, seconds, threads, device):
    """Times PyTorch and prints one line per workload, in the format of the steps benchmark."""
    import torch

    torch.set_num_threads(threads)
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for name, task, batch, shape, make in build_networks(torch):
        if not f"{name} {task}".startswith(only):
            continue
        torch.manual_seed(0)
        network = make().to(device)
        rule = torch.optim.RMSprop if batch == 16 else torch.optim.Adam
        optimizer = rule(network.parameters(), 1e-4 if batch == 16 else 1e-3)
        x = torch.rand(batch, *shape)
        x = (x > 0.8).float() if shape == MNIST else (255 * x).round() / 255
        x = x.to(device)

        def step():
            if task == "sample":
                return network.sample(x)
            optimizer.zero_grad()
            network.loss(x).backward()
            optimizer.step()

        # Sampling a batch takes about 15 seconds, so one batch without a warm-up is enough.
        least = 1 if task == "sample" else 3
        if task != "sample":
            step()
            wait()
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < least:
            begin = time.perf_counter()
            step()
            wait()
            times.append(time.perf_counter() - begin)
        t = statistics.median(times)
        count = sum(p.numel() for p in network.parameters())
        print(f"{name:36} {task:6} {batch / t:10.3f} images/s {t * 1e3:10.2f} ms/step  params {count}", flush=True)


def steps_binary():
    """Builds the steps benchmark and returns its path."""
    command = ["cargo", "bench", "--bench", "steps", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message.get("executable"):
            if message["target"]["name"] == "steps":
                return message["executable"]
    sys.exit("error: cargo built no benchmark called steps")


def parse(text):
    """The figures by (name, task), and the peak, or None if the output has none."""
    found, peak = {}, None
    for line in text.splitlines():
        if match := LINE.match(line):
            found[match["name"], match["task"]] = match.groupdict()
        elif match := re.match(r"# peak ([\d.]+) GFLOP/s", line):
            peak = float(match[1])
    return found, peak


def run(command):
    """The figures and the peak that a command prints, and its peak memory in MiB."""
    # RUSAGE_CHILDREN is the maximum over all children, so each command runs as the only child of its own process.
    watcher = (
        "import resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:]).returncode\n"
        "print('# memory', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", watcher, *map(str, command)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[3:])} ended with code {done.returncode}")
    memory = re.search(r"# memory (\d+)", done.stdout)
    # The unit is KiB on Linux and bytes on macOS.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return *parse(done.stdout), int(memory[1]) / unit


def commands(options, only):
    """The commands that measure pixelloom and PyTorch."""
    common = ["--only", only, "--seconds", options.seconds, "--threads", options.threads]
    ours = [options.steps, *common, "--device", options.rust_device]
    return ours, [sys.executable, __file__, "--torch-only", *common, "--device", options.device]


def table(head, rows):
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def digits(x):
    """Formats a number with about three significant digits."""
    return f"{x:,.{max(0, 2 - int(math.floor(math.log10(abs(x)))))}f}" if x else "0"


def compare(options):
    ours, theirs, peaks = {}, {}, []
    for turn in range(options.turns):
        for command, figures in zip(commands(options, options.only), (ours, theirs)):
            found, peak, _ = run(command)
            peaks += [peak] if peak else []
            for key, figure in found.items():
                figures.setdefault(key, []).append(figure)
        print(f"turn {turn + 1} of {options.turns}", file=sys.stderr)
    rows = []
    for key, turns in ours.items():
        speeds = [float(f["images"]) for f in turns]
        peers = [float(f["images"]) for f in theirs.get(key, [])]
        ratios = [a / b for a, b in zip(speeds, peers)]
        gflops = statistics.median(speeds) * float(turns[0]["mflop"]) / 1e3
        rows.append([
            key[0] + (", sampling" if key[1] == "sample" else ""),
            digits(statistics.median(speeds)),
            digits(statistics.median(peers)) if peers else "",
            " ".join(digits(r) for r in ratios),
            digits(statistics.median(ratios)) if ratios else "",
            digits(gflops),
            f"{100 * gflops / max(peaks):.0f} %" if peaks else "",
        ])
    peak = f"; peak {max(peaks):.0f} GFLOP/s" if peaks else ""
    print(f"{options.turns} turns, {options.threads} threads, pixelloom on {options.rust_device}{peak}; PyTorch on {options.device}\n")
    table(
        ["workload", "pixelloom, images/s", "PyTorch, images/s", "ratios by turn", "median ratio", "GFLOP/s", "of peak"],
        rows,
    )


def memory(options):
    """Prints the peak memory of every workload, each measured in its own process, and of PyTorch without a workload."""
    import torch

    rows = []
    for name, task, *_ in build_networks(torch):
        if f"{name} {task}".startswith(options.only):
            ours, theirs = (run(c)[2] for c in commands(options, f"{name} {task}"))
            rows.append([f"{name}, {task}", f"{ours:,.0f}", f"{theirs:,.0f}"])
    loaded = run([sys.executable, "-c", "import torch"])[2]
    print(f"Peak memory of the process, MiB; PyTorch loaded and idle takes {loaded:,.0f}.\n")
    table(["workload", "pixelloom", "PyTorch"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only workloads whose names begin with this prefix")
    parser.add_argument("--turns", type=int, default=5, help="runs of each program")
    parser.add_argument("--seconds", type=float, default=4, help="seconds per workload and turn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"], help="device of PyTorch")
    parser.add_argument("--rust-device", help="device of pixelloom [default: cpu, or gpu if PyTorch uses cuda]")
    parser.add_argument("--steps", help="path of the steps benchmark, if it is built already")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead of speed")
    parser.add_argument("--torch-only", action="store_true", help="measure PyTorch alone")
    options = parser.parse_args()
    if options.torch_only:
        return measure_torch(options.only, options.seconds, options.threads, options.device)
    options.rust_device = options.rust_device or ("gpu" if options.device == "cuda" else "cpu")
    options.steps = options.steps or steps_binary()
    memory(options) if options.memory else compare(options)


if __name__ == "__main__":
    main()
