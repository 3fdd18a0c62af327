# Functions of the scripts in this folder.

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

fail() {
    echo "$*" >&2
    exit 1
}

# install FILE PACKAGE...: installs Debian packages, unless the file that they bring exists.
install() {
    [ -e "$1" ] && return
    local as_root=sudo
    [ "$(id -u)" != 0 ] || as_root=
    if $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}" >/dev/null &&
        [ -e "$1" ]; then
        return
    fi
    fail "$1 is missing, and this machine cannot install it; on Debian or Ubuntu, run: apt-get install ${*:2}"
}

# Installs the standard library of a target, unless it is there.
add_target() {
    rustup target list --installed | grep -qx "$1" || rustup target add "$1" ||
        fail "the target $1 is missing, and this machine cannot install it; where there is a network, run: rustup target add $1"
}
