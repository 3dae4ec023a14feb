"""What was compiled, on disk, in the user's cache directory; a damaged or missing entry is made again.

The key of an entry holds what it was made from and the versions of what made it, so no entry is ever wrong, only
unused. Files are written beside their place and moved there, so that a reader sees a whole file or none. When they
have grown beyond a bound, those that were not read for longest go. Of several processes that want the same entry one
makes it, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from implicitdsl.backends.lanes import bitcode

try:
    import fcntl
except ImportError:
    fcntl = None  # no locks outside POSIX: several processes may make the same entry

FOLDER = "IMPLICITDSL_CACHE"
"""The environment variable that names another cache directory."""
BOUND = "IMPLICITDSL_CACHE_MB"
"""The environment variable that bounds its size, in megabytes."""
USUAL_BOUND = 512
DAY = 86400.0
LOOK_EVERY = 64
"""Entries written by a process between two looks at the size of the directory."""
PATIENCE = 600.0
"""Seconds that a process waits for what another one makes, before it makes it itself."""
GLANCE = 0.02
"""Seconds between two looks whether it is done."""

TIDYING = ("backends/lanes/passes.py",)
"""What makes bitcode of a text."""
LOWERING = (
    "element", "inference", "instructions", "lower", "lower_expressions", "model_functions", "operators", "power",
    "rows", "source", "tiles", "word_names", "words",
)  # fmt: skip
"""Modules beside this one that make a text of every solver for lanes."""
OURS = re.compile(r"[0-9a-f]{40}\.[a-z]+|tmp\w{8}")
"""The names of entries; anything else in the directory is not ours to remove, whoever named it. The empty files of
locks, 512 at most, are none: a lock whose file may go is none."""

_written = 0


def cache_folder() -> Path | None:
    """The cache directory, made with access for its owner alone; None where there can be none."""
    try:
        named = os.environ.get(FOLDER, "")
        folder = _named_folder(named) if named else _usual_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = folder.stat()
    except OSError:
        return None
    # Code is loaded from here: a directory that others may write to, or own, is left alone.
    return folder if facts.st_uid == os.getuid() and not facts.st_mode & 0o022 else None


@cache
def _named_folder(named: str) -> Path:
    """A relative name is one in the directory where the program first looked, and stays there wherever it goes."""
    return Path(os.path.expanduser(named)).absolute()


def _usual_folder() -> Path:
    # Imported here: a layer that was compiled ahead runs without it.
    from platformdirs import user_cache_path

    return user_cache_path("implicitdsl")


def installed(name: str) -> str:
    """The version of a distribution, or `none`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@cache
def fingerprint(files: tuple[str, ...]) -> str:
    """A hash of some sources of this package (paths inside it) and of the version of llvmlite, which compiles them. The
    version of Python is not among them: what is made of a source computes the same under each."""
    found = hashlib.sha256()
    root = Path(__file__).parents[2]
    for name in (installed("llvmlite"), platform.machine()):
        found.update(name.encode() + b"\0")
    for name in files:
        found.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return found.hexdigest()


def kept(key: Iterable[object], make: Callable[[], str | bytes]) -> bytes:
    """The bitcode that `make` gives, or that of its LLVM text: from the package or the cache if it is there, else made
    and kept in the cache."""
    whole = (fingerprint(TIDYING), *key)
    name = hashlib.sha256("\0".join(str(part) for part in whole).encode()).hexdigest()[:40] + ".bc"
    content = bitcode.find(name)
    if content is None:
        content = _kept(name, lambda: _tidied(make()))
    bitcode.note(name, content)
    return content


def kept_object(key: str, make: Callable[[], bytes]) -> bytes:
    """The object file under a key: from disk if it is there, else made and put there."""
    return _kept(f"{key[:40]}.o", make)


def kept_sized(key: str, make: Callable[[], bytes]) -> bytes:
    """As `kept_object`, for the bitcode of a solver for the sizes of a model."""
    return _kept(f"{key[:40]}.sized", make)


def kept_model(key: str, make: Callable[[], bytes]) -> bytes:
    """As `kept_object`, for the code of a model without a solver."""
    return _kept(f"{key[:40]}.model", make)


def _tidied(made: str | bytes) -> bytes:
    if isinstance(made, bytes):
        return made
    from implicitdsl.backends.lanes.passes import tidied

    return tidied(made)


def _kept(name: str, make: Callable[[], bytes]) -> bytes:
    found = find(name)
    if found is not None:
        return found
    with _alone(name):
        # Another process may have made it in the meantime.
        found = find(name)
        if found is None:
            found = make()
            keep(name, found)
    return found


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """No other process makes the entry inside, unless this one has waited for `PATIENCE`: what is made twice is made
    twice alike, so that nothing but time depends on the lock."""
    folder = cache_folder()
    handle = None if folder is None or fcntl is None else _opened(folder / _lock(name))
    if handle is None:
        yield
        return
    try:
        waited = 0.0
        while waited < PATIENCE and not _locked(handle):
            time.sleep(GLANCE)
            waited += GLANCE
        yield
    finally:
        # The system takes a lock back from a process that dies. Told in words all the same: a child that was forked
        # inside has the file open too, and would go on holding it.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _lock(name: str) -> str:
    """The file whose lock an entry is made under. A solver for the sizes of a model is made while the object of that
    model is: were their locks of one kind, two processes might wait for one another."""
    return f"{name[:2]}{'.sized' if name.endswith('.sized') else ''}.lock"


def _opened(place: Path) -> int | None:
    try:
        return os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _locked(handle: int) -> bool:
    """Whether the lock is now this process's; a file system without locks lets everybody pass."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def find(name: str) -> bytes | None:
    """The entry of a name, or None."""
    folder = cache_folder()
    return None if folder is None else read(folder / name)


def is_kept(name: str) -> bool:
    """Whether there is an entry of a name, damaged or not."""
    folder = cache_folder()
    return folder is not None and (folder / name).exists()


def keep(name: str, content: bytes) -> None:
    """Puts an entry under a name, if there is a place for it."""
    global _written
    folder = cache_folder()
    if folder is None:
        return
    write(folder / name, content)
    if _written % LOOK_EVERY == 0:
        evict(folder)
    _written += 1


def bound() -> int:
    """The bytes that the cache may hold."""
    given = os.environ.get(BOUND, "")
    return (int(given) if given.isdecimal() else USUAL_BOUND) << 20


def evict(folder: Path, most: int | None = None) -> int:
    """Removes the entries that were not read for longest until at most `most` bytes are left (three quarters of the
    bound, once it is exceeded). Gives the number removed; what another process removes first is no error."""
    entries: list[tuple[float, int, Path]] = []
    try:
        with os.scandir(folder) as inside:
            for entry in inside:
                if OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    entries.append((facts.st_mtime, facts.st_size, Path(entry.path)))
    except OSError:
        return 0
    total = sum(size for _, size, _ in entries)
    if most is None:
        if total <= bound():
            return 0
        most = bound() * 3 // 4
    removed = 0
    for _, size, path in sorted(entries):
        if total <= most:
            break
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue
        total -= size
        removed += 1
    return removed


def read(path: Path) -> bytes | None:
    """What `write` put there; None where there is nothing, or something else than it put there."""
    try:
        with path.open("rb") as file:
            whole = file.read()
            read_at = os.fstat(file.fileno()).st_mtime
    except OSError:
        return None
    # A digest stands before the content, because LLVM may crash on a torn file.
    digest, code = whole[:32], whole[32:]
    if hashlib.sha256(code).digest() != digest:
        return None
    if time.time() - read_at > DAY:
        _touch(path)
    return code


def _touch(path: Path) -> None:
    """Marks an entry as read today; that is what eviction goes by."""
    try:
        os.utime(path)
    except OSError:
        # The entry is gone, or the disk read-only: nothing to mark.
        return


def write(path: Path, code: bytes) -> None:
    """Put it there, whole or not at all."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix="tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(temporary, path)
    except OSError:
        # A full or read-only disk costs time at the next start, nothing else.
        if temporary:
            Path(temporary).unlink(missing_ok=True)
