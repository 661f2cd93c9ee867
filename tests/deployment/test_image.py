"""The image: it is built from the Containerfile without an engine, and runs as nobody on a read-only root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from grpc_calls import Calls
from operations.conftest import page

from cached_folders import ROOT, cached_folder
from system_programs import program
from virtualenvs import pip

# A new machine makes the base first, of packages of Debian: images of a registry cannot be had everywhere.
pytestmark = pytest.mark.timeout(1200)

CONTAINERFILE = ROOT / "service/deploy/Containerfile"
NOBODY = 65532
# In a mount namespace of its own: the root cannot be written, but for what the image says is written.
CONFINED = """
mount --make-rprivate /
mount --bind "$1" "$1"
mount -t tmpfs -o mode=0700,uid=65532,gid=65532 tmpfs "$1/data"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount -o remount,bind,ro "$1"
root=$1
shift
exec setpriv --no-new-privs chroot --userspec=65532:65532 --groups= "$root" "$@"
"""


class Image(NamedTuple):
    """What a runtime gets: the configuration, and the root."""

    config: dict[str, Any]
    root: Path

    def command(self, *words: str, **settings: str) -> list[str]:
        """Return the command that runs these words in the image, which must not be able to write its root."""
        unshare = program("unshare", packages=("util-linux",))
        environment = [*self.config["Env"], *(f"{name}={value}" for name, value in settings.items())]
        inside = ["env", "-i", "-C", "/data", *environment, *words]
        return [unshare, "--mount", "sh", "-euc", CONFINED, "sh", str(self.root), *inside]


def base(folder: Path) -> None:
    """Make a root with Python, of packages of Debian."""
    debootstrap = program("debootstrap", packages=("debootstrap",))
    packages = "--include=python3-venv,ca-certificates"
    subprocess.run([debootstrap, "--variant=minbase", packages, "bookworm", folder / "root"], check=True, timeout=900)
    # pip trusts in there whom it trusts here.
    known = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if known:
        shutil.copyfile(known, folder / "root/etc/ssl/certs/ca-certificates.crt")
    (folder / "root/etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Build the image as the first lines of the Containerfile say, from the wheel of this checkout."""
    if os.geteuid() != 0:
        pytest.skip("a root without an engine is made by root alone; the file itself is checked by `make check`")
    folder = tmp_path_factory.mktemp("image")
    context = folder / "context"
    (context / "dist").mkdir(parents=True)
    shutil.copytree(ROOT / ".ci/requirements", context / ".ci/requirements")
    shutil.copy(ROOT / ".dockerignore", context)
    pip("wheel", "--no-deps", "--wheel-dir", context / "dist", ROOT)
    (context / "dist/tallymark.cdx.json").write_text("{}")
    buildah = program("buildah", packages=("buildah",))
    store = ["--root", str(folder / "store"), "--runroot", str(folder / "run")]
    # Not every file system can be the layer of another; `vfs` copies each layer, which takes minutes.
    overlay = [
        buildah,
        "--storage-driver",
        "overlay",
        "--root",
        str(folder / "try"),
        "--runroot",
        str(folder / "run"),
        "info",
    ]
    works = subprocess.run(overlay, capture_output=True, check=False).returncode == 0
    store += ["--storage-driver", "overlay" if works else "vfs"]

    def build(*words: str | Path) -> str:
        done = subprocess.run(
            [buildah, *store, *words],
            capture_output=True, text=True, check=False, env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return done.stdout.strip()

    with cached_folder("image-base", ["bookworm", "1"], base, shared=True) as made:
        container = build("from", "scratch")
        build("add", "--quiet", container, made / "root", "/")
        build("commit", "--quiet", "--rm", container, "localhost/base")
    named = ["--build-arg", "BASE=localhost/base", "--build-arg", "VERSION=0.2.0", "--format", "docker"]
    build("build", "--network", "host", *named, "--file", CONTAINERFILE, "--tag", "tallymark", context)
    container = build("from", "--pull-never", "localhost/tallymark")
    inspected = json.loads(build("inspect", "--type", "image", "localhost/tallymark"))
    yield Image(inspected["Docker"]["config"], Path(build("mount", container)))
    build("umount", "--all")
    shutil.rmtree(folder / "store")


def test_the_image_says_how_it_runs(image: Image) -> None:
    """It has a user that is nobody, ports, a volume, labels and a health check, and installs no pip."""
    config = image.config
    assert config["User"] == f"{NOBODY}:{NOBODY}"
    assert config["Entrypoint"] == ["tallymark", "serve"]
    assert set(config["ExposedPorts"]) == {"50051/tcp", "8080/tcp", "9464/tcp"}
    assert set(config["Volumes"]) == {"/data"}
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert config["Labels"]["org.opencontainers.image.version"] == "0.2.0"
    assert config["StopSignal"] == "SIGTERM"
    assert not (image.root / "opt/tallymark/bin/pip").exists()
    assert (image.root / "usr/share/sbom/tallymark.cdx.json").is_file()


def test_the_image_serves_on_a_read_only_root(image: Image) -> None:
    """As nobody, without capabilities and on a root that it cannot write, it serves, is healthy, and stops in order."""
    settings = {"TALLYMARK_TRUST_NETWORK": "1"}
    settings |= {f"TALLYMARK_{port}": "127.0.0.1:0" for port in ("LISTEN", "HTTP", "METRICS")}
    settings["TALLYMARK_BACKUP_TO"] = "/data/backups"
    command = image.command(*image.config["Entrypoint"], **settings)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = [process.stdout.readline() for _ in range(3)]
            assert all(lines), process.stderr.read()
            address, metrics = lines[0].rsplit(" on ", 1)[1].strip(), lines[2].rsplit(" at ", 1)[1].strip()
            assert Path(f"/proc/{process.pid}/status").read_text().count(f"Uid:\t{NOBODY}\t") == 1
            with grpc.insecure_channel(address) as channel:
                assert Calls(channel).create_model("churn").create_revision == 1
            assert page(metrics.replace("/metrics", "/readyz")).status == 200
            while 'tallymark_backups_total{outcome="success"}' not in page(metrics).text:
                assert 'outcome="failure"' not in page(metrics).text
            # The health check of the image, at the port of this server.
            port = metrics.rsplit(":", 1)[1].split("/")[0]
            check = [word.replace("9464", port) for word in image.config["Healthcheck"]["Test"][1:]]
            assert subprocess.run(image.command(*check), check=False).returncode == 0
            assert subprocess.run(image.command("touch", "/opt/x"), check=False, stderr=subprocess.PIPE).returncode == 1
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, log
    assert '"event": "stopped"' in log or '"event":"stopped"' in log


def test_the_image_does_not_start_unprotected(image: Image) -> None:
    """Without TLS and access control, or the word that the network is trusted, it refuses to listen."""
    done = subprocess.run(
        image.command(*image.config["Entrypoint"]), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert "--trust-network" in done.stderr
