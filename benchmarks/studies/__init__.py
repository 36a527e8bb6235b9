"""Small versions of the studies that ship: tiles, sweep, what came out beside the paper."""
