"""`aecodec gallery`: what it writes, what it refuses, and the gallery in a real browser."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsers
import command
import pytest
import samples
from paths import ROOT, WEIGHTS
from PIL import Image
from system import small_disk

import aecodec
from aecodec import bitstream
from aecodec.networks import weights

DIST = ROOT / "web" / "dist"
NAMES = (
    "aecodec.js",
    "aecodec-worker.js",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of seven pictures in a tree, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "below").mkdir()
    photo = samples.photograph("coffee.png", (40, 30, 280, 190))
    photo.save(folder / "a cup & a <b>.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    turned[0x010E] = "somewhere that nobody should know"
    photo.save(folder / "turned.jpg", exif=turned, quality=92)
    photo.crop((0, 0, 100, 160)).save(folder / "below" / "turned.png")
    photo.convert("L").save(folder / "grey.png")
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(folder / "clear.png")
    samples.photograph("chelsea.png", (60, 30, 200, 130)).save(folder / "cat.png")
    ready = photo.crop((0, 0, 64, 64))
    ready.info = {"exif": turned.tobytes(), "icc_profile": samples.srgb()}
    (folder / "ready.aec").write_bytes(aecodec.compress(ready, 40))
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture either")
    return folder


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the decoder's; it decodes nothing."""
    folder = tmp_path_factory.mktemp("decoder")
    for name in NAMES:
        (folder / name).write_text(name)
    (folder / "weights").mkdir()
    for config in WEIGHTS.glob("*/config.json"):
        found = weights.model_id(config.parent).hex()
        (folder / "weights" / f"{config.parent.name}-{found}-00000000.aecw").write_text("weights")
    return folder


def make(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, str, str]:
    done = command.run("gallery", *arguments, cwd=cwd)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def site(pictures: Path, decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("made") / "site"
    code, out, err = make(pictures, "-o", made, "--decoder", decoder, "--title", "Cups & <cats>")
    assert code == 1  # one picture was broken, the others are there
    assert "broken.png: not a picture" in err
    assert "7 pictures" in out
    assert "Traceback" not in err
    return made


def test_every_picture_is_there_and_decodes(site: Path, pictures: Path) -> None:
    files = sorted(path.name for path in (site / "pictures").iterdir())
    assert files == [
        *("a-cup---a--b-.aec", "cat.aec", "clear.aec", "grey.aec", "ready.aec"),
        *("turned-2.aec", "turned.aec"),
    ]
    mark = json.loads((site / "gallery.json").read_text())
    for entry in mark["pictures"]:
        data = (site / entry["file"]).read_bytes()
        picture = aecodec.decompress(data)
        assert picture.size == (entry["width"], entry["height"])
        assert entry["aec_bytes"] == len(data)
        with Image.open(site / entry["thumbnail"]) as small:
            assert max(small.size) <= 480
    # An Exif orientation is followed, and EXIF stays at home.
    sizes = {aecodec.decompress((site / "pictures" / n).read_bytes()).size for n in files[-2:]}
    assert sizes == {(160, 240), (100, 160)}
    for path in (site / "pictures").iterdir():
        assert bitstream.parse(path.read_bytes()).exif is None
    # The pixels of an .aec file and its profile stay as they were.
    ready, published = (
        bitstream.parse((folder / "ready.aec").read_bytes())
        for folder in (pictures, site / "pictures")
    )
    assert ready.exif is not None and ready.icc is not None
    assert (published.header, published.tiles) == (ready.header, ready.tiles)
    assert published.icc == ready.icc


def test_it_says_how_many_bytes_it_saves(site: Path, pictures: Path) -> None:
    import io

    import numpy as np

    mark = json.loads((site / "gallery.json").read_text())
    entries = {entry["name"]: entry for entry in mark["pictures"]}
    assert entries["clear"]["jpeg_bytes"] is None
    assert entries["ready"]["jpeg_bytes"] is None
    # Found anew: the smallest of all JPEGs that are as faithful.
    entry = entries["cat"]
    with Image.open(pictures / "cat.png") as opened:
        original = opened.convert("RGB")
    reached = samples.psnr(original, aecodec.decompress((site / entry["file"]).read_bytes()))
    fitting = []
    for quality in range(1, 101):
        file = io.BytesIO()
        original.save(file, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        if (
            samples.psnr(original, Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
            >= reached
        ):
            fitting.append(file.tell())
    assert entry["jpeg_bytes"] == min(fitting)
    compared = [e for e in mark["pictures"] if e["jpeg_bytes"] is not None]
    ours = sum(e["aec_bytes"] for e in compared)
    theirs = sum(e["jpeg_bytes"] for e in compared)
    page = (site / "index.html").read_text()
    assert f".aec saves {100 * (1 - ours / theirs):.0f} %." in page
    assert np.isfinite(reached)


def test_the_page_is_escaped_and_names_no_host(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert "<h1>Cups &amp; &lt;cats&gt;</h1>" in page
    assert "a cup &amp; a &lt;b&gt;" in page
    assert "<b>" not in page.split("<main>")[1].split("</main>")[0]
    for path in site.iterdir():
        if path.is_file():
            assert "://" not in path.read_text(), path
    policy = page.split('Content-Security-Policy" content="')[1].split('"')[0]
    assert policy.startswith("default-src 'none'")


def test_only_the_weights_that_are_needed_go_along(site: Path) -> None:
    assert [path.name.partition("-")[0] for path in (site / "aecodec" / "weights").iterdir()] == [
        "small"
    ]


def test_without_the_decoder_it_says_how_to_get_it(pictures: Path, tmp_path: Path) -> None:
    code, _, err = make(pictures, "-o", tmp_path / "site", "--decoder", tmp_path, cwd=tmp_path)
    assert code == 1
    assert "no aecodec.js" in err
    assert "make web" in err
    assert "npm install aecodec" in err
    assert not any(tmp_path.iterdir())


def test_the_npm_package_is_found_above(pictures: Path, decoder: Path, tmp_path: Path) -> None:
    shutil.copytree(decoder, tmp_path / "node_modules" / "aecodec" / "dist")
    (tmp_path / "here").mkdir()
    code, _, err = make(pictures / "below", "-o", "site", cwd=tmp_path / "here")
    assert code == 0, err
    assert (tmp_path / "here" / "site" / "index.html").is_file()


def test_what_is_there_is_kept(pictures: Path, decoder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    for force in ([], ["-f"]):
        code, _, err = make(pictures / "below", "-o", other, "--decoder", decoder, *force)
        assert code == 1
        assert "is left alone" in err
    assert (other / "thesis.txt").read_text() == "years of work"

    site = tmp_path / "site"
    assert make(pictures / "below", "-o", site, "--decoder", decoder)[0] == 0
    before = (site / "index.html").read_bytes()
    code, _, err = make(pictures / "below", "-o", site, "--decoder", decoder, "--title", "New")
    assert code == 1
    assert "--force" in err
    assert (site / "index.html").read_bytes() == before
    arguments = ("-o", site, "--decoder", decoder, "--title", "New", "-f")
    assert make(pictures / "below", *arguments)[0] == 0
    assert b"<h1>New</h1>" in (site / "index.html").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"other", "site"}


def test_a_folder_without_pictures(decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, fault in (("empty", "no picture in this folder"), ("none", "no such folder")):
        code, _, err = make(tmp_path / folder, "-o", tmp_path / "site", "--decoder", decoder)
        assert code == 1
        assert fault in err
    (tmp_path / "empty" / "broken.png").write_bytes(b"no")
    code, _, err = make(tmp_path / "empty", "-o", tmp_path / "site", "--decoder", decoder)
    assert code == 1
    assert "none of 1 pictures could be used" in err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_weights_of_another_version_are_noticed(
    pictures: Path, decoder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    shutil.copytree(decoder, old)
    for path in (old / "weights").glob("small-*"):
        path.unlink()
    code, _, err = make(pictures / "below", "-o", tmp_path / "site", "--decoder", old)
    assert code == 1
    assert "has no weights" in err
    assert not (tmp_path / "site").exists()


def test_a_gallery_with_a_file_of_somebody_is_not_replaced(
    pictures: Path, decoder: Path, tmp_path: Path
) -> None:
    arguments = (pictures / "below", "-o", tmp_path / "site", "--decoder", decoder, "-f")
    assert make(*arguments)[0] == 0
    for name in ("robots.txt", "pictures/mine.aec"):
        mine = tmp_path / "site" / name
        mine.write_text("mine")
        code, _, err = make(*arguments)
        assert code == 1
        assert f"move {mine} away first" in err
        assert mine.read_text() == "mine"
        mine.unlink()

    other = tmp_path / "site" / "gallery.json"
    other.write_text('{"made by": "another program"}')
    code, _, err = make(*arguments)
    assert code == 1
    assert "no gallery of ours" in err


def test_the_folder_that_one_is_in_is_refused_at_once(
    pictures: Path, decoder: Path, tmp_path: Path
) -> None:
    code, _, err = make(pictures, "-o", ".", "--decoder", decoder, cwd=tmp_path)
    assert code == 1
    assert "is the folder that you are in" in err
    assert "broken.png" not in err  # no picture was looked at


def test_any_name_any_size_a_link_and_no_picture_of_a_gallery(
    decoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    samples.photograph().crop((0, 0, 64, 64)).save(folder / "a.png")
    Image.new("L", (65_600, 2), 90).save(folder / os.fsdecode(b"wide \xff.png"))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for site, title in ((folder / "site", b"A \xff title"), (tmp_path / "link", b"Title")):
        code, out, err = make(
            *(folder, "-o", site, "--decoder", decoder, "--title", os.fsdecode(title))
        )
        assert (code, err) == (0, "")
        assert "2 pictures" in out
    mark = json.loads((folder / "site" / "gallery.json").read_text())
    assert [entry["name"] for entry in mark["pictures"]] == ["a", "wide ?"]
    assert mark["pictures"][1]["jpeg_bytes"] is None
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "index.html").is_file()


def test_a_full_disk_leaves_the_gallery_that_is_there(
    pictures: Path, decoder: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk, "400k"):
        arguments = (pictures / "below", "-o", disk / "site", "--decoder", decoder)
        code, _, err = make(*arguments)
        assert code == 0, err
        before = sorted(disk.rglob("*"))
        (disk / "fill").write_bytes(bytes(os.statvfs(disk).f_bavail * 4096))
        code, _, err = make(*arguments, "-f")
        assert code == 1
        assert "no space left on device" in err
        assert len(err.splitlines()) == 1
        assert sorted(disk.rglob("*")) == sorted([*before, disk / "fill"])


# --- in a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real gallery on a web server without any special header, in Chromium; what it asks for."""
    if not DIST.is_dir():  # what is built without a decoder in it is a fault
        pytest.skip("the decoder for browsers is not built: make web")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    site = tmp_path_factory.mktemp("shown") / "site"
    make(pictures, "-o", site, "--decoder", DIST)
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with api.sync_playwright() as playwright:
        browser = browsers.launched(playwright)
        page = browser.new_page(viewport={"width": 900, "height": 700}, has_touch=True)
        page.set_default_timeout(120_000)
        page.asked = []
        page.complaints = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on(
            "console", lambda m: m.type in ("error", "warning") and page.complaints.append(m.text)
        )
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


def until(page: Any, condition: str) -> None:
    """Wait for it. (Playwright's own way would need a page that may evaluate strings.)"""
    end = time.monotonic() + 120
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        time.sleep(0.05)


def whole(page: Any) -> None:
    """Wait for the picture in the lightbox."""
    until(page, "document.querySelector('#stage canvas') && !document.querySelector('#stage img')")


def test_a_picture_opens_and_is_the_one_that_python_decodes(shown: Any, tmp_path: Path) -> None:
    page = shown
    page.locator("#pictures a", has_text="cat").click()
    whole(page)
    assert page.url.endswith("#3")
    caption = page.text_content("#caption")
    assert caption.startswith("cat · 3 of 7 · 140 × 100")
    data = page.evaluate("document.querySelector('#stage canvas').toDataURL()")
    import base64
    import io

    found = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB")
    href = page.get_attribute("#download", "href")
    source = page.evaluate(
        "async (url) => [...new Uint8Array(await (await fetch(url)).arrayBuffer())]", href
    )
    assert samples.psnr(found, aecodec.decompress(bytes(source))) > 50


def test_keys_touch_and_wheel(shown: Any) -> None:
    page = shown
    page.goto(page.url.partition("#")[0])
    page.locator("#pictures a", has_text="cat").click()
    whole(page)
    width = "document.querySelector('#stage canvas').getBoundingClientRect().width"
    assert page.evaluate(width) == pytest.approx(140)
    page.keyboard.press("+")
    assert page.evaluate(width) == pytest.approx(210)
    page.keyboard.press("0")
    assert page.evaluate(width) == pytest.approx(140)
    page.mouse.move(400, 300)
    page.mouse.wheel(0, -300)
    until(page, f"{width} > 200")
    page.keyboard.press("0")
    page.keyboard.press("ArrowRight")
    whole(page)
    assert page.text_content("#caption b") == "clear"
    page.keyboard.press("End")
    assert page.is_disabled("#next")
    page.keyboard.press("Home")
    assert page.is_disabled("#previous")
    whole(page)

    swipe = """([from, to]) => {
        const stage = document.getElementById("stage");
        stage.setPointerCapture = () => {};
        const fire = (type, x) => stage.dispatchEvent(new PointerEvent(type, {
            pointerId: 7, pointerType: "touch", clientX: x, clientY: 200, bubbles: true,
        }));
        fire("pointerdown", from); fire("pointermove", (from + to) / 2); fire("pointerup", to);
    }"""
    page.evaluate(swipe, [600, 300])
    until(page, "document.querySelector('#caption').textContent.includes('2 of 7')")
    page.evaluate(swipe, [300, 600])
    until(page, "document.querySelector('#caption').textContent.includes('1 of 7')")
    page.keyboard.press("Escape")
    until(page, "!document.getElementById('box').open && !location.hash")
    assert page.evaluate("document.activeElement.textContent") == "a cup & a <b>"


def test_keys_go_on_at_the_last_picture_and_move_an_enlarged_one(shown: Any) -> None:
    """A button that is disabled while it has the focus takes no more keys."""
    page = shown
    page.goto(page.url.partition("#")[0])
    page.locator("#pictures a").last.click()
    page.keyboard.press("ArrowLeft")
    assert "6 of 7" in page.text_content("#caption")
    page.focus("#next")
    page.keyboard.press("Enter")
    assert page.is_disabled("#next")
    page.keyboard.press("ArrowLeft")
    assert "6 of 7" in page.text_content("#caption")
    page.mouse.click(100, 100)  # beside the picture: no button has the focus
    page.keyboard.press("PageUp")
    assert "5 of 7" in page.text_content("#caption")
    whole(page)
    left = "document.querySelector('#stage canvas').getBoundingClientRect().left"
    for _ in range(6):
        page.keyboard.press("+")
    middle = page.evaluate(left)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(left) == pytest.approx(middle - 900 / 8)
    assert "5 of 7" in page.text_content("#caption")
    page.keyboard.press("PageDown")
    assert "6 of 7" in page.text_content("#caption")
    page.keyboard.press("Escape")


def test_an_address_opens_its_picture_and_going_back_closes_it(shown: Any) -> None:
    page = shown
    start = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(f"{start}#5")
    until(page, "document.getElementById('box').open")
    assert page.text_content("#caption b") == "grey"
    page.go_back()
    until(page, "!document.getElementById('box').open")
    assert page.url == start


def test_a_damaged_file_is_named(shown: Any) -> None:
    page = shown
    page.goto(page.url.partition("#")[0])
    page.evaluate("document.querySelectorAll('#pictures a')[4].href = 'index.html'")
    page.locator("#pictures a", has_text="grey").click()
    until(page, "document.getElementById('trouble').textContent")
    assert page.text_content("#trouble").startswith("grey: NotAecError: ")
    page.keyboard.press("Escape")


def test_nothing_comes_from_another_host_and_nothing_is_wrong(shown: Any) -> None:
    page = shown
    start = page.url.partition("#")[0]
    assert len(page.asked) > 10
    assert all(url.startswith((start, "data:", "blob:", "about:")) for url in page.asked), (
        page.asked
    )
    assert page.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1400])
def test_it_fits_and_can_be_read(shown: Any, scheme: str, width: int) -> None:
    """No sideways scrolling, and text stands out from its ground by 4.5 to 1 (WCAG AA)."""
    page = shown
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme)
    page.goto(page.url.partition("#")[0])
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrast = """(selector) => {
        const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((v) => {
            v /= 255;
            return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        });
        const light = (colour) => {
            const [r, g, b] = parts(colour);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const [a, b] = [
            light(getComputedStyle(document.querySelector(selector)).color),
            light(getComputedStyle(document.body).backgroundColor),
        ];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }"""
    for selector in ("h1", "header p", "footer p"):
        assert page.evaluate(contrast, selector) >= 4.5, selector
    # Every picture and every control has a name.
    assert page.evaluate("[...document.images].every((img) => img.alt)")
    named = "every((control) => control.ariaLabel || control.textContent.trim())"
    assert page.evaluate(f"[...document.querySelectorAll('button, #tools a')].{named}")
    assert page.evaluate("document.documentElement.lang") == "en"
