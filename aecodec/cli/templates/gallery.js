/** The gallery's lightbox: pictures are decoded when they are opened, and moved by mouse, keys or touch. */

import { draw, preload } from "./aecodec/aecodec.js";

document.documentElement.classList.add("ready");

const $ = (id) => document.getElementById(id);
const links = [...document.querySelectorAll("#pictures a")];
const box = $("box");
const stage = $("stage");
const KEPT = 3; // whole pictures that are kept: the last ones that were looked at

const drawn = new Map(); // number -> { canvas, whole }
let shown = -1;
let stop;
let view = { scale: 1, x: 0, y: 0 };
let size = { width: 1, height: 1 };

// ------------------------------------------------------------------------------------ which picture

function open(number, { push = true } = {}) {
  if (!links[number]) return;
  if (push) history[shown < 0 ? "pushState" : "replaceState"]({ number }, "", `#${number + 1}`);
  stop?.abort();
  shown = number;
  const link = links[number];
  size = { width: Number(link.dataset.width), height: Number(link.dataset.height) };
  const name = document.createElement("b");
  name.textContent = link.querySelector("span").textContent;
  $("caption").replaceChildren(name, ` · ${number + 1} of ${links.length} · ${link.dataset.facts}`);
  $("trouble").textContent = "";
  $("download").href = link.href;
  const focused = document.activeElement;
  $("previous").disabled = number === 0;
  $("next").disabled = number === links.length - 1;
  if (!box.open) box.showModal();
  else if (focused?.disabled) ["previous", "next", "close"].map($).find((button) => !button.disabled).focus();
  const kept = drawn.get(number);
  if (kept?.whole) {
    drawn.delete(number); // and last again
    drawn.set(number, kept);
    stage.replaceChildren(kept.canvas);
  } else {
    load(number);
  }
  fit();
}

/** The thumbnail at once, the decoder's preview over it, and then the picture part by part. */
async function load(number) {
  const link = links[number];
  const rough = link.querySelector("img").cloneNode();
  rough.loading = "eager";
  rough.className = "rough";
  stage.replaceChildren(rough);
  const canvas = document.createElement("canvas");
  canvas.role = "img";
  canvas.setAttribute("aria-label", rough.alt);
  stop = new AbortController();
  const { signal } = stop;
  const entry = { canvas, whole: false };
  try {
    await draw(link.href, canvas, {
      signal,
      begin: () => {
        if (signal.aborted) return;
        // The thumbnail stays below until something has been drawn.
        stage.append(canvas);
        place();
      },
    });
    if (signal.aborted) return;
    entry.whole = true;
    drawn.set(number, entry);
    while (drawn.size > KEPT) drawn.delete(drawn.keys().next().value);
    rough.remove();
    box.dispatchEvent(new Event("whole"));
    if (links[number + 1]) fetch(links[number + 1].href, { signal, priority: "low" }).catch(() => {}); // for the cache
  } catch (error) {
    if (!signal.aborted) $("trouble").textContent = `${rough.alt}: ${error.name}: ${error.message}`;
  }
}

function leave() {
  stop?.abort();
  const last = links[shown];
  shown = -1;
  stage.replaceChildren();
  last?.focus();
}

links.forEach((link, number) =>
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    open(number);
  }),
);
// Closing goes back in the history, and going back closes.
box.addEventListener("close", () => {
  if (shown < 0) return;
  leave();
  history.back();
});
addEventListener("popstate", () => {
  const number = Number(location.hash.slice(1)) - 1;
  if (links[number]) {
    open(number, { push: false });
  } else if (shown >= 0) {
    leave();
    box.close();
  }
});

// ------------------------------------------------------------------------------------ how it is seen

const room = () => ({ width: stage.clientWidth, height: stage.clientHeight });
const fitting = () => Math.min(room().width / size.width, room().height / size.height, 1 / devicePixelRatio || 1);

function place() {
  const { width, height } = room();
  const [w, h] = [size.width * view.scale, size.height * view.scale];
  // What is smaller than the window stands in its middle, what is larger leaves no gap.
  view.x = w <= width ? (width - w) / 2 : Math.min(0, Math.max(width - w, view.x));
  view.y = h <= height ? (height - h) / 2 : Math.min(0, Math.max(height - h, view.y));
  for (const element of stage.children) {
    element.style.width = `${size.width}px`;
    element.style.height = `${size.height}px`;
    element.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  }
}

function fit() {
  view = { scale: fitting(), x: 0, y: 0 };
  place();
}

/** Change the scale so that the point (x, y) of the stage stays where it is. */
function zoom(factor, x = room().width / 2, y = room().height / 2) {
  const scale = Math.min(16, Math.max(Math.min(fitting(), 1), view.scale * factor));
  const by = scale / view.scale;
  view = { scale, x: x - (x - view.x) * by, y: y - (y - view.y) * by };
  place();
}

/** Move the window over a larger picture, by a part of the window; false where all is in it. */
function pan(across, down) {
  const { width, height } = room();
  if (across ? size.width * view.scale <= width + 1 : size.height * view.scale <= height + 1) return false;
  view.x -= across * width;
  view.y -= down * height;
  place();
  return true;
}

const toActual = (x, y) => zoom(1 / devicePixelRatio / view.scale, x, y);
addEventListener("resize", () => shown >= 0 && fit());

for (const [id, work] of Object.entries({
  previous: () => open(shown - 1),
  next: () => open(shown + 1),
  smaller: () => zoom(1 / 1.5),
  larger: () => zoom(1.5),
  fit,
  actual: () => toActual(),
  close: () => box.close(),
})) {
  $(id).addEventListener("click", work);
}
const keys = {
  ArrowLeft: () => pan(-1 / 8, 0) || open(shown - 1),
  ArrowRight: () => pan(1 / 8, 0) || open(shown + 1),
  ArrowUp: () => pan(0, -1 / 8),
  ArrowDown: () => pan(0, 1 / 8),
  PageUp: () => open(shown - 1),
  PageDown: () => open(shown + 1),
  Home: () => open(0),
  End: () => open(links.length - 1),
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  0: fit,
  1: () => toActual(),
};
// Wherever the focus is: a click on the picture takes it from the buttons.
addEventListener("keydown", (event) => {
  if (shown < 0 || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
stage.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoom(2 ** (-event.deltaY / (event.deltaMode ? 10 : 300)), event.offsetX, event.offsetY);
  },
  { passive: false },
);

// One pointer moves, or swipes to the next picture; two of them zoom; a double tap, too.
const pointers = new Map();
let begun;
let tapped = { time: 0, x: 0, y: 0 };
const inStage = ({ clientX, clientY }) => {
  const { left, top } = stage.getBoundingClientRect();
  return { x: clientX - left, y: clientY - top };
};
stage.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  stage.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, inStage(event));
  begun = { ...inStage(event), time: event.timeStamp, alone: pointers.size === 1 && view.scale <= fitting() * 1.001 };
});
stage.addEventListener("pointermove", (event) => {
  const before = pointers.get(event.pointerId);
  if (!before) return;
  const now = inStage(event);
  pointers.set(event.pointerId, now);
  if (pointers.size === 1) {
    view.x += now.x - before.x;
    view.y += now.y - before.y;
    place();
  } else if (pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    zoom(apart(now) / apart(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  }
});
for (const name of ["pointerup", "pointercancel"]) {
  stage.addEventListener(name, (event) => {
    if (!pointers.delete(event.pointerId) || name === "pointercancel" || pointers.size || !begun) return;
    const { x, y } = inStage(event);
    const [dx, dy] = [x - begun.x, y - begun.y];
    if (begun.alone && Math.abs(dx) > 60 && Math.abs(dx) > 2 * Math.abs(dy) && event.pointerType !== "mouse") {
      open(shown + (dx < 0 ? 1 : -1));
    } else if (Math.hypot(dx, dy) < 10) {
      const twice = event.timeStamp - tapped.time < 350 && Math.hypot(x - tapped.x, y - tapped.y) < 30;
      if (twice) view.scale > fitting() * 1.001 ? fit() : zoom(Math.max(1 / devicePixelRatio / view.scale, 2.5), x, y);
      tapped = { time: twice ? 0 : event.timeStamp, x, y };
    }
    begun = undefined;
  });
}

// An address that names a picture opens it; and while people look at thumbnails, the decoder gets ready.
const named = Number(location.hash.slice(1)) - 1;
if (links[named]) {
  history.replaceState(null, "", location.pathname + location.search);
  open(named);
}
const quiet = window.requestIdleCallback ?? ((work) => setTimeout(work, 500));
quiet(() => navigator.connection?.saveData || preload(document.documentElement.dataset.model).catch(() => {}));
