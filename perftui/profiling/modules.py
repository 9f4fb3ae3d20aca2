"""Tells from the path of a file which module it is and to whom its code belongs.

Nothing is looked up on the disk: the process may run in a container or on files that are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, TypeAlias

from perftui.snapshot import Stacks

Kind: TypeAlias = Literal["own", "library", "standard", "native"]
"""own: the program's code; library: installed packages; standard: Python's own; native: C."""

NO_FILE = "(no file)"

_INSTALLED = re.compile(r"^(?:.*/)?(?:site|dist)-packages/(.+)$")
_EGG = re.compile(r"^[^/]+\.egg/(.+)$")
_STANDARD = re.compile(
    r"^(?:.*/)?(?:lib(?:32|64)?/(?:python|pypy)\d[\d.]*t?(?:/lib-dynload)?|python\d+\.zip)/(.+)$"
    r"|^[A-Za-z]:/.*/Lib/(.+)$"
)
_FROZEN = re.compile(r"<frozen (.+)>")
_SCRIPTS = re.compile(r"^(?:.*/)?(?:bin|sbin|Scripts)/[^/]+$")
_INTERPRETER = re.compile(r"(?:python|pypy)[\d.]*[a-z]*(?:\.exe)?")
_NATIVE = re.compile(
    r"(?:\.so(?:\.[\w.]+)?|\.(?:dylib|dll|pyd|c|cc|cpp|cxx|h|hh|hpp|rs|go|S|s|f|f90|m|mm))$"
    r"|^\[[^/]*\]$"
)
_SOURCE = re.compile(r"\.py[cowx]?$")
_CYTHON_TAG = re.compile(r"\.(?:cpython|pypy|abi3)[^/]*$")


@lru_cache(maxsize=8192)
def kind_of(file: str) -> Kind:
    """Return whose code a file holds; a file without a name is native."""
    if not file:
        return "native"
    path = file.replace("\\", "/")
    base = path.rpartition("/")[2]
    if _NATIVE.search(base):
        return "native"
    if _FROZEN.fullmatch(path):
        return "standard"
    if _INSTALLED.match(path):
        return "library"
    if _SCRIPTS.match(path):
        return "native" if _INTERPRETER.fullmatch(base) else "library"
    if _STANDARD.match(path):
        return "standard"
    return "own"


def module_name(file: str, root: str = "") -> str:
    """Return the dotted name of a file's module, `shop.price` for shop/price.py.

    `root` is the directory that the program's own modules are below (see `own_root`). A native
    file keeps its name, and so does what is no file, such as `<string>`.
    """
    if not file:
        return NO_FILE
    path = file.replace("\\", "/")
    frozen = _FROZEN.fullmatch(path)
    if frozen is not None:
        return frozen.group(1)
    kind = kind_of(file)
    if kind == "native":
        return path.rpartition("/")[2]
    if kind == "library":
        found = _INSTALLED.match(path)
        inside = found.group(1) if found is not None else path.rpartition("/")[2]
        egg = _EGG.match(inside)
        return _dotted(egg.group(1) if egg is not None else inside)
    if kind == "standard":
        found = _STANDARD.match(path)
        return _dotted((found.group(1) or found.group(2)) if found is not None else path)
    if root and path.startswith(root):
        path = path[len(root) :]
    return _dotted(path)


def own_root(files: Iterable[str], scripts: Iterable[str] = ()) -> str:
    """Return the directory, with its slash, that the program's own modules are below.

    It is the one that all `files` of the program share. Where none of the `scripts`, the files
    that threads begin in, lies directly there, that directory is taken for a package of its own.
    """
    paths = [
        path.split("/")[:-1]
        for file in files
        if kind_of(file) == "own" and (path := file.replace("\\", "/"))[:1] != "<"
    ]
    if not paths:
        return ""
    shared: list[str] = []
    # What the first and the last in order share, all between them share.
    for left, right in zip(min(paths), max(paths), strict=False):
        if left != right:
            break
        shared.append(left)
    homes = {script.replace("\\", "/").rpartition("/")[0] for script in scripts}
    if shared and shared != [""] and "/".join(shared) not in homes:
        shared = shared[:-1]
    return "".join(f"{part}/" for part in shared)


def module_names(stacks: Stacks) -> dict[str, str]:
    """Return the module of each file in a profile."""
    places = stacks.places
    files = dict.fromkeys(place.file for place in places)
    outermost = {stack.places[0] for stack in stacks.stacks if stack.places}
    scripts = {places[place].file for place in outermost if places[place].function == "<module>"}
    root = own_root(files, scripts)
    return {file: module_name(file, root) for file in files}


def _dotted(path: str) -> str:
    path = _CYTHON_TAG.sub("", _SOURCE.sub("", path)).strip("/")
    path = path.removesuffix("/__init__")
    return path.replace("/", ".") or NO_FILE
