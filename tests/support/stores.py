"""A real S3 server on loopback, for the tests of remote folders."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def s3() -> Iterator[tuple[dict[str, str], Any]]:
    """A server in a process of its own: the environment that leads to it, and its file system."""
    pytest.importorskip(
        "moto.server", reason="the S3 server of the tests: pip install moto[server]"
    )
    s3fs = pytest.importorskip("s3fs")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().decode().strip()
            environment = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
            fs = s3fs.S3FileSystem(
                key="test",
                secret="test",
                endpoint_url=environment["AWS_ENDPOINT_URL"],
                use_listings_cache=False,
                skip_instance_cache=True,
            )
            for attempt in range(50):
                try:
                    fs.mkdir("photos")
                    break
                except OSError:
                    if attempt == 49:
                        raise
                    time.sleep(0.1)
            yield environment, fs
        finally:
            process.kill()
