"""What is done with freed memory, seen from outside: page faults of a process that makes and frees large tensors."""

import subprocess
import sys

import pytest

from eyespot.fast import enabled

CODE = """
import random, resource, sys, torch
from eyespot import fast
assert getattr(fast, sys.argv[1])() in (True, None)
random.seed(0)
def work():
    before, live = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, []
    for _ in range(100):
        live.append(torch.ones(random.randint(1000, 4 << 20)))
        if len(live) > 6:
            live.pop(random.randrange(6))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def held():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) >> 10 for line in file if line.startswith("VmRSS"))
start = held()
faults = [work() for _ in range(6)]
print(sum(faults[3:]), held() - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
@pytest.mark.skipif(not enabled(), reason="EYESPOT_FAST=0: the fast code is switched off")
def test_kept_memory_is_used_again_and_returned_memory_is_gone():
    found = {}
    for name in ("keep_freed", "return_freed"):
        done = subprocess.run([sys.executable, "-c", CODE, name], capture_output=True, text=True, check=True)
        found[name] = tuple(map(int, done.stdout.split()))
    (few, held), (many, left) = found["keep_freed"], found["return_freed"]
    assert few < 1000 < 100_000 < many, found  # page faults of 4 kB
    assert left < 20 < held < 500, found  # MB, of up to 112 alive at once
