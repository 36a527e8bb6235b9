"""What a rank takes of its machine."""

from __future__ import annotations

import subprocess
import sys

from ranks import ROOT

# A block as large as a great layer's gradient, made and freed again and again.
STEPS = """
import ctypes, resource, sys
from training.devices import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 96 * 2**20

def step():
    block = libc.malloc(ctypes.c_size_t(size))
    ctypes.memset(block, 1, size)
    libc.free(block)

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(how: str) -> int:
    command = [sys.executable, "-c", STEPS, how]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_freed_memory_is_there_for_the_next_step():
    # Without, the system takes it back and clears it anew: 4 x 96 MiB in pages of 4 KiB or 2 MiB.
    assert _page_faults("keep") < 100 < _page_faults("leave")
