"""What the integration tests are made of; README.md tells how to use it."""

from .bucket import Bucket, OssError
from .build import Build
from .mount import Mount, MountFailed, unmount
from .server import Server
from .wait import wait_until

__all__ = ["Bucket", "Build", "Mount", "MountFailed", "OssError", "Server", "unmount", "wait_until"]
