"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, attributes = {}, ...children) => {
  const svg = /^(svg|g|path|line|text|circle|rect|clipPath|defs)$/.test(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const press = (buttons, chosen) => buttons.forEach((b) => b.setAttribute("aria-pressed", b === chosen));
const read = (id) => JSON.parse($(id).textContent);

// ------------------------------------------------------------------------------- light and dark
const themes = ["", "light", "dark"], words = ["Auto", "Light", "Dark"];
let theme = 0;
$("theme").onclick = () => {
  theme = (theme + 1) % 3;
  if (themes[theme]) document.documentElement.dataset.theme = themes[theme];
  else delete document.documentElement.dataset.theme;
  $("theme").lastElementChild.textContent = words[theme];
  $("theme").setAttribute("aria-label", "Colours: " + (theme ? words[theme] : "as the system"));
};

// ------------------------------------------------------------------------------------ the slider
function slider() {
  const stage = $("stage"), under = $("under").firstChild, over = $("over").firstChild;
  const sides = { l: $("left"), r: $("right") };
  const modes = all("[data-mode]");
  const loaded = new Map(), made = new Map();
  let scene, mode = "picture", divide = 50, fit = 1, zoom = 1, x = 0, y = 0, turn = 0;

  const sceneOf = (index) => {
    if (!loaded.has(index)) loaded.set(index, read("scene-" + index));
    return loaded.get(index);
  };
  const pixelsOf = async (uri) => {
    const img = new Image();
    img.src = uri;
    await img.decode();
    const canvas = make("canvas");
    canvas.width = scene.width; canvas.height = scene.height;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(img, 0, 0);
    return { canvas, context, data: context.getImageData(0, 0, canvas.width, canvas.height) };
  };
  const urlOf = (canvas) => new Promise((done) => canvas.toBlob((blob) => done(URL.createObjectURL(blob))));

  async function difference(view) {
    const a = await pixelsOf(scene.views[0].uri), b = await pixelsOf(view.uri);
    const p = a.data.data, q = b.data.data;
    for (let i = 0; i < p.length; i += 4)
      for (let c = 0; c < 3; c++) p[i + c] = Math.min(255, 8 * Math.abs(p[i + c] - q[i + c]));
    a.context.putImageData(a.data, 0, 0);
    return urlOf(a.canvas);
  }
  const stops = [[0, 0, 4], [66, 10, 104], [147, 38, 103], [221, 81, 58], [252, 165, 10], [252, 255, 164]];
  const heat = (t) => {
    const k = Math.min(4, Math.floor(t * 5)), f = t * 5 - k;
    return stops[k].map((value, c) => value + f * (stops[k + 1][c] - value));
  };
  async function bits() {
    const base = await pixelsOf(scene.views[0].uri), p = base.data.data, map = scene.bits;
    const levels = Uint8Array.from(atob(map.levels), (c) => c.charCodeAt(0));
    for (let j = 0, i = 0; j < scene.height; j++)
      for (let k = 0; k < scene.width; k++, i += 4) {
        const grey = 0.3 * p[i] + 0.59 * p[i + 1] + 0.11 * p[i + 2];
        const colour = heat(levels[(j >> 4) * map.columns + (k >> 4)] / 255);
        for (let c = 0; c < 3; c++) p[i + c] = 0.78 * colour[c] + 0.22 * grey;
      }
    base.context.putImageData(base.data, 0, 0);
    return urlOf(base.canvas);
  }
  const sourceOf = (side) => {
    const view = scene.views[sides[side].value];
    const kind = mode === "bits" && side === "r" ? "picture" : mode;
    if (kind === "picture") return view.uri;
    const key = [scene.name, kind, kind === "bits" ? "" : sides[side].value].join("\n");
    if (!made.has(key)) made.set(key, kind === "bits" ? bits() : difference(view));
    return made.get(key);
  };

  async function show() {
    const mine = ++turn;
    const [left, right] = await Promise.all([sourceOf("l"), sourceOf("r")]);
    if (mine !== turn) return; // something else was chosen meanwhile
    over.src = left; under.src = right;
    const bitsName = scene.views[1].title + ": bits";
    for (const [side, img] of [["l", over], ["r", under]]) {
      const view = scene.views[sides[side].value];
      const name = mode === "bits" && side === "l" ? bitsName : view.title;
      const suffix = mode === "difference" ? " − original" : "";
      $("tag-" + side).textContent = name + suffix;
      $("cap-" + side).textContent = name + suffix;
      $("det-" + side).textContent = mode === "bits" && side === "l" ? scene.views[1].detail : view.detail;
      img.alt = scene.name + ", " + name + suffix;
    }
    $("heat").hidden = mode !== "bits";
    if (scene.bits) $("heat-max").textContent = scene.bits.largest.toFixed(2) + " bits per pixel";
    layout();
  }
  function layout() {
    const wide = stage.parentElement.clientWidth, tall = Math.max(240, Math.min(720, 0.78 * innerHeight));
    fit = Math.min(wide / scene.width, tall / scene.height);
    stage.style.width = scene.width * fit + "px";
    stage.style.height = scene.height * fit + "px";
    $("position").style.width = stage.style.width;
    place();
  }
  function place() {
    const w = scene.width * fit, h = scene.height * fit, scale = fit * zoom;
    x = Math.min(0, Math.max(w - w * zoom, x));
    y = Math.min(0, Math.max(h - h * zoom, y));
    for (const img of [under, over]) {
      img.style.width = scene.width + "px";
      img.style.height = scene.height + "px";
      img.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      img.classList.toggle("crisp", scale * devicePixelRatio >= 2.5);
    }
    stage.classList.toggle("zoomed", zoom > 1);
    $("percent").textContent = zoom === 1 ? "Fit" : Math.round(100 * scale * devicePixelRatio) + " %";
    $("over").style.clipPath = `inset(0 ${100 - divide}% 0 0)`;
    $("divider").style.left = divide + "%";
    $("position").value = divide;
    $("position").setAttribute("aria-valuetext", `${Math.round(divide)} % ${$("tag-l").textContent}`);
  }
  function zoomTo(value, cx = stage.clientWidth / 2, cy = stage.clientHeight / 2) {
    const next = Math.min(16 / fit, Math.max(1, value));
    x = cx - (cx - x) * next / zoom;
    y = cy - (cy - y) * next / zoom;
    zoom = next;
    place();
  }
  function moveTo(percent) { divide = Math.min(100, Math.max(0, percent)); place(); }
  function setMode(value) {
    if (value === "bits" && !scene.bits) return;
    mode = value;
    press(modes, modes.find((b) => b.dataset.mode === mode));
    show();
  }
  function open(index) {
    scene = sceneOf(index);
    zoom = 1; x = y = 0;
    for (const [side, preferred] of [["l", 1], ["r", Math.min(2, scene.views.length - 1)]]) {
      const kept = sides[side].value;
      sides[side].replaceChildren(...scene.views.map((view, i) => make("option", { value: i }, view.title)));
      sides[side].value = kept !== "" && kept < scene.views.length ? kept : side === "r" && scene.views.length === 2 ? 0 : preferred;
    }
    modes.find((b) => b.dataset.mode === "bits").disabled = !scene.bits;
    modes.find((b) => b.dataset.mode === "bits").hidden = !scene.bits;
    if (mode === "bits" && !scene.bits) { mode = "picture"; press(modes, modes[0]); }
    $("scene-note").textContent = scene.note;
    $("scene-note").hidden = !scene.note;
    show();
  }

  modes.forEach((button) => (button.onclick = () => setMode(button.dataset.mode)));
  all("[data-zoom]").forEach((button) => (button.onclick = () => {
    const what = button.dataset.zoom;
    zoomTo(what === "fit" ? 1 : zoom * (what === "in" ? 1.6 : 1 / 1.6));
  }));
  sides.l.onchange = sides.r.onchange = show;
  if ($("scene")) $("scene").onchange = () => open($("scene").value);
  $("position").oninput = () => moveTo(+$("position").value);

  stage.onkeydown = (event) => {
    const step = event.shiftKey ? 40 : 2, key = event.key;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && /^Arrow/.test(key)) {
      x += (key === "ArrowLeft") * step - (key === "ArrowRight") * step;
      y += (key === "ArrowUp") * step - (key === "ArrowDown") * step;
      place();
    } else if (key === "ArrowLeft" || key === "ArrowRight") moveTo(divide + (key === "ArrowRight" ? step : -step));
    else if (key === "Home" || key === "End") moveTo(key === "Home" ? 0 : 100);
    else if (key === "+" || key === "=") zoomTo(zoom * 1.6);
    else if (key === "-") zoomTo(zoom / 1.6);
    else if (key === "0") zoomTo(1);
    else if (key === "d" || key === "D") setMode(mode === "difference" ? "picture" : "difference");
    else if (key === "b" || key === "B") setMode(mode === "bits" ? "picture" : "bits");
    else return;
    event.preventDefault();
  };

  const fingers = new Map();
  let dragging = "", before = null;
  const local = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  stage.onpointerdown = (event) => {
    if (event.button) return;
    const at = local(event);
    fingers.set(event.pointerId, at);
    stage.setPointerCapture(event.pointerId);
    const near = Math.abs(at.x - divide / 100 * stage.clientWidth) < 26;
    dragging = fingers.size > 1 ? "pinch" : zoom === 1 || near ? "divider" : "pan";
    if (dragging === "divider" && (near || event.pointerType === "mouse")) moveTo(100 * at.x / stage.clientWidth);
    stage.classList.toggle("dragging", dragging === "pan");
    before = null;
  };
  stage.onpointermove = (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const at = local(event);
    fingers.set(event.pointerId, at);
    if (dragging === "divider") moveTo(100 * at.x / stage.clientWidth);
    else if (dragging === "pan") { x += at.x - last.x; y += at.y - last.y; place(); }
    else if (dragging === "pinch" && fingers.size === 2) {
      const [a, b] = [...fingers.values()];
      const span = Math.hypot(a.x - b.x, a.y - b.y), cx = (a.x + b.x) / 2, cy = (a.y + b.y) / 2;
      if (before) { x += cx - before.cx; y += cy - before.cy; zoomTo(zoom * span / before.span, cx, cy); }
      before = { span, cx, cy };
    }
  };
  stage.onpointerup = stage.onpointercancel = (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) { dragging = ""; stage.classList.remove("dragging"); }
    else dragging = "pan";
  };
  stage.ondblclick = (event) => {
    const at = local(event);
    if (Math.abs(at.x - divide / 100 * stage.clientWidth) > 26 || zoom > 1) zoomTo(zoom > 1 ? 1 : 4, at.x, at.y);
  };
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && zoom === 1) return; // the page scrolls
    event.preventDefault();
    const at = local(event);
    zoomTo(zoom * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), at.x, at.y);
  }, { passive: false });
  new ResizeObserver(() => scene && layout()).observe(stage.parentElement);
  open(0);
  return (name) => {
    const option = $("scene") && [...$("scene").options].find((o) => o.textContent === name);
    if (!option && sceneOf(0).name !== name) return false;
    return () => {
      if (option) { $("scene").value = option.value; open(option.value); }
      $("look").scrollIntoView({ behavior: "smooth" });
      stage.focus({ preventScroll: true });
    };
  };
}
const goTo = $("stage") ? slider() : () => false;
if (!$("rd")) return;

// ------------------------------------------------------------------------------------- the plots
const data = read("data"), metricNames = Object.fromEntries(data.metrics);
const dashes = ["", "7 3", "2 3", "9 3 2 3", "12 4", "5 2 1 2", "1 4", "14 3 3 3", "4 4", "8 2 2 2 2 2"];
const markers = [
  "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M-3.7,-3.7h7.4v7.4h-7.4z", "M0,-4.8L4.4,3.6H-4.4z", "M0,-5L5,0L0,5L-5,0z",
  "M0,4.8L4.4,-3.6H-4.4z", "M-4,-1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z", "M-4.5,-2.4h9v4.8h-9z",
  "M-2.4,-4.5h4.8v9h-4.8z", "M-4.4,-4.4L4.4,4.4M4.4,-4.4L-4.4,4.4", "M0,-5V5M-5,0H5",
];
let own = 0, others = 0;
const series = data.curves.map((curve) => ({
  ...curve,
  shown: true,
  colour: curve.measured ? `var(--c${own % 10})` : "var(--soft)",
  dash: dashes[curve.measured ? own % 10 : 1 + (others % 9)],
  marker: markers[curve.measured ? own++ % 10 : others++ % 10],
  width: curve.measured ? (own === 1 ? 3 : 2) : 1.2,
}));
const tip = $("tip");
const say = (text, px, py) => {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(innerWidth - box.width - 6, px + 14)) + "px";
  tip.style.top = Math.max(6, py - box.height - 12 < 6 ? py + 16 : py - box.height - 12) + "px";
};
const logTicks = (low, high, most) => {
  const every = [[1, 2, 3, 5, 7], [1, 2, 5], [1]];
  for (const digits of every) {
    const ticks = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const d of digits) { const t = d * 10 ** e; if (t >= low && t <= high) ticks.push(t); }
    if (ticks.length <= most) return ticks;
  }
  return [low, high];
};
const ticks = (low, high, most) => {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((d) => d * power).find((s) => s >= raw), made = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9; t += step) made.push(+t.toFixed(6));
  return made;
};
const number = (value) => (value >= 100 ? value.toFixed(0) : String(+value.toPrecision(3)));
function frame(host, xs, ys, xTicks, yTicks, xName, yName, right) {
  const w = Math.max(280, host.clientWidth), h = Math.round(Math.max(300, Math.min(520, w * 0.52)));
  const box = { l: 50, r: w - right, t: 26, b: h - 44 };
  const svg = make("svg", { viewBox: `0 0 ${w} ${h}`, width: w, height: h, "aria-hidden": "true" });
  const px = (v) => box.l + (Math.log(v) - Math.log(xs[0])) / (Math.log(xs[1]) - Math.log(xs[0])) * (box.r - box.l);
  const py = (v) => box.b - (v - ys[0]) / (ys[1] - ys[0]) * (box.b - box.t);
  for (const t of xTicks(Math.max(3, Math.floor((box.r - box.l) / 56)))) {
    svg.append(make("line", { x1: px(t), x2: px(t), y1: box.t, y2: box.b, class: "grid" }));
    svg.append(make("text", { x: px(t), y: box.b + 17, "text-anchor": "middle" }, number(t)));
  }
  for (const t of yTicks) {
    svg.append(make("line", { x1: box.l, x2: box.r, y1: py(t), y2: py(t), class: "grid" }));
    svg.append(make("text", { x: box.l - 7, y: py(t) + 4, "text-anchor": "end" }, String(t).replace("-", "−")));
  }
  svg.append(make("line", { x1: box.l, x2: box.r, y1: box.b, y2: box.b, class: "axis" }));
  svg.append(make("text", { x: (box.l + box.r) / 2, y: h - 8, "text-anchor": "middle" }, xName));
  svg.append(make("text", { x: box.l - 42, y: 13 }, yName));
  return { svg, box, px, py, w, h };
}
const spread = (labels, gap, low, high) => { // push labels apart, keeping their order
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].y = Math.max(labels[i].y, labels[i - 1].y + gap);
  let limit = high;
  for (let i = labels.length - 1; i >= 0; i--) { labels[i].y = Math.min(labels[i].y, limit); limit = labels[i].y - gap; }
  return labels.filter((label) => label.y >= low - 1);
};

let dots = [], at = -1;
function drawCurves() {
  const metric = $("metric").value, picture = $("picture").value;
  const pointsOf = (s) => (picture ? s.pictures[picture] : s.mean)?.[metric] || [];
  const visible = series.filter((s) => s.shown && pointsOf(s).length);
  const main = visible.some((s) => s.measured) ? visible.filter((s) => s.measured) : visible;
  const flat = main.flatMap(pointsOf);
  const host = $("curves");
  dots = []; at = -1;
  if (!flat.length) { host.replaceChildren(make("p", { class: "hint" }, "No curve is shown.")); return; }
  const range = (k) => [Math.min(...flat.map((p) => p[k])), Math.max(...flat.map((p) => p[k]))];
  let xs = range(0), ys = range(1);
  xs = [xs[0] / 1.12, xs[1] * 1.12];
  const pad = Math.max(0.3, (ys[1] - ys[0]) * 0.05);
  ys = [ys[0] - pad, ys[1] + pad];
  const wide = host.clientWidth > 640;
  const f = frame(host, xs, ys, (n) => logTicks(...xs, n), ticks(...ys, 7), "bits per pixel (log)", metricNames[metric], wide ? 132 : 12);
  const { svg, box, px, py } = f;
  svg.append(make("defs", {}, make("clipPath", { id: "inside" }, make("rect", { x: box.l, y: box.t - 6, width: box.r - box.l + 6, height: box.b - box.t + 6 }))));
  const labels = [], few = visible.length <= 18; // more names than fit: the legend and the points tell
  for (const s of [...visible].reverse()) { // aecodec is drawn last, on top
    const points = pointsOf(s);
    const group = make("g", { "clip-path": "url(#inside)", style: `color:${s.colour}` });
    if (points.length) group.append(make("path", { d: "M" + points.map((p) => `${px(p[0]).toFixed(1)},${py(p[1]).toFixed(1)}`).join("L"), fill: "none", stroke: "currentColor", "stroke-width": s.width, "stroke-dasharray": s.dash, "stroke-linejoin": "round" }));
    for (const p of points) {
      const [cx, cy] = [px(p[0]), py(p[1])];
      if (cx < box.l - 6 || cx > box.r + 6 || cy < box.t - 6 || cy > box.b + 6) continue;
      if (s.measured) group.append(make("path", { d: s.marker, transform: `translate(${cx.toFixed(1)},${cy.toFixed(1)})`, fill: "currentColor", stroke: "currentColor" }));
      dots.push({ cx, cy, s, text: `${s.title}\n${p[0].toFixed(3)} bpp\n${p[1].toFixed(2)} ${metric === "ssimulacra2" ? "" : "dB"}` });
    }
    svg.append(group);
    const inside = points.filter((p) => p[0] <= xs[1] && p[1] <= ys[1]);
    if (inside.length && (s.measured || few)) labels.push({ s, x: px(inside.at(-1)[0]), y: py(inside.at(-1)[1]) + 4 });
  }
  if (wide) for (const label of spread(labels, 15, box.t, box.b))
    svg.append(make("text", { x: box.r + 10, y: label.y, class: "name", style: `fill:${label.s.colour}` }, label.s.title.length > 19 ? label.s.title.slice(0, 18) + "…" : label.s.title));
  dots.sort((a, b) => series.indexOf(a.s) - series.indexOf(b.s) || a.cx - b.cx);
  const ring = make("circle", { r: 8, fill: "none", stroke: "var(--ink)", "stroke-width": 2, visibility: "hidden" });
  svg.append(ring);
  host.replaceChildren(svg);
  const mark = (dot) => {
    const area = svg.getBoundingClientRect(), scale = area.width / f.w;
    ring.setAttribute("cx", dot.cx); ring.setAttribute("cy", dot.cy); ring.setAttribute("visibility", "visible");
    say(dot.text, area.left + dot.cx * scale, area.top + dot.cy * scale);
  };
  const clear = () => { ring.setAttribute("visibility", "hidden"); tip.hidden = true; };
  svg.onpointermove = svg.onpointerdown = (event) => {
    const area = svg.getBoundingClientRect(), scale = area.width / f.w;
    const mx = (event.clientX - area.left) / scale, my = (event.clientY - area.top) / scale;
    const reach = (d) => Math.hypot(d.cx - mx, d.cy - my);
    const best = dots.reduce((a, b) => (reach(b) < reach(a) ? b : a), dots[0]);
    if (best && reach(best) < 40) mark(best); else clear();
  };
  svg.onpointerleave = host.onblur = clear;
  host.onkeydown = (event) => {
    const key = event.key, s = dots[at]?.s;
    if (key === "Escape") return clear();
    if (key === "ArrowRight" || key === "ArrowLeft") at = (at + (key === "ArrowRight" ? 1 : -1) + dots.length) % dots.length;
    else if (key === "ArrowDown" || key === "ArrowUp") {
      const index = visible.indexOf(s), next = visible[(index + (key === "ArrowDown" ? 1 : -1) + visible.length) % visible.length];
      at = dots.findIndex((d) => d.s === next);
    } else return;
    event.preventDefault();
    if (dots[at]) mark(dots[at]);
  };
  const rows = visible.flatMap((s) => pointsOf(s).map((p) => make("tr", {}, make("th", { scope: "row" }, s.title), make("td", {}, p[0].toFixed(4)), make("td", {}, p[1].toFixed(3)))));
  const cells = ["Codec", "bits per pixel", metricNames[metric]].map((text) => make("th", { scope: "col" }, text));
  $("curve-table").replaceChildren(make("thead", {}, make("tr", {}, ...cells)), make("tbody", {}, ...rows));
}
for (const [key, label] of data.metrics) $("metric").append(make("option", { value: key }, label));
for (const name of data.pictures) $("picture").append(make("option", { value: name }, name));
$("metric").onchange = $("picture").onchange = drawCurves;
for (const s of series) {
  const swatch = make("svg", { width: 30, height: 12, viewBox: "-15 -6 30 12", "aria-hidden": "true", style: `color:${s.colour}` },
    make("path", { d: "M-15,0H15", stroke: "currentColor", "stroke-width": s.width, "stroke-dasharray": s.dash, fill: "none" }));
  if (s.measured) swatch.append(make("path", { d: s.marker, fill: "currentColor", stroke: "currentColor" }));
  const button = make("button", { type: "button", "aria-pressed": "true" }, swatch, s.title);
  button.onclick = () => { s.shown = !s.shown; button.setAttribute("aria-pressed", s.shown); drawCurves(); };
  $("legend").append(button);
}

// ------------------------------------------------------------------------------ speed against size
let direction = "encode";
function drawSpeeds() {
  const host = $("speeds"), points = data.speeds.filter((p) => p.bd !== null);
  const values = points.map((p) => p[direction]), rates = points.map((p) => p.bd);
  const xs = [Math.min(...values) / 1.6, Math.max(...values) * 1.9];
  const pad = Math.max(4, (Math.max(...rates) - Math.min(...rates)) * 0.14), ys = [Math.min(...rates) - pad, Math.max(...rates) + pad];
  const name = `${direction === "encode" ? "encoded" : "decoded"} megapixels a second (log)`;
  const f = frame(host, xs, ys, (n) => logTicks(...xs, n), ticks(...ys, 6), name, `BD-rate, % against ${data.anchor}`, 14);
  const { svg, box, px, py } = f;
  if (ys[0] < 0 && ys[1] > 0) svg.append(make("line", { x1: box.l, x2: box.r, y1: py(0), y2: py(0), stroke: "var(--soft)", "stroke-dasharray": "3 3" }));
  svg.append(make("text", { x: box.r - 4, y: box.b - 8, "text-anchor": "end" }, "faster and smaller ↘"));
  const taken = [];
  for (const p of points) {
    const s = series.find((c) => c.name === p.name), cx = px(p[direction]), cy = py(p.bd);
    svg.append(make("path", { d: s.marker, transform: `translate(${cx},${cy}) scale(1.5)`, fill: s.colour, stroke: s.colour }));
    const before = cx > (box.l + box.r) / 2, width = p.title.length * 7.2;
    let ly = cy + 4;
    const hits = () => taken.find((t) => Math.abs(t.y - ly) < 14 && t.from < (before ? cx - 12 : cx + 12 + width) && t.to > (before ? cx - 12 - width : cx + 12));
    for (let i = 0; i < 8 && hits(); i++) ly += 14;
    taken.push({ y: ly, from: before ? cx - 12 - width : cx + 12, to: before ? cx - 12 : cx + 12 + width });
    svg.append(make("text", { x: before ? cx - 12 : cx + 12, y: ly, "text-anchor": before ? "end" : "start", class: "name halo", style: `fill:${s.colour}` }, p.title));
  }
  host.replaceChildren(svg);
}
const speedButtons = all("[data-speed]");
speedButtons.forEach((b) => (b.onclick = () => { direction = b.dataset.speed; press(speedButtons, b); drawSpeeds(); }));

// ------------------------------------------------------------------------------------- the tables
const matrixButtons = all("[data-matrix]");
matrixButtons.forEach((b) => (b.onclick = () => {
  press(matrixButtons, b);
  all("[data-panel]").forEach((panel) => (panel.hidden = panel.dataset.panel !== b.dataset.matrix));
}));
all("table.sortable").forEach((table) => {
  const body = table.tBodies[0], headings = all("thead th", table);
  headings.forEach((heading, column) => (heading.firstChild.onclick = () => {
    const down = heading.getAttribute("aria-sort") === "ascending";
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = (row) => row.cells[column].textContent;
    const order = (a, b) => {
      const [p, q] = [parseFloat(value(a)), parseFloat(value(b))];
      if (column < 1) return value(a).localeCompare(value(b), undefined, { numeric: true });
      return (isNaN(p) - isNaN(q)) || p - q;
    };
    body.append(...[...body.rows].sort((a, b) => (down ? -1 : 1) * order(a, b)));
  }));
  all("[data-scene]", table).forEach((cell) => {
    const open = goTo(cell.dataset.scene);
    if (!open) return;
    const button = make("button", { type: "button", title: "Show it side by side" }, cell.dataset.scene);
    button.onclick = open;
    cell.firstChild.replaceWith(button);
  });
});
const redraw = () => { drawCurves(); drawSpeeds(); };
let width = 0;
new ResizeObserver((entries) => {
  const now = entries[0].contentRect.width;
  if (now !== width) { width = now; redraw(); }
}).observe($("curves"));
redraw();
})();
