#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""
randlayers: random layers that are full of marks. For a differential test: two implementations
mounted on the same layers must show the same thing.

    randlayers.py SEED ROUND DIR [OTHER-DIR]

Makes layers below DIR (some below OTHER-DIR, another filesystem, if it is given) and prints the
mount options for them. The same numbers give the same layers. A few names at a few depths are
used again and again, so that they meet in different layers: files, directories, links, devices;
whiteouts of both kinds; opaque marks, right and wrong; redirects, absolute and relative, to what
is there and to what is not; metacopy files with and without data; attributes of the stack and
others; owners and modes.
"""
import os
import random
import stat
import sys

NAMES = ['a', 'b', 'c', 'd', 'e']
PREFIX = 'trusted.overlay.'


class Layers:
    def __init__(self, rng, dirs):
        self.rng = rng
        self.dirs = dirs

    def path(self, depth):
        """An absolute path inside the stack; mostly of something that is likely to exist."""
        rng = self.rng
        return '/' + '/'.join(rng.choice(NAMES) for _ in range(rng.randint(1, depth)))

    def mark(self, path, name, value):
        os.setxattr(path, PREFIX + name, value, follow_symlinks=False)

    def redirect(self, path):
        rng = self.rng
        if rng.random() < 0.6:
            value = self.path(3)
        else:
            value = rng.choice(NAMES)
        if rng.random() < 0.06:
            value = rng.choice(['', '/', '//a', '/a/', 'a/b', '/a//b', '/no/such', 'none', '/' + 'n' * 300])
        self.mark(path, 'redirect', value.encode())

    def decorate(self, path, kind):
        rng = self.rng
        if kind != 'link':
            os.chmod(path, rng.choice([0o755, 0o644, 0o600, 0o711, 0o777, 0o4755, 0o1777]))
        if rng.random() < 0.3:
            os.chown(path, rng.choice([0, 1000, 4000]), rng.choice([0, 1000]), follow_symlinks=False)
        if kind in ('dir', 'file') and rng.random() < 0.3:
            os.setxattr(path, 'user.' + rng.choice(NAMES), os.urandom(0) + path.encode())
        if rng.random() < 0.1:
            self.mark(path, rng.choice(['origin', 'impure', 'nlink', 'overlay.opaque', 'overlay.redirect', 'x']), b'y')
        os.utime(path, ns=(rng.randint(0, 2**60), rng.randint(0, 2**60)), follow_symlinks=False)

    def directory(self, path, depth, budget):
        rng = self.rng
        os.mkdir(path)
        if rng.random() < 0.15:
            self.mark(path, 'opaque', rng.choice([b'y', b'y', b'x', b'', b'yy', b'z']))
        elif rng.random() < 0.35:
            # A directory with whiteouts of the second kind that is not marked for them may be
            # listed either way: so mark many.
            self.mark(path, 'opaque', b'x')
        if rng.random() < 0.3:
            self.redirect(path)
        self.fill(path, depth - 1, budget)
        self.decorate(path, 'dir')

    def marked_x(self, directory):
        try:
            return os.getxattr(directory, PREFIX + 'opaque') == b'x'
        except OSError:
            return False

    def entry(self, path, depth, budget):
        rng = self.rng
        p = rng.random()
        if p < 0.45 and depth > 0:
            self.directory(path, depth, budget)
        elif p < 0.60:
            with open(path, 'wb') as f:
                f.write(rng.randbytes(rng.randint(0, 5000)))
            self.decorate(path, 'file')
        elif p < 0.72:
            with open(path, 'wb') as f:
                f.truncate(rng.randint(0, 3000))
            self.mark(path, 'metacopy', rng.choice([b'', b'', b'', b'\0\4\0\0', b'\0']))
            if rng.random() < 0.5:
                self.redirect(path)
            self.decorate(path, 'file')
        elif p < 0.82:
            os.mknod(path, stat.S_IFCHR, 0)
        elif p < 0.87 and self.marked_x(os.path.dirname(path)):
            open(path, 'wb').close()
            self.mark(path, 'whiteout', b'')
        elif p < 0.92:
            os.symlink(rng.choice(NAMES), path)
            self.decorate(path, 'link')
        elif p < 0.96:
            os.mknod(path, stat.S_IFIFO | 0o644)
            self.decorate(path, 'fifo')
        else:
            os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 3))
            self.decorate(path, 'device')

    def fill(self, directory, depth, budget):
        for name in NAMES:
            if budget[0] > 0 and self.rng.random() < 0.75:
                budget[0] -= 1
                self.entry(os.path.join(directory, name), depth, budget)

    def make(self):
        for d in self.dirs:
            os.makedirs(d)
            self.fill(d, 3, [60])


def main():
    seed, number = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed * 100003 + number)
    bases = sys.argv[3:]
    count = rng.randint(2, 5)
    data = rng.choice([0, 0, 1, 2])
    dirs = [os.path.join(rng.choice(bases), 'round%d' % number, 'l%d' % i) for i in range(count + data)]
    Layers(rng, dirs).make()
    lower = ':'.join(dirs[:count]) + ''.join('::' + d for d in dirs[count:])
    options = ['lowerdir=' + lower]
    if rng.random() < 0.8:
        metacopy = rng.choice(['on', 'on', 'off'])
        options.append('metacopy=' + metacopy)
        options.append('redirect_dir=' + ('on' if metacopy == 'on' else rng.choice(['on', 'follow', 'nofollow'])))
    options.append('xino=' + rng.choice(['on', 'auto', 'on']))
    print(','.join(options))


main()
