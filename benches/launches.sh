#!/bin/sh
# Training steps before and after a change, in turns, and PyTorch beside them: for a machine with a GPU.
#
#     benches/launches.sh BEFORE [TURNS] [SECONDS]
#
# BEFORE is the commit to compare the working tree with. Workloads are those of `cargo bench --bench steps`. PyTorch
# (benches/peer.py --torch-only, needs `torch` with CUDA) is measured twice: its convolutions may round to tf32, its
# default, or may not. Without PyTorch the script says so and measures the rest.
set -eu
before=${1:?usage: benches/launches.sh BEFORE [TURNS] [SECONDS]}
turns=${2:-3}
seconds=${3:-2}
root=$(git rev-parse --show-toplevel)
cd "$root"
work=$(mktemp -d)
trap 'git worktree remove --force "$work/before" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/before" "$before"

# Builds the benchmark of a tree and prints its path.
steps_of() {
    (cd "$1" && CARGO_TARGET_DIR="$2" cargo bench --bench steps --no-run --message-format=json) |
        sed -n 's/.*"executable":"\([^"]*\/steps-[^"]*\)".*/\1/p' | tail -n 1
}
old=$(steps_of "$work/before" "$work/target")
new=$(steps_of "$root" "${CARGO_TARGET_DIR:-$root/target}")

for turn in $(seq "$turns"); do
    echo "# turn $turn, before: $(git rev-parse --short "$before")"
    "$old" --device gpu --seconds "$seconds"
    echo "# turn $turn, after: $(git describe --always --dirty)"
    "$new" --device gpu --seconds "$seconds"
done

if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    echo "# PyTorch, eager, tf32 allowed in convolutions"
    python3 benches/peer.py --torch-only --device cuda --seconds "$seconds"
    echo "# PyTorch, eager, without tf32"
    NVIDIA_TF32_OVERRIDE=0 python3 benches/peer.py --torch-only --device cuda --seconds "$seconds"
else
    echo "# PyTorch with CUDA is not installed: it was not measured"
fi
