"""Makes the files. Runs as the account, on the server: python3 - COUNT."""

import os
import random
import subprocess
import sys

count = int(sys.argv[1])
home = os.fsencode(os.path.expanduser("~"))
os.chdir(home)
os.umask(0o022)
chance = random.Random(2022)
blob = chance.randbytes(1 << 20)

os.mkdir(b"visits")
folders = 100
for f in range(folders):
    folder = b"tree/%03d" % f
    os.makedirs(folder + b"/deep/er/\xe4\xf6\xfc caf\xe9")  # Latin-1, not UTF-8
    for n in range(count // folders):
        size = chance.choice((0, 100, 700, 3000, 9000, 30000))
        start = chance.randrange(len(blob) - size)
        with open(folder + b"/file %05d.dat" % n, "wb") as file:
            file.write(blob[start : start + size])
    os.utime(folder + b"/file 00000.dat", ns=(10**18 + f, 1_234_567_890_123_456_789 + f))

# Hard links, in one folder and across folders.
for n in range(50):
    os.link(b"tree/000/file %05d.dat" % n, b"tree/001/linked %05d.dat" % n)
    os.link(b"tree/000/file %05d.dat" % n, b"tree/000/linked %05d.dat" % n)

# A sparse file: 256 MB that take 12 KB.
with open("sparse.img", "wb") as file:
    for place in (0, 100 << 20, (256 << 20) - 4096):
        file.seek(place)
        file.write(blob[:4096])

# Names.
os.mkdir(b"names")
for name in (
    b"\xff\xfe not utf-8",
    b"new\nline",
    b"tab\there",
    b"'quotes' and \"more\"",
    b"-rf",
    b"* ? [glob] $HOME `id`",
    b"back\\slash",
    b" leading and trailing ",
    "combining e\u0301 and composed \u00e9 🐑".encode(),
    b"x" * 255,
):
    with open(b"names/" + name, "wb") as file:
        file.write(name)

# Symlinks: within, dangling, absolute, to a folder.
os.mkdir("links")
for target, name in (
    ("../tree/000/file 00001.dat", "relative"),
    ("nowhere", "dangling"),
    ("/etc/hostname", "absolute"),
    ("../tree/002", "folder"),
    ("loop", "loop"),
):
    os.symlink(target, f"links/{name}")

# Modes, ACLs, extended attributes.
os.mkdir("rights")
for mode in (0o400, 0o600, 0o640, 0o755, 0o777, 0o000):
    with open(f"rights/{mode:03o}", "w") as file:
        file.write("x")
    os.chmod(f"rights/{mode:03o}", mode)
os.mkdir("rights/shared")
os.chmod("rights/shared", 0o775)
subprocess.run(["setfacl", "-m", "u:www-data:rwX,g:adm:r,d:u:www-data:rwX,d:m::rwx", "rights/shared"], check=True)
with open("rights/shared/inherits", "w") as file:
    file.write("the default ACL came along\n")
subprocess.run(["setfacl", "-m", "u:nobody:r,u:12345:rw", "rights/640"], check=True)
os.setxattr("rights/755", "user.colour", b"\x00br\xffown")

with open("public_html/hello.txt", "w") as file:
    file.write("hello from the pasture\n")
