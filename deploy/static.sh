#!/usr/bin/env bash
# Builds what is in the image, on this machine: deploy/static.sh amd64|arm64 [FOLDER]
#
# FOLDER (target/oci/ARCH) gets the binary, which needs nothing of the machine it runs on, and the certificate
# authorities. From either architecture for either; the Dockerfile calls it, and so does `make image`.
set -euo pipefail
cd "$(dirname "$0")/.."

arch=${1:?usage: deploy/static.sh amd64|arm64 [FOLDER]}
out=${2:-target/oci/$arch}
case $arch in
  amd64) target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu ;;
  arm64) target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu ;;
  *) echo "deploy/static.sh: no such architecture: $arch (amd64, arm64)" >&2; exit 2 ;;
esac
# As Debian names compilers, for this machine and for others.
for compiler in "$gnu-gcc" "$gnu-g++"; do
  command -v "$compiler" >/dev/null || {
    echo "deploy/static.sh: $compiler is needed (Debian: g++-${gnu//_/-})" >&2
    exit 1
  }
done
rustlib=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib
[[ -d $rustlib/$target ]] || {
  echo "deploy/static.sh: Rust's library for $target is needed (rustup target add $target)" >&2
  exit 1
}
# Those of this machine go into the image: a clean Debian has Mozilla's and no others.
authorities=${CA_BUNDLE:-/etc/ssl/certs/ca-certificates.crt}
[[ -s $authorities ]] || {
  echo "deploy/static.sh: $authorities is needed (Debian: ca-certificates), or another one in CA_BUNDLE" >&2
  exit 1
}

# Writes the list of crates into the binary, where scanners and `syft` look for it.
cargo install --quiet --locked --root target/tools cargo-auditable@0.7.7
PATH=$PWD/target/tools/bin:$PATH

name=${target//-/_}
export "CARGO_TARGET_${name^^}_LINKER=$gnu-gcc"
export "CARGO_TARGET_${name^^}_RUSTFLAGS=-C target-feature=+crt-static"
# librdkafka's own configure knows no target: it compiles with CC and CXX. What is compiled for this machine has HOST_…
export HOST_CC=cc HOST_CXX=c++ "CC=$gnu-gcc" "CXX=$gnu-g++"
# The linker says that getaddrinfo needs glibc's shared libraries: for what an nsswitch.conf asks for beside files and
# DNS. The image has no nsswitch.conf, and tests/image looks names up.
cargo auditable build --profile image --locked -p spillway --bin spillway --features static --target "$target"

rm -rf "$out"
mkdir -p "$out/etc/ssl/certs"
cp "${CARGO_TARGET_DIR:-target}/$target/image/spillway" "$out/spillway"
cp "$authorities" "$out/etc/ssl/certs/ca-certificates.crt"
# Whoever builds it: the same files, owner and rights.
chmod -R u=rwX,go=rX "$out"
