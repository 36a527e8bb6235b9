#!/usr/bin/env bash
# Initialization action: show a bucket as a folder on a node of the cluster, with Cloud Storage FUSE.
#
# The stages write folders. Cloud Storage FUSE renames a folder file by file, unless the bucket has a
# hierarchical namespace; then a rename is one step, as on a disk.
# https://cloud.google.com/storage/docs/cloud-storage-fuse/overview
set -euo pipefail

attribute() { /usr/share/google/get_metadata_value "attributes/$1"; }
bucket=$(attribute polynya-bucket)
mount=$(attribute polynya-mount)

if ! command -v gcsfuse >/dev/null; then
    if ! { apt-get update -qq && apt-get install -qq -y gcsfuse; }; then
        echo "Error: gcsfuse is not in the package sources of this image: take an image that has" \
            "it, or add Google Cloud's package source in a custom image." >&2
        exit 1
    fi
fi
mkdir -p "$mount"
# Jobs run as the user yarn; the mount survives a restart of the node.
line="$bucket $mount gcsfuse rw,_netdev,allow_other,implicit_dirs,rename_dir_limit=1000000"
line+=",uid=$(id -u yarn),gid=$(id -g yarn),file_mode=664,dir_mode=775"
grep -qF "$line" /etc/fstab || echo "$line" >>/etc/fstab
mountpoint -q "$mount" || mount "$mount"
