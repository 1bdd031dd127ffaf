/** <aec-image src="photo.aec" alt="..." no-grain> shows an .aec file as <img> shows others. */

import { draw } from "./client.js";

// Node, too, may import this module.
const Base = globalThis.HTMLElement ?? class {};

const STYLE = `
:host { display: inline-block; max-width: 100%; line-height: 0; }
:host([hidden]) { display: none; }
canvas { display: block; width: 100%; height: 100%; object-fit: inherit; object-position: inherit; }
canvas[hidden] { display: none; }
slot { line-height: normal; }
`;

export class AecImage extends Base {
  static observedAttributes = ["src", "alt", "loading", "no-grain"];

  #canvas;
  #slot;
  #stop;
  #watch;
  #complete = false;
  #planned = false;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.#slot = document.createElement("slot"); // what is shown where no picture is
    root.append(style, this.#slot);
  }

  get src() {
    return this.getAttribute("src") ?? "";
  }
  set src(value) {
    this.setAttribute("src", value);
  }
  get alt() {
    return this.getAttribute("alt") ?? "";
  }
  set alt(value) {
    this.setAttribute("alt", value);
  }
  /** Whether the noise that the file describes is left out. */
  get noGrain() {
    return this.hasAttribute("no-grain");
  }
  set noGrain(value) {
    this.toggleAttribute("no-grain", !!value);
  }
  /** Whether the picture is there, or will not come. */
  get complete() {
    return this.#complete;
  }
  get naturalWidth() {
    return this.#canvas?.width ?? 0;
  }
  get naturalHeight() {
    return this.#canvas?.height ?? 0;
  }
  /** The canvas that the picture is drawn on, or undefined. */
  get canvas() {
    return this.#canvas;
  }

  connectedCallback() {
    this.#plan();
  }

  disconnectedCallback() {
    this.#end();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === "alt") this.#describe();
    else if (this.isConnected) this.#plan();
  }

  /** Begin once, however many attributes change at once: an upgrade tells of each. */
  #plan() {
    this.#complete = false;
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      if (this.isConnected) this.#begin();
    });
  }

  #end() {
    this.#stop?.abort();
    this.#watch?.disconnect();
    this.#stop = this.#watch = undefined;
  }

  #begin() {
    this.#end();
    this.#complete = !this.src;
    if (!this.src) {
      this.#show(undefined);
      return;
    }
    if (this.getAttribute("loading") !== "lazy") {
      this.#load();
      return;
    }
    this.#watch = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        this.#watch?.disconnect();
        this.#load();
      },
      { rootMargin: "200px" },
    );
    this.#watch.observe(this);
  }

  async #load() {
    const stop = (this.#stop = new AbortController());
    const canvas = document.createElement("canvas");
    canvas.part = "image";
    try {
      await draw(new URL(this.src, document.baseURI), canvas, {
        signal: stop.signal,
        grain: !this.noGrain,
        begin: () => this.#show(canvas),
        preview: () => this.dispatchEvent(new Event("preview")),
      });
      this.#complete = true;
      this.dispatchEvent(new Event("load"));
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#complete = true;
      this.#show(undefined);
      const event = new Event("error");
      event.error = error;
      this.dispatchEvent(event);
    }
  }

  #show(canvas) {
    this.#canvas?.remove();
    this.#canvas = canvas;
    if (canvas) this.shadowRoot.append(canvas);
    this.#slot.hidden = !!canvas;
    this.#describe();
  }

  #describe() {
    const canvas = this.#canvas;
    if (!canvas) {
      this.#slot.textContent = this.#complete ? this.alt : ""; // shown where nothing stands in the element
      return;
    }
    if (this.hasAttribute("alt") && !this.alt) {
      canvas.role = "presentation";
      canvas.removeAttribute("aria-label");
    } else {
      canvas.role = "img";
      canvas.setAttribute("aria-label", this.alt || this.src.split("/").pop());
    }
  }
}

/** Make <aec-image> known to the page. */
export function defineElement(name = "aec-image") {
  if (globalThis.customElements && !customElements.get(name)) customElements.define(name, AecImage);
}
