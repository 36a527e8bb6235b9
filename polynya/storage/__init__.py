"""Files and folders of products, on disks and in object stores: whole, locked, and only ours."""
