"""Files and folders of products, on disks and in object stores: writing, locks, ownership."""
