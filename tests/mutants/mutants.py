#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The lists of mutants (*.list beside this file) for scripts/mutants: read, checked, put into a tree.

    mutants.py list                       NAME, kind, file, tests, reason: one a line, between tabs
    mutants.py check TREE                 whether every pattern is in TREE exactly once
    mutants.py entries                    NAME and a hash of the change it says
    mutants.py apply TREE NAME...         makes these changes, prints the files that were changed
    mutants.py weave TREE MAP NAME...     makes these changes so that the module has all of them, each in effect
                                          if its number is in the parameter `mutants`; prints number and name
    mutants.py blame MAP LOG              the names of those that the compiler's errors in LOG are of

Woven means: the body of a function that a change is in becomes a choice between the body with the change and
the body without. What is in no function (a constant) can't be woven, and is not printed.

A list has an entry for each mutant: lines that begin with a word, and what belongs to it.

    mutant  copy-up-never-syncs           its name
    kind    call left out                 of what kind the mistake is
    file    fs/layerfs/engine/copy_up.rs  where
    in      fn sync_data(                 within what begins so (if the text is there more than once)
    find    file.sync(self.c)?;           the text, which is there exactly once
    with                                  what takes its place (left out: nothing)
    tests   577 fsync                     who should notice: numbers and groups of fstests
    same    ...                           instead of tests: why it changes nothing that could be seen

A line that begins with a blank goes on with what was before. White space in `find` stands for any, so that
the text may be formatted in another way. `in` reaches to the brace that closes what it begins.
"""

import glob
import hashlib
import json
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ("kind", "file", "in", "find", "with", "tests", "same")


class Wrong(Exception):
    pass


def read():
    mutants = {}
    for path in sorted(glob.glob(os.path.join(HERE, "*.list"))):
        this, word = None, None
        for number, line in enumerate(open(path), 1):
            line = line.rstrip("\n")
            where = f"{os.path.basename(path)}:{number}"
            if not line or line.startswith("#"):
                continue
            if line[0] in " \t":
                if this is None or word is None:
                    raise Wrong(f"{where}: goes on with nothing")
                this[word] += "\n" + line.strip()
                continue
            word, _, value = line.partition(" ")
            value = value.strip()
            if word == "mutant":
                if not re.fullmatch(r"[a-z0-9-]+", value) or value in mutants:
                    raise Wrong(f"{where}: the name '{value}' is none, or taken")
                this = mutants[value] = {"name": value}
                word = None
            elif this is None or word not in WORDS or word in this:
                raise Wrong(f"{where}: '{word}' has no place here")
            else:
                this[word] = value
    for m in mutants.values():
        if missing := [w for w in ("kind", "file", "find") if not m.get(w)]:
            raise Wrong(f"{m['name']}: no {missing[0]}")
        if not m.get("tests") and not m.get("same"):
            raise Wrong(f"{m['name']}: neither tests nor a reason why there is nothing to notice")
        if " ".join(m["find"].split()) == " ".join(m.get("with", "").split()):
            raise Wrong(f"{m['name']}: changes nothing")
    return mutants


def pattern(text):
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()))


def block(text, begin, name):
    """Where the block reaches that begins with `begin`: to the line that is indented as its first line is."""
    found = list(pattern(begin).finditer(text))
    if len(found) != 1:
        raise Wrong(f"{name}: `in` is there {len(found)} times")
    start = text.rfind("\n", 0, found[0].start()) + 1
    indent = re.match(r"[ \t]*", text[start:]).group()
    end = re.compile(rf"^{indent}\}}", re.M).search(text, found[0].end())
    return start, end.end() if end else len(text)


def place(text, m):
    """Where the change is: the span of the text that is replaced."""
    start, end = block(text, m["in"], m["name"]) if "in" in m else (0, len(text))
    found = list(pattern(m["find"]).finditer(text, start, end))
    if len(found) != 1:
        raise Wrong(f"{m['name']}: what is to be found in {m['file']} is there {len(found)} times, not once")
    return found[0].span()


def change(text, m):
    start, end = place(text, m)
    return text[:start] + m.get("with", "") + text[end:]


# What braces don't count in: comments, strings, characters.
SKIPPED = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?"(?:\\.|[^"\\])*"|c"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""", re.S
)


def bodies(text, is_c):
    """The spans of the bodies of all functions, from brace to brace."""
    blank = SKIPPED.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    begins = r"^\{" if is_c else r"\bfn\s+\w+(?:[^;{\[]|\[[^\]]*\])*\{"
    for begin in re.finditer(begins, blank, re.M):
        depth, at = 0, begin.end() - 1
        for at in range(begin.end() - 1, len(blank)):
            depth += {"{": 1, "}": -1}.get(blank[at], 0)
            if depth == 0:
                break
        yield begin.end() - 1, at + 1


# What a woven module is asked by.
ASK_RUST = """
/// Whether a mutant is in effect.
#[inline(never)]
pub fn mutant(n: u32) -> bool {
    extern "C" {
        fn vfs_mutant(n: u32) -> bool;
    }
    // SAFETY: It reads an array that is constant once the module is loaded.
    unsafe { vfs_mutant(n) }
}
"""
ASK_C = """
static unsigned int mutants[256];
static int mutants_count;
module_param_array(mutants, uint, &mutants_count, 0444);
bool vfs_mutant(unsigned int n);
bool vfs_mutant(unsigned int n)
{
	for (int i = 0; i < mutants_count; i++)
		if (mutants[i] == n)
			return true;
	return false;
}
"""


def weave_file(text, path, mutants):
    """The woven text, and for each mutant the lines that are its own, and which function it is in."""
    is_c = path.endswith(".c")
    spans = list(bodies(text, is_c))
    chosen = {}
    for number, m in mutants:
        start, end = place(text, m)
        around = [span for span in spans if span[0] < start and end < span[1]]
        if around:
            chosen.setdefault(max(around), []).append((number, m, start, end))
    ask = "vfs_mutant" if is_c else "crate::mutant" if path.startswith("rust/vfs/") else "::vfs::mutant"
    lines, places, woven, at = {}, {}, "", 0
    for span in sorted(chosen):
        # One function within another: the inner one stays as it is.
        if span[0] < at:
            continue
        woven += text[at : span[0]] + "{ "
        for number, m, start, end in chosen[span]:
            first = woven.count("\n") + 1
            condition = f"({ask}({number}))" if is_c else f"{ask}({number})"
            woven += f"if {condition} " + text[span[0] : start] + m.get("with", "") + text[end : span[1]] + " else "
            lines[m["name"]] = [path, first, woven.count("\n") + 1]
            places[m["name"]] = f"{path}:{span[0]}"
        woven += text[span[0] : span[1]] + " }"
        for _, m, _, _ in chosen[span]:
            lines[m["name"]].append(woven.count("\n") + 1)
        at = span[1]
    woven += text[at:]
    if is_c:
        woven = woven.replace("\n#include", "\n#include <linux/types.h>\nbool vfs_mutant(unsigned int n);\n#include", 1)
    return woven, lines, places


def weave(tree, map_path, names, all_mutants):
    numbers = {name: number for number, name in enumerate(all_mutants, 1)}
    files, lines, places = {}, {}, {}
    for name in names:
        m = all_mutants[name]
        files.setdefault(m["file"], []).append((numbers[name], m))
    for path, mutants in files.items():
        full = os.path.join(tree, path)
        text, of_file, places_of_file = weave_file(open(full).read(), path, mutants)
        open(full, "w").write(text)
        lines.update(of_file)
        places.update(places_of_file)
    for path, more in (("rust/vfs/vfs.rs", ASK_RUST), ("rust/helpers/pause.c", ASK_C)):
        open(os.path.join(tree, path), "a").write(more)
    json.dump(lines, open(map_path, "w"))
    for name in names:
        if name in lines:
            print(numbers[name], name, places[name])


def blame(map_path, log):
    lines = json.load(open(map_path))
    places = re.findall(r"^error.*\n *--> \S*?/((?:fs|rust)/[^:]*):(\d+)", open(log).read(), re.M)
    places += re.findall(r"/((?:fs|rust)/\S*\.c):(\d+):\d+: error", open(log).read())
    mine = [n for n, (path, first, last, _) in lines.items() if any(path == p and first <= int(l) <= last for p, l in places)]
    # That the two bodies don't go together is said of the other one.
    around = [n for n, (path, first, _, last) in lines.items() if any(path == p and first <= int(l) <= last for p, l in places)]
    for name in mine or around:
        print(name)


def main():
    mutants = read()
    command, *args = sys.argv[1:] or ["help"]
    if command == "list":
        for m in mutants.values():
            tests, same = (" ".join(m.get(w, "").split()) for w in ("tests", "same"))
            print(m["name"], m["kind"], m["file"], tests or "-", same or "-", sep="\t")
    elif command == "check":
        wrong = []
        for m in mutants.values():
            try:
                change(open(os.path.join(args[0], m["file"])).read(), m)
            except (Wrong, OSError) as e:
                wrong.append(str(e))
        if wrong:
            raise Wrong("\n".join(wrong))
    elif command == "entries":
        for m in mutants.values():
            said = repr([m.get(w, "") for w in WORDS if w not in ("tests", "same")])
            print(m["name"], hashlib.sha256(said.encode()).hexdigest()[:16])
    elif command == "weave":
        weave(args[0], args[1], args[2:], mutants)
    elif command == "blame":
        blame(*args)
    elif command == "apply":
        tree, *names = args
        for name in names:
            m = mutants[name]
            path = os.path.join(tree, m["file"])
            text = change(open(path).read(), m)
            open(path, "w").write(text)
            print(m["file"])
    else:
        print(__doc__)
        return 2
    return 0


try:
    sys.exit(main())
except Wrong as e:
    print(e, file=sys.stderr)
    sys.exit(1)
