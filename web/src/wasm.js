/** kernel.wat, ready to be called. */

import { KERNEL } from "./kernel.js";

let module;

/** What a new instance of it exports. Each has a memory of its own. */
export function newKernel() {
  module ??= new WebAssembly.Module(Uint8Array.from(atob(KERNEL), (c) => c.charCodeAt(0)));
  return new WebAssembly.Instance(module).exports;
}

/** Make a memory at least so many bytes large. */
export function atLeast(memory, size) {
  const missing = size - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
}
