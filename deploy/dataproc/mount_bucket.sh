#!/usr/bin/env bash
# Initialization action: mount a bucket as a folder on a node of the cluster, with Cloud Storage FUSE.
#
# Then globs find scenes, and the bucket can hold models and maps. A finished file gets its name by a
# rename. This is one step if the bucket has a hierarchical namespace, else a copy and a removal.
# https://cloud.google.com/storage/docs/cloud-storage-fuse/overview
set -euo pipefail

attribute() { /usr/share/google/get_metadata_value "attributes/$1"; }
bucket=$(attribute polynya-bucket)
mount=$(attribute polynya-mount)

# Images have Google Cloud's package source, but not the part for gcsfuse, which has the same key.
install_gcsfuse() {
    local codename source
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    source=$(grep -rhE '^deb .*google\.com/apt ' /etc/apt/sources.list.d | head -n 1)
    sed -E "s#(google\.com/apt) .*#\1 gcsfuse-$codename main#" <<<"$source" \
        >/etc/apt/sources.list.d/gcsfuse.list
    apt-get update -qq && apt-get install -qq -y gcsfuse
}

if ! command -v gcsfuse >/dev/null && ! install_gcsfuse; then
    echo "Error: gcsfuse can't be installed on this image: put it into a custom image, or name" \
        "another one with IMAGE_VERSION." >&2
    exit 1
fi
mkdir -p "$mount"
# Jobs run as the user yarn; the mount survives a restart of the node.
line="$bucket $mount gcsfuse rw,_netdev,allow_other,implicit_dirs"
line+=",uid=$(id -u yarn),gid=$(id -g yarn),file_mode=664,dir_mode=775"
grep -qF "$line" /etc/fstab || echo "$line" >>/etc/fstab
mountpoint -q "$mount" || mount "$mount"
