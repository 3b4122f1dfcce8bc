"""Room on the disk: a full one breaks builds and databases in ways that nobody takes for a full disk."""

import shutil

import settings
from progress import LabError

GIB = 1 << 30

# GiB that each begins with. A whole run from nothing takes 4.2 in all; incremental builds take as much again by and by.
PACKAGES, CLOUD, BUILD, MORE_BUILD = 1, 1, 6, 1


def ask(gib, what):
    """Raises unless the build folder's disk has so much room."""
    free = shutil.disk_usage(settings.TARGET.parent if not settings.TARGET.exists() else settings.TARGET).free
    if free < gib * GIB:
        raise LabError(f"{what} needs {gib} GiB, and the disk of {settings.TARGET} has {free / GIB:.1f} GiB free. Make room there, "
                       f"or name a folder on another disk: CARGO_TARGET_DIR")


def for_building(tests):
    """What a build needs, which is little where most is built."""
    if (settings.BINARIES / "deps").is_dir():
        ask(MORE_BUILD, "building what changed")
    else:
        ask(BUILD if tests else BUILD // 2, "building everything")
