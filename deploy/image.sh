#!/usr/bin/env bash
# Builds the image without pulling anything: deploy/image.sh amd64|arm64 ...
#
# The binary is built on this machine, and put into the image by docker, podman or buildah, whichever works here
# (ENGINE=… chooses). target/oci/spillway-ARCH.tar gets it, as `docker load` and `podman load` read it.
set -euo pipefail
cd "$(dirname "$0")/.."

(($#)) || { echo "usage: deploy/image.sh amd64|arm64 ..." >&2; exit 2; }
if [[ -z ${ENGINE:-} ]]; then
  # A docker without its daemon is none.
  if docker buildx inspect >/dev/null 2>&1 && docker info >/dev/null 2>&1; then ENGINE=docker
  elif podman info >/dev/null 2>&1; then ENGINE=podman
  elif command -v buildah >/dev/null; then ENGINE=buildah
  else echo "deploy/image.sh: docker (running, with buildx), podman or buildah is needed (Debian: buildah)" >&2; exit 1
  fi
fi
version=$(cargo run --quiet --locked -p spillway-release -- check)

for arch; do
  deploy/static.sh "$arch" "target/oci/$arch"
  tag=localhost/spillway:$version-$arch tar=target/oci/spillway-$arch.tar
  how=(-f deploy/Dockerfile --target given --platform "linux/$arch" --label "org.opencontainers.image.version=$version" -t "$tag")
  rm -f "$tar"
  case $ENGINE in
    docker) docker buildx build "${how[@]}" --provenance=false --output "type=docker,dest=$tar" target/oci ;;
    podman)
      podman build "${how[@]}" target/oci
      podman save --format docker-archive -o "$tar" "$tag"
      ;;
    buildah)
      # No kernel module, no user namespace: it works in a container, too.
      own=(buildah --storage-driver vfs --root "$PWD/target/oci/storage" --runroot "$PWD/target/oci/run")
      "${own[@]}" bud --isolation chroot "${how[@]}" target/oci
      "${own[@]}" push "$tag" "docker-archive:$tar:$tag"
      rm -rf target/oci/storage target/oci/run
      ;;
    *) echo "deploy/image.sh: no such engine: $ENGINE (docker, podman, buildah)" >&2; exit 2 ;;
  esac
  echo "$tar: $(du -b "$tar" | cut -f1) bytes, linux/$arch, by $ENGINE"
done
