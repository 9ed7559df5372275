# SPDX-License-Identifier: GPL-2.0-only
"""Imports every module of Python's standard library that can be imported here, and says which cannot."""

import importlib
import sys

# These act when they are imported: a browser is opened, a poem is printed.
ACTING = {"antigravity", "this"}

names = sorted(n for n in sys.stdlib_module_names if not n.startswith("_") and n not in ACTING)
failed = []
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed.append(f"{name}: {error}")
print(f"{len(names) - len(failed)} modules imported, {len(sys.modules)} loaded in all")
for line in failed:
    print(f"not importable: {line}")
