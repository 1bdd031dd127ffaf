/** The same files in a real browser, with threads and without, and what a page does with them. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";

import { serve } from "../tools/serve.mjs";
import { executablePath, launch } from "./chromium.mjs";
import { bad, golden, good, pixelFault, readPng, ROOT } from "./files.mjs";

const missing = !executablePath
  ? "there is no Chromium: apt-get install chromium, or AECODEC_CHROMIUM=path"
  : !existsSync(`${ROOT}web/dist/aecodec.js`) && "dist is not built: node tools/build.mjs";

/** 65600 x 1 pixels of one colour, all exact: Chromium has no canvas as wide as that. */
const TOO_WIDE =
  "iUFFQw0KGgoBAAACZEAuD/v3eg8AssCABAHtA/sGDMIDF+qGLlsvPw8AAAdQ5CrUo/8BICH8f69F9D81AwMXq52iNS8/DwAAB1Dk" +
  "KtSj/wEgIfx/r0X0PzUDAxdosDaGLz8PAAAHUOQq1KP/ASAh/H+vRfQ/NQMDFymruugvPw8AAAdQ5CrUo/8BICH8f69F9D81AwMX" +
  "r+1vOi8/DwAAB1DkKtSj/wEgIfx/r0X0PzUDAxfu9uNULz8PAAAHUOQq1KP/ASAh/H+vRfQ/NQMDFy3bd+cvPw8AAAdQ5CrUo/8B" +
  "ICH8f69F9D81AwMXbMD7iS8/DwAAB1DkKtSj/wEgIfx/r0X0PzUDAxdgUKyZLz8PAAAHUOQq1KP/ASAh/H+vRfQ/NQMDFyFLIPcv" +
  "Pw8AAAdQ5CrUo/8BICH8f69F9D81AwMX4ma0RC8/DwAAB1DkKtSj/wEgIfx/r0X0PzUDAxejfTgqLz8PAAAHUOQq1KP/ASAh/H+v" +
  "RfQ/NQMDFyU77fgvPw8AAAdQ5CrUo/8BICH8f69F9D81AwMXZCBhli8/DwAAB1DkKtSj/wEgIfx/r0X0PzUDAxenDfUlLz8PAAAH" +
  "UOQq1KP/ASAh/H+vRfQ/NQMDF+YWeUsvPw8AAAdQ5CrUo/8BICH8f69F9D81AwMX5v5N5y8/DAAAB1DkKtSj/wEgIfx/r0X0PzUA";

for (const plain of [false, true]) {
  describe(plain ? "Chromium, one thread" : "Chromium, threads", { skip: missing }, () => {
    let server, browser, context, page;
    const hosts = new Set();

    before(async () => {
      server = await serve(ROOT, { plain });
      browser = await launch();
      context = await browser.newContext();
      page = await context.newPage();
      page.on("request", (request) => hosts.add(new URL(request.url()).origin));
      await page.goto(`${server.url}web/test/page.html`);
      await page.waitForFunction(() => window.aecodec);
    });
    after(async () => {
      await browser?.close();
      server?.close();
    });

    /** The picture at an address: pixels as they are, checksums by way of the parts. */
    const decoded = (path) =>
      page.evaluate(async (address) => {
        try {
          const image = await aecodec.decode(address, { keepColours: true });
          let text = "";
          for (let k = 0; k < image.data.length; k += 30000) {
            text += String.fromCharCode(...image.data.subarray(k, k + 30000));
          }
          return { width: image.width, height: image.height, text: btoa(text) };
        } catch (error) {
          return { error: error.name, message: error.message, ours: error instanceof aecodec.AecodecError };
        }
      }, `/${path}`);
    const bytes = (found) => ({ ...found, data: new Uint8Array(Buffer.from(found.text, "base64")) });

    test("isolation is as the server says", async () => {
      assert.equal(await page.evaluate(() => crossOriginIsolated), !plain);
    });

    test("golden files", async () => {
      for (const { file, picture, means } of golden) {
        const found = await decoded(`tests/golden/${file}`);
        assert.ok(found.text, `${file}: ${found.message}`);
        const { data, width, height } = bytes(found);
        assert.deepEqual([width, height], picture.slice(1));
        const sums = [0, 0, 0];
        data.forEach((value, k) => k % 4 < 3 && (sums[k % 4] += value));
        sums.forEach((sum, c) => assert.ok(Math.abs(sum / (width * height) - means[c]) < 0.1, file));
      }
    });

    test("conformance", async () => {
      // The symbols' checksums are compared by the decoder: a picture is proof that they held.
      for (const entry of good) {
        const found = await decoded(`tests/conformance/good/${entry.name}.aec`);
        assert.ok(found.text, `${entry.name}: ${found.message}`);
        assert.equal(pixelFault(entry, bytes(found)), "", entry.name);
      }
      for (const { name, error } of bad) {
        const found = await decoded(`tests/conformance/bad/${name}.aec`);
        assert.equal(found.error, error, name);
        assert.ok(found.ours, name);
      }
    });

    test("an element shows its picture, preview first", async () => {
      const events = await page.evaluate(async () => {
        const made = document.createElement("aec-image");
        made.src = "/tests/conformance/good/tiles-128.aec";
        made.alt = "a cup of coffee";
        const events = [];
        await new Promise((done) => {
          for (const name of ["preview", "load", "error"]) {
            made.addEventListener(name, (event) => {
              events.push(name);
              if (name !== "preview") done();
            });
          }
          document.body.append(made);
        });
        const box = made.getBoundingClientRect();
        const { role, ariaLabel } = made.canvas;
        const result = { events, size: [box.width, box.height], role, ariaLabel, complete: made.complete };
        result.natural = [made.naturalWidth, made.naturalHeight];
        made.remove();
        return result;
      });
      assert.equal(events.events[0], "preview");
      assert.equal(events.events.at(-1), "load");
      assert.deepEqual(events.size, [300, 240]);
      assert.deepEqual(events.natural, [300, 240]);
      assert.equal(events.role, "img");
      assert.equal(events.ariaLabel ?? "a cup of coffee", "a cup of coffee");
      assert.ok(events.complete);
    });

    test("an element without a picture says why, and shows what stands in it", async () => {
      const found = await page.evaluate(async () => {
        const made = document.createElement("aec-image");
        made.src = "/tests/conformance/bad/flipped.aec";
        made.innerHTML = "<b>no picture</b>";
        document.body.append(made);
        const error = await new Promise((done) => made.addEventListener("error", (event) => done(event.error.name)));
        const { width } = made.querySelector("b").getBoundingClientRect();
        made.remove();
        return { error, width };
      });
      assert.equal(found.error, "CorruptError");
      assert.ok(found.width > 10);
    });

    test("an element and the polyfill leave noise out where they are told to", async () => {
      const sums = await page.evaluate(async () => {
        const address = "/tests/conformance/good/grain.aec";
        const total = (data) => data.reduce((a, b, k) => (a + (k + 1) * b) % 2 ** 31);
        const sum = (image) => {
          const canvas = document.createElement("canvas");
          Object.assign(canvas, { width: 160, height: 120 });
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          return total([...context.getImageData(0, 0, 160, 120).data]);
        };
        const found = [];
        for (const grain of [true, false]) found.push(total([...(await aecodec.decode(address, { grain })).data]));
        const made = document.createElement("aec-image");
        made.src = address;
        const loaded = () => new Promise((done) => made.addEventListener("load", done, { once: true }));
        const first = loaded();
        document.body.append(made);
        await first;
        found.push(sum(made.canvas));
        const second = loaded();
        made.noGrain = true;
        await second;
        found.push(sum(made.canvas), made.hasAttribute("no-grain"));
        made.remove();
        const img = new Image();
        img.src = address;
        document.body.append(img);
        const stop = aecodec.polyfill(document, { grain: false });
        // Its size is known before its pixels are, and a picture that is not complete is not drawn.
        while (!img.complete || !img.naturalWidth) await new Promise((done) => setTimeout(done, 20));
        stop();
        found.push(sum(img));
        img.remove();
        return found;
      });
      const [noisy, smooth] = sums;
      assert.notEqual(noisy, smooth);
      assert.deepEqual(sums, [noisy, smooth, noisy, smooth, true, smooth]);
    });

    test("an element fetches its file once, however many attributes it has", async () => {
      const fetched = [];
      const count = (request) => request.url().includes("size-17x16") && fetched.push(request.url());
      page.on("request", count);
      await page.evaluate(async () => {
        const made = document.createElement("div");
        document.body.append(made);
        made.innerHTML = '<aec-image alt="a" src="/tests/conformance/good/size-17x16.aec?once" no-grain></aec-image>';
        await new Promise((done) => made.firstChild.addEventListener("load", done));
        made.remove();
      });
      page.off("request", count);
      assert.equal(fetched.length, 1);
    });

    test("an element that is lazy waits until it is near", async () => {
      const found = await page.evaluate(async () => {
        const tall = document.createElement("div");
        tall.style.height = "5000px";
        const made = document.createElement("aec-image");
        made.setAttribute("loading", "lazy");
        made.src = "/tests/conformance/good/grey.aec";
        document.body.append(tall, made);
        await new Promise((done) => setTimeout(done, 300));
        const early = made.naturalWidth;
        const loaded = new Promise((done) => made.addEventListener("load", done));
        made.scrollIntoView();
        await loaded;
        const late = made.naturalWidth;
        tall.remove();
        made.remove();
        return { early, late };
      });
      assert.deepEqual(found, { early: 0, late: 100 });
    });

    test("polyfill() serves images that are there and that come later", async () => {
      const found = await page.evaluate(async () => {
        const first = new Image();
        first.src = "/tests/conformance/good/alpha-up.aec";
        document.body.append(first);
        const stop = aecodec.polyfill();
        const second = new Image();
        document.body.append(second);
        second.src = "/tests/conformance/good/grey.aec?version=2";
        const broken = new Image();
        broken.src = "/tests/conformance/bad/flipped.aec";
        document.body.append(broken);
        const other = new Image();
        other.src = "/tests/conformance/good/grey.png";
        document.body.append(other);
        const until = async (condition) => {
          while (!condition()) await new Promise((done) => setTimeout(done, 20));
        };
        const there = (img) => img.complete && img.naturalWidth;
        await until(() => there(first) && there(second) && broken.dataset.aecError);
        const canvas = document.createElement("canvas");
        canvas.width = first.naturalWidth;
        canvas.height = first.naturalHeight;
        const context = canvas.getContext("2d");
        context.drawImage(first, 0, 0);
        const alphas = [10, 70].map((y) => context.getImageData(5, y, 1, 1).data[3]);
        stop();
        const result = {
          sizes: [first, second].map((img) => [img.naturalWidth, img.naturalHeight]),
          alphas,
          error: broken.dataset.aecError,
          untouched: other.src.endsWith("grey.png"),
        };
        for (const img of [first, second, broken, other]) img.remove();
        return result;
      });
      assert.deepEqual(found.sizes, [[120, 90], [100, 70]]);
      assert.deepEqual(found.alphas, [20, 140]);
      assert.equal(found.error, "CorruptError");
      assert.ok(found.untouched);
    });

    test("a picture in Display P3 is drawn as one, or converted", async () => {
      const spaces = await page.evaluate(async () => {
        const wide = await aecodec.decode("/tests/conformance/good/icc-p3.aec");
        const plain = await aecodec.decode("/tests/conformance/good/icc-p3.aec", { wide: false });
        return [wide.colorSpace, plain.colorSpace, Math.abs(wide.data[0] - plain.data[0]) < 60];
      });
      assert.deepEqual(spaces, ["display-p3", "srgb", true]);
    });

    test("work that is stopped stops, and the next one is done", async () => {
      const found = await page.evaluate(async () => {
        const stop = new AbortController();
        const address = "/tests/conformance/good/tiles-128.aec";
        const work = aecodec.decode(address, { signal: stop.signal, onPreview: () => stop.abort() });
        const name = await work.catch((error) => error.name);
        const next = await aecodec.decode(address);
        return [name, next.width];
      });
      assert.deepEqual(found, ["AbortError", 300]);
    });

    test("an element whose address is none, or is taken away", async () => {
      const found = await page.evaluate(async () => {
        const made = document.createElement("aec-image");
        const next = (name) => new Promise((done) => made.addEventListener(name, done, { once: true }));
        made.src = "http://[";
        document.body.append(made);
        const { error } = await next("error");
        const wrong = [error.name, made.complete];
        const text = () => made.shadowRoot.querySelector("slot").textContent;
        made.alt = "a cup";
        wrong.push(text());
        made.alt = "another cup";
        wrong.push(text());
        made.src = "/tests/golden/rgb-q75.aec";
        await next("load");
        const right = [!!made.canvas, made.complete];
        made.removeAttribute("src");
        await new Promise((done) => setTimeout(done));
        const none = [!!made.canvas, made.complete];
        made.remove();
        return { wrong, right, none };
      });
      assert.deepEqual(found, { wrong: ["TypeError", true, "a cup", "another cup"], right: [true, true], none: [false, true] });
    });

    test("polyfill() serves an address that comes again", async () => {
      const found = await page.evaluate(async () => {
        const img = new Image();
        document.body.append(img);
        const stop = aecodec.polyfill();
        const widths = [];
        for (const address of ["rgb-q75.aec", "none.png", "rgb-q75.aec"]) {
          img.src = `/tests/golden/${address}`;
          const isOurs = address.endsWith("aec");
          const ended = () => img.complete && (isOurs ? img.src.startsWith("blob:") && img.naturalWidth : !img.naturalWidth);
          for (let k = 0; k < 1200 && !ended(); k++) await new Promise((done) => setTimeout(done, 50));
          widths.push(img.naturalWidth);
        }
        stop();
        img.remove();
        return widths;
      });
      assert.deepEqual(found, [160, 0, 160]);
    });

    test("a canvas that the browser does not have is an error, and no empty picture", async () => {
      const found = await page.evaluate(async (text) => {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const name = (error) => `${error.name}: ${error.message}`;
        const fault = [
          await aecodec.draw(bytes, document.createElement("canvas")).then(() => "drawn", name),
          await aecodec.toBlob(bytes).then(() => "made", name),
        ];
        const image = await aecodec.decode(bytes);
        return { fault, width: image.width, first: [...image.data.subarray(0, 4)] };
      }, TOO_WIDE);
      const words = "AecodecError: this browser has no canvas of 65600x1 pixels";
      assert.deepEqual(found, { fault: [words, words], width: 65600, first: [10, 200, 30, 255] });
    });

    test("a file is of the type that was asked for", async () => {
      const types = await page.evaluate(async () => {
        const made = (type) => aecodec.toBlob("/tests/golden/rgb-q75.aec", { type });
        return [(await made("image/jpeg")).type, await made("image/none").catch((error) => error.message)];
      });
      assert.deepEqual(types, ["image/jpeg", "this browser makes no image/none"]);
    });

    test("what a page's own function throws ends the work", async () => {
      const found = await page.evaluate(async () => {
        const onPart = () => {
          throw new Error("mine");
        };
        const address = "/tests/golden/rgb-q75.aec";
        const first = await aecodec.decode(address, { onPart }).catch((error) => error.message);
        return [first, (await aecodec.decode(address)).width];
      });
      assert.deepEqual(found, ["mine", 160]);
    });

    test("what cannot be fetched is one of our errors", async () => {
      await page.route("**/cut-off.aec", (route) => route.abort());
      const names = await page.evaluate(async () => {
        const aborted = { signal: AbortSignal.abort() };
        const name = (error) => [error.name, error instanceof aecodec.AecodecError];
        return [
          await aecodec.decode("/cut-off.aec").catch(name),
          await aecodec.decode("/tests/golden/rgb-q75.aec", aborted).catch(name),
        ];
      });
      assert.deepEqual(names, [["AecodecError", true], ["AbortError", false]]);
    });

    test("configure() ends what is under way, and the next picture comes", async () => {
      const again = await context.newPage();
      await again.goto(`${server.url}web/test/page.html`);
      await again.waitForFunction(() => window.aecodec);
      const found = await again.evaluate(async () => {
        const bytes = new Uint8Array(await (await fetch("/tests/golden/rgb-q75.aec")).arrayBuffer());
        const work = aecodec.decode(bytes).then(() => "decoded", (error) => `${error.name}: ${error.message}`);
        await new Promise((done) => setTimeout(done));
        aecodec.configure({ threads: 1 });
        return [await work, (await aecodec.decode(bytes)).width];
      });
      assert.deepEqual(found, ["AecodecError: the decoder was configured anew", 160]);
      await again.close();
    });

    test("the weights are fetched once", async () => {
      const again = await context.newPage();
      const fetched = [];
      again.on("request", (request) => fetched.push(request.url()));
      await again.goto(`${server.url}web/test/page.html`);
      await again.waitForFunction(() => window.aecodec);
      const width = await again.evaluate(async () => (await aecodec.decode("/tests/golden/rgb-q75.aec")).width);
      assert.equal(width, 160);
      assert.ok(fetched.some((url) => url.endsWith(".wasm")), fetched.join());
      assert.ok(!fetched.some((url) => url.endsWith(".aecw")), fetched.join());
      await again.close();
    });

    test("weights that were damaged in the cache are fetched anew", async () => {
      const again = await context.newPage();
      const fetched = [];
      again.on("request", (request) => fetched.push(request.url()));
      await again.goto(`${server.url}web/test/page.html`);
      await again.waitForFunction(() => window.aecodec);
      const width = await again.evaluate(async () => {
        const cache = await caches.open("aecodec-weights-1");
        for (const request of await cache.keys()) await cache.put(request, new Response("damaged"));
        return (await aecodec.decode("/tests/golden/rgb-q75.aec")).width;
      });
      assert.equal(width, 160);
      assert.equal(fetched.filter((url) => url.endsWith(".aecw")).length, 1);
      await again.close();
    });

    test("nothing came from another host", () => {
      assert.deepEqual([...hosts].filter((host) => host !== "null"), [new URL(server.url).origin]);
    });
  });
}

describe("the page to try it on", { skip: missing }, () => {
  let server, browser, page;
  before(async () => {
    server = await serve(`${ROOT}web/build/site`);
    browser = await launch();
    page = await browser.newPage();
    await page.goto(server.url);
  });
  after(async () => {
    await browser?.close();
    server?.close();
  });
  const choose = (...paths) => page.setInputFiles("#files", paths.map((path) => `${ROOT}${path}`));

  test("shows a file, compares it with another, and saves it", async () => {
    await choose("tests/conformance/good/tiles-128.aec");
    await page.waitForFunction(() => /whole after/.test(document.getElementById("captions").textContent));
    assert.match(await page.textContent("#captions"), /tiles-128\.aec.*300 × 240.*quality 60/s);
    await choose("tests/conformance/good/tiles-128.png");
    await page.waitForFunction(() => document.getElementById("difference").textContent);
    const text = await page.textContent("#difference");
    const [, psnr] = text.match(/([\d.]+) dB PSNR/) ?? [0, "99"];
    assert.ok(Number(psnr) > 55, text); // the PNG is what Python decodes
    assert.match(text, /tiles-128\.aec has \d+\.\d % fewer bytes/);

    const box = await page.locator("#frame").boundingBox();
    await page.mouse.click(box.x + box.width / 4, box.y + box.height / 2);
    assert.ok(Math.abs(Number(await page.inputValue("#slider")) - 25) < 1);

    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
    assert.equal(download.suggestedFilename(), "tiles-128.png");
    const chunks = [];
    for await (const chunk of await download.createReadStream()) chunks.push(chunk);
    const entry = good.find(({ name }) => name === "tiles-128");
    assert.equal(pixelFault(entry, readPng(new Uint8Array(Buffer.concat(chunks)))), "");
  });

  test("leaves noise out, and offers that only where there is some", async () => {
    const shown = () => page.waitForFunction(() => /whole after/.test(document.getElementById("captions").textContent));
    await page.click("#clear");
    await choose("tests/conformance/good/tiles-128.aec");
    await shown();
    assert.equal(await page.isVisible("#grain"), false);
    await page.click("#clear");
    await choose("tests/conformance/good/grain-wide.aec");
    await shown();
    const size = () => page.evaluate(() => document.querySelector("#left canvas").toDataURL().length);
    const noisy = await size();
    await page.click("#grain");
    await page.waitForFunction(
      (most) => document.querySelector("#left canvas").toDataURL().length < 0.75 * most,
      noisy,
    );
    assert.equal(await page.getAttribute("#grain", "aria-pressed"), "true");
    await page.click("#grain");
    await page.waitForFunction((same) => document.querySelector("#left canvas").toDataURL().length === same, noisy);
  });

  test("says what is wrong with a damaged file, in its name", async () => {
    await page.click("#clear");
    await choose("tests/conformance/bad/flipped.aec");
    await page.waitForFunction(() => document.getElementById("status").classList.contains("bad"));
    assert.match(await page.textContent("#status"), /^flipped\.aec: CorruptError: /);
    await choose("LICENSE");
    await page.waitForFunction(() => /LICENSE/.test(document.getElementById("status").textContent));
    await page.waitForFunction(() => /neither an \.aec file/.test(document.getElementById("status").textContent));
  });
});
