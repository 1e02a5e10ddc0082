"""Build the container image without Docker and without a registry, and check it.

    make container-check [VARIANT=openvino]

buildah builds deploy/Dockerfile on a Debian with Python that debootstrap makes and that is tagged
with the name of the Dockerfile's base image. The image then runs as a container would: with its own
user and process namespace, a read-only root file system and a tmpfs on /tmp. Needs root for mounts.
"""

import argparse
import errno
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "container"
DOCKERFILE = ROOT / "Dockerfile"
PHOTO = ROOT / "examples" / "astronaut.jpg"
SUITE, SUITE_PYTHON = "trixie", "3.13"
IMAGE = "mien"
LIMIT_MB = {"cpu": 300, "openvino": 700}
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
# The slim images leave these out of Debian, too.
LEFT_OUT = "usr/share/doc usr/share/man usr/share/info usr/share/locale var/cache/apt var/lib/apt"
COMPILERS = {"gcc", "g++", "c++", "clang", "tcc", "ld", "make", "cargo", "rustc"}
INSTALLERS = {"pip", "pip3", "ensurepip", "setuptools"}
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
WRITE = """
import sys
try:
    open(sys.argv[1], "w").close()
except OSError as error:
    print(error.errno)
"""
# Runs in namespaces of its own, so that the mounts end with it.
MOUNT = """
set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=1777,size=64m tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
root=$1 user=$2; shift 2
exec chroot ${user:+--userspec=$user} "$root" "$@"
"""


def main() -> int:
    if os.geteuid() != 0:
        print("container-check mounts file systems, so it needs root", file=sys.stderr)
        return 2
    variant = parsed().variant
    BUILD.mkdir(parents=True, exist_ok=True)
    build(base_image(), variant)
    config = json.loads(buildah("inspect", "--type", "image", IMAGE))["Docker"]["config"]
    check_config(config)
    with mounted(IMAGE) as root:
        check_content(root, LIMIT_MB[variant])
        check_sandbox(root, config)
        check_service(root, config, f"MIEN_PROVIDERS={variant}")
    print("container-check: all checks passed")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Without variants that need a GPU.
    parser.add_argument("--variant", choices=LIMIT_MB, default="cpu")
    return parser.parse_args()


def base_image() -> str:
    """Make the base image that the Dockerfile names, unless it exists; return its name."""
    version = re.search(r"^ARG PYTHON_VERSION=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    expect(version is not None and version[1] == SUITE_PYTHON, f"the image has {SUITE_PYTHON}")
    name = f"docker.io/library/python:{SUITE_PYTHON}-slim"
    if name in buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return name
    container = buildah("from", "scratch").strip()
    debian = buildah("mount", container).strip()
    packages = "--include=ca-certificates,python3,python3-pip-whl"
    run("debootstrap", "--variant=minbase", packages, SUITE, debian)
    as_slim_image(Path(debian))
    buildah("umount", container)
    buildah("config", "--env", f"PATH={PATH}", container)
    buildah("commit", "--quiet", "--rm", container, name)
    return name


def as_slim_image(debian: Path) -> None:
    """Make a Debian like the slim Python images: with pip, without what they leave out."""
    for marker in debian.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    (wheel,) = debian.glob("usr/share/python-wheels/pip-*.whl")
    pip = f"/{wheel.relative_to(debian)}"
    run("chroot", str(debian), "python3", f"{pip}/pip", "install", "--quiet", "--no-index", pip)
    run("chroot", str(debian), "apt-get", "purge", "-y", "-qq", "python3-pip-whl")
    for folder in LEFT_OUT.split():
        shutil.rmtree(debian / folder)


def build(base: str, variant: str) -> None:
    """Build the image without a registry."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "pip.conf")
        config.write_text(pip_config())
        requirements = "" if variant == "cpu" else f"-{variant}"
        began = time.monotonic()
        print(
            buildah(
                *("bud", "--isolation", "chroot", "--pull-never", "--format", "docker"),
                *("--secret", f"id=pip,src={config}", *certificates(), "--tag", IMAGE),
                *("--build-arg", f"REQUIREMENTS=deploy/requirements{requirements}.txt", str(ROOT)),
            )
        )
        buildah("rmi", "--prune")  # the image that had this name before
        print(f"built on a stand-in for {base} in {time.monotonic() - began:.0f} s")


def pip_config() -> str:
    """Return this machine's pip configuration of package indexes, for the build."""
    listed = run(sys.executable, "-m", "pip", "config", "list")
    found = re.findall(r"^(?:global|install|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE)
    lines = [
        f"{key} = {value}" for key, value in found if key in PIP_SETTINGS and "file:" not in value
    ]
    return "\n".join(["[global]", *lines, ""])


def certificates() -> tuple[str, ...]:
    """Return options that give the build this machine's certificates."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    return ("--volume", f"{bundle}:{bundle}:ro") if bundle.exists() else ()


def check_config(config: dict[str, Any]) -> None:
    user = config["User"].partition(":")[0]
    expect(user.isdigit() and int(user) > 0, f"the user is a number and not root: {config['User']}")
    expect(list(config["ExposedPorts"]) == ["9000/tcp"], "port 9000 is exposed")
    expect(config["Cmd"] == ["mien", "serve", "--host", "0.0.0.0"], "it serves on all addresses")
    expect(config["Healthcheck"]["Test"][0] == "CMD", "it has a health check")


def check_content(root: Path, limit_mb: int) -> None:
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    total = size_mb(files)
    own = size_mb([path for path in files if path.is_relative_to(root / "opt")])
    print(f"content: {total:.0f} MB, {own:.0f} of them in /opt; the limit is {limit_mb}")
    expect(total <= limit_mb, "the image is small enough")
    programs = {path.name for folder in ("bin", "sbin") for path in root.rglob(f"{folder}/*")}
    modules = {path.name for path in root.rglob("*") if path.is_dir()}
    left = programs & (COMPILERS | INSTALLERS) | modules & INSTALLERS
    expect(not left, f"no compiler and no installer is left: {left}")
    foreign = [path for path in (root / "opt").rglob("*") if path.lstat().st_uid != 0]
    expect(not foreign, f"the service cannot change its own files: {foreign[:3]}")
    secrets = [path for path in files if path.name == "pip.conf" and path.stat().st_size]
    expect(not secrets, "pip's configuration is not in the image")


def check_sandbox(root: Path, config: dict[str, Any]) -> None:
    """Check that the sandbox of the other checks works."""
    as_root = run(*contained(root, "", config), "python3", "-c", WRITE, "/opt/mien/written")
    expect(as_root.strip() == str(errno.EROFS), "even root cannot write to the root file system")
    as_user = run(*contained(root, config["User"], config), "python3", "-c", WRITE, "/tmp/written")
    expect(as_user == "", "the user can write to /tmp")


def check_service(root: Path, config: dict[str, Any], setting: str) -> None:
    port = free_port()
    command = contained(root, config["User"], config, f"MIEN_PORT={port}", setting)
    health = [*command, *config["Healthcheck"]["Test"][1:]]
    expect(
        subprocess.run(health, capture_output=True, check=False).returncode != 0,
        "unhealthy while it does not run",
    )
    began = time.monotonic()
    outer = subprocess.Popen([*command, *config["Cmd"]])
    try:
        wait_until_ready(port, outer)
        print(f"ready after {time.monotonic() - began:.1f} s")
        run(*health)
        service = child_of(outer.pid)
        expect(
            f"\nUid:\t{config['User'].partition(':')[0]}\t" in status_of(service),
            "it runs as its user",
        )
        expect(status_of(service).count("\nCapEff:\t0000000000000000") == 1, "without capabilities")
        check_response(port)
        os.kill(service, signal.SIGTERM)
        expect(outer.wait(30) == 0, "it shuts down cleanly as process 1 of its container")
    finally:
        if outer.poll() is None:
            outer.kill()
            outer.wait()


def check_response(port: int) -> None:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + PHOTO.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    connection.request("POST", "/emotion", body, headers)
    response = connection.getresponse()
    faces = json.loads(response.read())
    print(f"POST /emotion: {response.status} {json.dumps(faces)}")
    expect(response.status == 200 and len(faces) == 1, "it finds one face")
    expect(faces[0]["emotion"] == "happy", "the face is happy")
    connection.close()


def contained(root: Path, user: str, config: dict[str, Any], *more: str) -> list[str]:
    """Return the prefix of a command that runs it like a container with a read-only root."""
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    environment = ["env", "-i", *config["Env"], *more]
    inside = ["sh", "-c", MOUNT, "sh", str(root), user]
    return [*unshare, *inside, *environment]


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        expect(process.poll() is None, "the service stays up")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            try:
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
        time.sleep(0.1)
    expect(False, "the service is ready within half a minute")


def child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    container = buildah("from", "--pull-never", image).strip()
    try:
        yield Path(buildah("mount", container).strip())
    finally:
        buildah("rm", container)


def size_mb(files: list[Path]) -> float:
    """Return megabytes of content; a file with several hard links counts once."""
    sizes = {(s.st_dev, s.st_ino): s.st_size for s in (path.stat() for path in files)}
    return sum(sizes.values()) / 1e6


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def buildah(*arguments: str) -> str:
    storage = ("--root", str(BUILD / "storage"), "--runroot", str(BUILD / "run"))
    return run("buildah", *storage, "--storage-driver", "vfs", *arguments)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"container-check: failed: {' '.join(command[:8])} ...")
    return done.stdout


def expect(holds: bool, promise: str) -> None:
    if not holds:
        raise SystemExit(f"container-check: broken: {promise}")


if __name__ == "__main__":
    sys.exit(main())
