/** The page to look at .aec pictures: everything stays in it. */

import { AecodecError, draw, preload, readInfo, toBlob } from "./aecodec/aecodec.js";

const $ = (id) => document.getElementById(id);
const shown = []; // { name, bytes, canvas, text }: one picture, or two that are compared
let grain = true; // whether the noise that a file describes is added

const count = (n) => n.toLocaleString("en");
const bytesText = (n) => (n < 1000 ? `${n} bytes` : n < 1e6 ? `${(n / 1000).toFixed(1)} kB` : `${(n / 1e6).toFixed(2)} MB`);

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

/** A canvas that tells what is on it. */
function canvasFor(name) {
  const canvas = document.createElement("canvas");
  canvas.role = "img";
  canvas.setAttribute("aria-label", name);
  return canvas;
}

/** One picture: decoded if it is an .aec file, else by the browser. */
async function open(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const canvas = canvasFor(file.name);
  const entry = { name: file.name, size: bytes.length, canvas };
  const ours = bytes[0] === 0x89 && String.fromCharCode(...bytes.subarray(1, 4)) === "AEC";
  if (ours || /\.aec$/i.test(file.name)) {
    const info = await readInfo(bytes);
    entry.bytes = bytes;
    entry.grained = info.sections.some(({ name }) => name === "GRAIN");
    entry.text = `quality ${info.quality}, ${info.bitsPerPixel.toFixed(2)} bits per pixel`;
    const begun = performance.now();
    let first = 0;
    entry.ready = draw(bytes, canvas, {
      grain,
      begin: () => add(entry),
      preview: () => (first ||= performance.now() - begun),
    }).then(() => {
      const whole = performance.now() - begun;
      entry.text += `; preview after ${count(Math.round(first))} ms, whole after ${count(Math.round(whole))} ms`;
      refresh();
    });
    return entry.ready;
  }
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new AecodecError("neither an .aec file nor a picture that your browser knows");
  }
  Object.assign(canvas, { width: picture.width, height: picture.height });
  canvas.getContext("2d").drawImage(picture, 0, 0);
  entry.text = `${((8 * bytes.length) / (picture.width * picture.height)).toFixed(2)} bits per pixel`;
  add(entry);
}

function add(entry) {
  $("difference").textContent = "";
  if (shown.length === 2) shown.pop();
  shown.push(entry);
  refresh();
}

function refresh() {
  const [one, two] = shown;
  document.body.classList.toggle("shown", !!one);
  document.body.classList.toggle("comparing", !!two);
  $("view").hidden = !one;
  $("slider").hidden = $("line").hidden = !two;
  $("left").replaceChildren(...(one ? [one.canvas] : []));
  $("right").replaceChildren(...(two ? [two.canvas] : []));
  $("captions").replaceChildren(
    ...shown.map(({ name, size, text, canvas }) => {
      const made = document.createElement("div");
      const title = document.createElement("strong");
      title.textContent = name;
      const line = document.createElement("span");
      line.textContent = `${canvas.width} × ${canvas.height}, ${bytesText(size)}, ${text}`;
      made.append(title, line);
      return made;
    }),
  );
  $("grain").hidden = !shown.some(({ grained }) => grained);
  $("save").disabled = !shown.some(({ bytes }) => bytes);
}

/** How far two pictures of one size are from each other, once both are whole. */
async function compare() {
  await Promise.allSettled(shown.map(({ ready }) => ready));
  const [one, two] = shown;
  if (!two) return;
  if (one.canvas.width !== two.canvas.width || one.canvas.height !== two.canvas.height) {
    $("difference").textContent = "The pictures have different sizes: the second one is stretched.";
    return;
  }
  const { width, height } = one.canvas;
  let sum = 0;
  for (let y = 0; y < height; y += 256) {
    const rows = Math.min(256, height - y);
    const [a, b] = [one, two].map(({ canvas }) => {
      const context = new OffscreenCanvas(width, rows).getContext("2d", { willReadFrequently: true });
      context.drawImage(canvas, 0, -y);
      return context.getImageData(0, 0, width, rows).data;
    });
    for (let k = 0; k < a.length; k++) if (k % 4 < 3) sum += (a[k] - b[k]) ** 2;
  }
  const error = sum / (3 * width * height);
  const psnr = error ? `${(10 * Math.log10(255 ** 2 / error)).toFixed(2)} dB PSNR` : "no difference at all";
  const [small, large] = [one, two].sort((a, b) => a.size - b.size);
  const share = (100 * (1 - small.size / large.size)).toFixed(1);
  $("difference").textContent = `Between the two: ${psnr}. ${small.name} has ${share} % fewer bytes.`;
}

async function take(files) {
  say("");
  for (const file of files) {
    try {
      say(`Opening ${file.name} …`);
      await open(file);
      if ($("status").textContent.startsWith("Opening")) say("");
    } catch (error) {
      say(`${file.name}: ${error.name}: ${error.message}.`, true);
      if (!(error instanceof AecodecError)) console.error(error);
    }
  }
  await compare();
}

$("files").addEventListener("change", (event) => {
  take([...event.target.files]);
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
}
addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => take([...event.clipboardData.files]));

const at = (percent) => $("frame").style.setProperty("--at", `${percent}%`);
$("slider").addEventListener("input", (event) => at(event.target.value));
$("frame").addEventListener("pointerdown", (event) => {
  if (shown.length < 2) return;
  $("frame").setPointerCapture(event.pointerId);
  slide(event);
});
$("frame").addEventListener("pointermove", (event) => {
  if ($("frame").hasPointerCapture(event.pointerId)) slide(event);
});
function slide(event) {
  const { left, width } = $("frame").getBoundingClientRect();
  $("slider").value = Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width));
  at($("slider").value);
}

$("save").addEventListener("click", async () => {
  const { name, bytes } = shown.find((entry) => entry.bytes);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await toBlob(bytes, { grain }));
  link.download = `${name.replace(/\.aec$/i, "")}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
});
$("size").addEventListener("click", (event) => {
  const actual = document.body.classList.toggle("actual");
  event.target.setAttribute("aria-pressed", actual);
});
$("grain").addEventListener("click", async (event) => {
  grain = !grain;
  event.target.setAttribute("aria-pressed", !grain);
  for (const entry of shown.filter(({ grained }) => grained)) {
    const canvas = canvasFor(entry.name);
    entry.ready = draw(entry.bytes, canvas, { grain }).then(() => {
      entry.canvas = canvas; // only now: the old one stays until this is whole
      refresh();
    });
  }
  await compare();
});
$("clear").addEventListener("click", () => {
  shown.length = 0;
  $("difference").textContent = "";
  say("");
  refresh();
  $("files").focus();
});

$("machine").textContent = crossOriginIsolated
  ? `This page may use ${navigator.hardwareConcurrency} threads (crossOriginIsolated).`
  : "This page may use one thread only: its server does not send the two headers for cross-origin isolation.";
const begun = performance.now();
preload().then(
  () => ($("machine").textContent += ` The decoder was ready after ${count(Math.round(performance.now() - begun))} ms.`),
  (error) => say(`The decoder cannot start: ${error.message}.`, true),
);
