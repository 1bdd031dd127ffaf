"""`aecodec desktop`: what a Linux desktop makes of .aec files, asked of its own programs."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import samples
from command import environment, lines, one_fault, run
from PIL import Image
from system import posix, small_disk, without_root

import aecodec
from aecodec.bitstream import MIME_TYPE
from aecodec.uses import viewing

pytestmark = [posix, pytest.mark.skipif(sys.platform == "darwin", reason="macOS is not Linux")]

NAMES = [
    "applications/aecodec-open.desktop",
    "icons/hicolor/scalable/mimetypes/image-x-aec.svg",
    "mime/packages/aecodec.xml",
    "thumbnailers/aecodec.thumbnailer",
]
AWKWARD = 'a b\'s $c "ü" 100%d `e` \\f'
SCRIPT = Path(sys.executable).with_name("aecodec")


def needs(*programs: str) -> None:
    """Skip the test where one of these programs is missing."""
    for program in programs:
        if shutil.which(program) is None and not os.path.isfile(program):
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def home(here: Path) -> dict[str, str]:
    """The environment of a user with an empty home, in the current folder."""
    for name in ("home", "data", "config", "cache", "tmp"):
        (here / name).mkdir()
    xdg = {f"XDG_{n.upper()}_HOME": str(here / n) for n in ("data", "config", "cache")}
    return {
        "HOME": str(here / "home"),
        "TMPDIR": str(here / "tmp"),
        "LC_ALL": "C.UTF-8",
        **xdg,
        # xdg-open asks that there is a screen, and which desktop it is.
        "DISPLAY": ":none",
        "XDG_CURRENT_DESKTOP": "",
        "DESKTOP_SESSION": "",
    }


def tree(folder: Path) -> dict[str, bytes]:
    """The files and empty folders in a folder: path and content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in folder.rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


def asked(*command: str, env: dict[str, str]) -> str:
    """What a program of the desktop prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(env), timeout=60, check=True
    )
    return done.stdout.strip()


# --- install and remove ---------------------------------------------------------------------------


def test_remove_leaves_what_was_there_before_install(home: dict[str, str], here: Path) -> None:
    data = here / "data"
    for name in ("mime/packages/other.xml", "applications/other.desktop"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
    (data / "applications/other.desktop").write_text("[Desktop Entry]\nType=Link\n")
    (data / "thumbnailers").mkdir()
    before = tree(data)
    done = run("desktop", "install", env=home)
    assert done.returncode == 0, done.stderr
    assert sorted(lines(done.stdout)) == [f"{data / name}: written" for name in NAMES]
    written = tree(data)
    assert set(NAMES) <= set(written)

    again = run("desktop", "install", env=home)
    assert again.returncode == 0
    assert sorted(lines(again.stdout)) == [f"{data / name}: is there already" for name in NAMES]
    assert {name: tree(data)[name] for name in NAMES} == {name: written[name] for name in NAMES}

    done = run("desktop", "remove", env=home)
    assert done.returncode == 0, done.stderr
    assert sorted(lines(done.stdout)) == [f"{data / name}: removed" for name in NAMES]
    left = {n: c for n, c in tree(data).items() if not n.startswith("mime/")}
    caches = {"applications/mimeinfo.cache"}  # of the folder that was there
    assert {n: c for n, c in left.items() if n not in caches} == {
        n: c for n, c in before.items() if not n.startswith("mime/")
    }
    assert (data / "mime/packages").is_dir()
    assert b"aec" not in b"".join(tree(data).values())

    done = run("desktop", "remove", env=home)
    assert done.returncode == 0
    assert lines(done.stdout) == [f"there is nothing to remove in {data}"]


def test_remove_leaves_nothing_in_a_new_home(home: dict[str, str], here: Path) -> None:
    (here / "data").rmdir()
    assert run("desktop", "install", env=home).returncode == 0
    assert run("desktop", "remove", env=home).returncode == 0
    assert not (here / "data").exists()


def test_without_the_desktops_programs_it_says_what_to_run(
    home: dict[str, str], here: Path
) -> None:
    (here / "bin").mkdir()
    (here / "data").rmdir()
    alone = {**home, "PATH": str(here / "bin")}
    done = run("desktop", "install", env=alone)
    assert done.returncode == 0
    assert lines(done.stderr)[:2] == [
        "aecodec: note: update-mime-database is not installed (package shared-mime-info): run it on"
        f" {here / 'data/mime'}",
        "aecodec: note: update-desktop-database is not installed (package desktop-file-utils): run"
        f" it on {here / 'data/applications'}",
    ]
    assert sorted(tree(here / "data")) == NAMES
    assert run("desktop", "remove", env=alone).returncode == 0
    assert not (here / "data").exists()


def test_a_file_that_we_did_not_write_stays(home: dict[str, str], here: Path) -> None:
    place = here / "data" / NAMES[3]
    place.parent.mkdir()
    place.write_text("[Thumbnailer Entry]\n")
    done = run("desktop", "install", env=home)
    assert done.returncode == 1
    one_fault(
        done,
        f"aecodec: {place}: exists, and is not as aecodec wrote it: it is left alone"
        " (move it away first)",
    )
    assert tree(here / "data") == {NAMES[3]: b"[Thumbnailer Entry]\n"}
    done = run("desktop", "remove", env=home)
    assert done.returncode == 0
    one_fault(done, f"aecodec: {place}: note: it is not as aecodec wrote it, and is left alone")

    place.unlink()
    assert run("desktop", "install", env=home).returncode == 0
    changed = place.read_bytes().replace(b"--size %s", b"--size 64")
    place.write_bytes(changed)
    link = here / "data" / NAMES[1]
    link.rename(here / "icon.svg")
    link.symlink_to(here / "icon.svg")
    assert run("desktop", "install", env=home).returncode == 1
    assert run("desktop", "remove", env=home).returncode == 0
    assert place.read_bytes() == changed
    assert link.is_symlink() and (here / "icon.svg").exists()
    assert not (here / "data" / NAMES[0]).exists()


def test_an_entry_of_another_installation_is_brought_up_to_date(
    home: dict[str, str], here: Path
) -> None:
    """The folders that were made for the first one are still known."""
    (here / "data").rmdir()
    (here / "bin").mkdir()
    (here / "bin/aecodec").symlink_to(SCRIPT)
    first = subprocess.run(
        [here / "bin/aecodec", "desktop", "install"], capture_output=True, env=environment(home)
    )
    assert first.returncode == 0, first.stderr
    assert f"TryExec={here}/bin/aecodec\n" in (here / "data" / NAMES[3]).read_text()
    second = run("desktop", "install", env=home)
    states = dict(line.rsplit(": ", 1) for line in lines(second.stdout))
    assert states[str(here / "data" / NAMES[3])] == states[str(here / "data" / NAMES[0])]
    assert states[str(here / "data" / NAMES[3])] == "written"
    assert f"TryExec={SCRIPT}\n" in (here / "data" / NAMES[3]).read_text()
    assert run("desktop", "remove", env=home).returncode == 0
    assert not (here / "data").exists()


def test_a_folder_without_permission_is_named_once(home: dict[str, str], here: Path) -> None:
    (here / "data").chmod(0o555)
    done = run("desktop", "install", env=home, before=without_root())
    assert done.returncode == 1
    one_fault(done, f"aecodec: desktop: no permission to write in {here / 'data'}")


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_other_systems_get_one_line(
    home: dict[str, str], here: Path, platform: str, name: str
) -> None:
    script = (
        f"import sys\nfrom aecodec.cli import main\nsys.platform = {platform!r}\nsys.exit(main())"
    )
    for command in (["install"], ["open", "x.aec"]):
        done = subprocess.run(
            [sys.executable, "-c", script, "desktop", *command],
            capture_output=True,
            env=environment(home),
        )
        assert done.returncode == 1
        one_fault(
            done,
            f"aecodec: desktop: this is for the desktops of Linux, and there is none on {name}",
        )


def test_without_the_command_it_says_so(home: dict[str, str], here: Path) -> None:
    script = (
        "import sys, sysconfig\nfrom aecodec.cli import main\n"
        "sysconfig.get_path = lambda *names: '/nowhere'\nsys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "desktop", "install"],
        capture_output=True,
        env=environment(home),
    )
    assert done.returncode == 1
    one_fault(
        done,
        f"aecodec: desktop: there is no command aecodec beside {sys.executable}, which the"
        " desktop could run: install aecodec with pip",
    )
    assert tree(here / "data") == {}


def test_it_says_that_gnomes_sandbox_does_not_see_it(home: dict[str, str]) -> None:
    used = (SCRIPT, sys.executable, sys.prefix, sys.base_prefix, aecodec.__file__)
    paths = [seen for path in used for seen in (os.path.abspath(path), os.path.realpath(path))]
    seen_by_gnome = all(f"{path}/".startswith("/usr/") for path in paths)
    done = run("desktop", "install", env=home)
    said = any("its sandbox sees only /usr" in line for line in lines(done.stderr))
    assert said != seen_by_gnome


# --- What the desktop makes of it -----------------------------------------------------------------


@pytest.fixture
def installed(home: dict[str, str], shelf: Path, here: Path) -> dict[str, str]:
    """A home with the entries, made by a command in a folder with an awkward name."""
    folder = here / AWKWARD
    folder.mkdir()
    (folder / "aecodec").symlink_to(SCRIPT)
    done = subprocess.run(
        [folder / "aecodec", "desktop", "install"], capture_output=True, env=environment(home)
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(shelf / "photo.aec", "one.aec")
    shutil.copy(shelf / "rocket.aec", f"{AWKWARD}.aec")
    return home


def test_the_type_is_known_by_name_and_by_content(installed: dict[str, str]) -> None:
    needs("update-mime-database", "gio", "xdg-mime")
    shutil.copy("one.aec", "nameless")
    for name in ("one.aec", "nameless"):
        found = asked("gio", "info", "-a", "standard::*", name, env=installed)
        assert f"standard::content-type: {MIME_TYPE}\n" in found
        assert "standard::icon: image-x-aec, image-x-generic," in found
    assert asked("xdg-mime", "query", "filetype", "one.aec", env=installed) == MIME_TYPE
    default = asked("xdg-mime", "query", "default", MIME_TYPE, env=installed)
    assert default == "aecodec-open.desktop"


def test_the_entries_are_valid(installed: dict[str, str], here: Path) -> None:
    needs("desktop-file-validate")
    assert asked("desktop-file-validate", str(here / "data" / NAMES[0]), env=installed) == ""


def test_no_other_types_default_application_changes(installed: dict[str, str], here: Path) -> None:
    assert tree(here / "config") == {}
    mine = "\n".join((here / "data" / name).read_text() for name in NAMES)
    assert "image/png" not in mine


def test_the_icon_is_drawn(installed: dict[str, str], here: Path) -> None:
    needs("rsvg-convert")
    asked("rsvg-convert", "-w", "48", str(here / "data" / NAMES[1]), "-o", "i.png", env=installed)
    with Image.open("i.png") as icon:
        assert icon.size == (48, 48)
        assert icon.convert("RGBA").getpixel((0, 0))[3] == 0
        assert icon.convert("RGBA").getpixel((24, 24))[3] == 255


QUEUE = """
call() { gdbus call --session --dest org.freedesktop.thumbnails.Thumbnailer1 --object-path \\
  /org/freedesktop/thumbnails/Thumbnailer1 --method "$@"; }
call org.freedesktop.thumbnails.Thumbnailer1.Queue "$1" "['image/x-aec', 'image/x-aec']" \\
  normal default 0
for i in $(seq 1200); do
  sleep 0.1; [ "$(ls "$XDG_CACHE_HOME"/thumbnails/normal 2> /dev/null | wc -l)" = 2 ] && exit 0
done
exit 1
"""


def test_tumbler_makes_thumbnails(installed: dict[str, str], here: Path) -> None:
    """The thumbnailer of Xfce, with an awkward name of the command and of a file."""
    needs("dbus-run-session", "gdbus", "update-mime-database")
    services = Path("/usr/share/dbus-1/services")
    if not any(services.glob("*Thumbnailer1*")) and not any(services.glob("*umbler*")):
        pytest.skip("tumbler is not installed")
    uris = str([(here / name).as_uri() for name in ("one.aec", f"{AWKWARD}.aec")])
    command = ["dbus-run-session", "--", "sh", "-c", QUEUE, "queue", uris]
    done = subprocess.run(command, capture_output=True, env=environment(installed), timeout=300)
    found = list((here / "cache/thumbnails").rglob("*.png"))
    assert len(found) == 2, done.stderr.decode()
    for path in found:
        with Image.open(path) as picture:
            assert max(picture.size) == 128
            assert picture.info["Thumb::URI"].endswith(".aec")


VIEWER = """#!/bin/sh
printf '%s\\n' "$@" > "$HOME/shown.part" && mv "$HOME/shown.part" "$HOME/shown"
"""


def with_viewer(here: Path) -> None:
    """Make a program that writes down what it is to show the default viewer for PNG."""
    viewer = here / "home/viewer"
    viewer.write_text(VIEWER)
    viewer.chmod(0o755)
    (here / "data/applications").mkdir(exist_ok=True)
    (here / "data/applications/viewer.desktop").write_text(
        f"[Desktop Entry]\nType=Application\nName=V\nExec={viewer} %F\nMimeType=image/png;\n"
    )
    (here / "config/mimeapps.list").write_text("[Default Applications]\nimage/png=viewer.desktop\n")


def shown(here: Path) -> list[Path]:
    """What the viewer was given, once it was."""
    place = here / "home/shown"
    end = time.monotonic() + 120
    while not place.exists() and time.monotonic() < end:
        time.sleep(0.05)
    found = [Path(line) for line in place.read_text().splitlines()]
    place.unlink()
    return found


def test_a_click_shows_the_picture_in_the_default_viewer(
    installed: dict[str, str], here: Path
) -> None:
    """`gio launch` runs the entry as a file manager does, here with a single file."""
    needs("gio", "xdg-open", "update-mime-database")
    with_viewer(here)
    entry = str(here / "data" / NAMES[0])
    before = Path(f"{AWKWARD}.aec").read_bytes()
    asked("gio", "launch", entry, f"{AWKWARD}.aec", env=installed)
    (copy,) = shown(here)
    assert copy.name == AWKWARD.replace("\\", "_") + ".png"
    assert copy.parent.parent == here / "tmp"
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400
    with Image.open(copy) as picture, aecodec.open(f"{AWKWARD}.aec") as original:
        assert picture.size == original.size
    assert Path(f"{AWKWARD}.aec").read_bytes() == before


def test_several_pictures_are_shown_in_one_viewer(installed: dict[str, str], here: Path) -> None:
    needs("gio", "xdg-mime", "xdg-open")
    with_viewer(here)
    Path("other").mkdir()
    shutil.copy("one.aec", "other/one.aec")
    Path("broken.aec").write_bytes(Path("one.aec").read_bytes()[:-1])
    done = run("desktop", "open", "one.aec", "broken.aec", "other/one.aec", env=installed)
    assert done.returncode == 1
    (line,) = lines(done.stderr)
    assert line.startswith("aecodec: broken.aec: truncated: ")
    found = shown(here)
    assert [path.name for path in found] == ["one.png", "one-2.png"]
    assert len({path.parent for path in found}) == 1
    assert all(path.exists() for path in found)


def test_copies_are_removed_a_day_later_and_others_folders_never(
    home: dict[str, str], shelf: Path, here: Path
) -> None:
    needs("xdg-open", "update-mime-database")
    with_viewer(here)
    run("desktop", "install", env=home)
    assert run("desktop", "open", str(shelf / "photo.aec"), env=home).returncode == 0
    (first,) = shown(here)
    yesterday = time.time() - 25 * 3600
    (here / "tmp/mine").mkdir()
    for folder in (first.parent, here / "tmp/mine"):
        os.utime(folder, (yesterday, yesterday))
    (here / "tmp/aecodec-open-link").symlink_to(here / "tmp/mine")
    assert run("desktop", "open", str(shelf / "photo.aec"), env=home).returncode == 0
    (second,) = shown(here)
    assert not first.parent.exists()
    assert second.exists()
    assert (here / "tmp/mine").exists() and (here / "tmp/aecodec-open-link").is_symlink()


def test_a_fault_is_shown_on_the_desktop_and_leaves_no_copy(
    home: dict[str, str], shelf: Path, here: Path
) -> None:
    """Who clicks sees no terminal."""
    (here / "bin").mkdir()
    sender = here / "bin/notify-send"
    sender.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/said"\n')
    sender.chmod(0o755)
    done = run("desktop", "open", str(shelf / "short.aec"), env={**home, "PATH": str(here / "bin")})
    assert done.returncode == 1
    *_, title, text = (here / "home/said").read_text().splitlines()
    assert title == "short.aec"
    assert text.startswith("truncated: ")
    assert tree(here / "tmp") == {}
    nothing = run("desktop", "open", str(shelf / "photo.aec"), env={**home, "PATH": str(here)})
    assert nothing.returncode == 1
    one_fault(
        nothing,
        "aecodec: desktop: nothing opens pictures here: xdg-open is missing (package xdg-utils)",
    )
    assert tree(here / "tmp") == {}


# --- thumbnail ------------------------------------------------------------------------------------


def test_a_thumbnail_has_at_most_the_size(shelf: Path) -> None:
    data = (shelf / "photo.aec").read_bytes()
    for longest, size in ((16, (16, 12)), (40, (40, 30)), (128, (128, 96)), (4096, (160, 120))):
        with Image.open(io.BytesIO(viewing.thumbnail(data, longest))) as small:
            assert (small.format, small.mode, small.size) == ("PNG", "RGB", size)
            with Image.open(shelf / "photo.png") as original:
                assert samples.psnr(original.convert("RGB").resize(size), small) > 25


def test_a_thumbnail_is_upright_keeps_alpha_and_drops_metadata(here: Path) -> None:
    picture = samples.photograph().convert("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, picture.width // 2, picture.height))
    picture.putalpha(alpha)
    exif = Image.Exif()
    exif[0x0112] = 6  # the left half is the upper one
    picture.save("a.png", exif=exif)
    assert run("compress", "a.png").returncode == 0
    assert run("desktop", "thumbnail", "a.aec", "t.png", "--size", "64").returncode == 0
    assert stat.S_IMODE(os.stat("t.png").st_mode) <= stat.S_IMODE(os.stat("a.aec").st_mode)
    with Image.open("t.png") as small:
        assert (small.mode, small.size) == ("RGBA", (48, 64))
        assert small.getpixel((24, 8))[3] == 0
        assert small.getpixel((24, 56))[3] == 255
        assert not small.info


def test_a_thumbnail_is_in_srgb(here: Path) -> None:
    """File managers ignore profiles. By this one red and blue are exchanged."""
    profile = samples.srgb().replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    profile = profile.replace(b"rXYZ", b"\0tmp", 1).replace(b"bXYZ", b"rXYZ", 1)
    Image.new("RGB", (64, 64), (220, 20, 20)).save(
        "a.png", icc_profile=profile.replace(b"\0tmp", b"bXYZ", 1)
    )
    assert run("compress", "a.png").returncode == 0
    assert run("desktop", "thumbnail", "a.aec", "t.png", "--size", "32").returncode == 0
    with Image.open("t.png") as small:
        red, _, blue = small.getpixel((16, 16))
        assert red < 40 and blue > 200
        assert "icc_profile" not in small.info


def test_a_thumbnail_goes_into_the_file_that_is_there(shelf: Path, here: Path) -> None:
    """tumbler holds it open, and reads it then: a new file of the name would not be seen."""
    with open("t", "w+b") as file:
        file.write(b"\0" * 1_000_000)
        file.flush()
        assert run("desktop", "thumbnail", str(shelf / "photo.aec"), "t").returncode == 0
        file.seek(0)
        with Image.open(file) as small:
            small.load()
        assert os.path.getsize("t") == os.fstat(file.fileno()).st_size < 100_000
        before = Path("t").read_bytes()
        bad = run("desktop", "thumbnail", str(shelf / "damaged.aec"), "t")
        assert bad.returncode == 1
        assert len(lines(bad.stderr)) == 1
        assert Path("t").read_bytes() == before


def test_a_thumbnail_on_a_full_disk_leaves_the_file_empty(shelf: Path, here: Path) -> None:
    with small_disk(here / "disk", "16k"):
        Path("disk/t").write_bytes(b"old")
        done = run("desktop", "thumbnail", str(shelf / "photo.aec"), "disk/t")
        assert done.returncode == 1
        one_fault(
            done, f"aecodec: {shelf / 'photo.aec'}: cannot write disk/t: no space left on device"
        )
        assert Path("disk/t").read_bytes() == b""
