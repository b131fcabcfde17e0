"""Makes COUNT files of BYTES in all below ./tree. Runs on the server as the account: python3 - COUNT BYTES."""

import os
import random
import sys

count, total = int(sys.argv[1]), int(sys.argv[2])
os.chdir(os.path.expanduser("~"))
chance = random.Random(4)
blob = chance.randbytes(1 << 22)
mean = total // count
for number in range(count):
    folder = f"tree/{number // 200:04d}"
    if number % 200 == 0:
        os.makedirs(folder)
    size = mean // 8 + chance.randrange(2 * mean - mean // 4 + 1)
    left = size
    with open(f"{folder}/file {number:06d}.dat", "wb") as file:
        while left > 0:
            piece = min(left, len(blob) >> 1)
            start = chance.randrange(len(blob) - piece)
            file.write(blob[start : start + piece])
            left -= piece
