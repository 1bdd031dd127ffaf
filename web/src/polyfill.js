/** polyfill(): every <img src="*.aec"> of a page shows its picture, those that come later, too. */

import { toBlob } from "./client.js";

const OURS = /\.aec$/i;
const made = new WeakMap(); // img -> its address, while that is one of ours

function isOurs(address) {
  try {
    return OURS.test(new URL(address, document.baseURI).pathname);
  } catch {
    return false;
  }
}

async function replace(img, options) {
  const address = img.getAttribute("src");
  if (!address || !isOurs(address)) {
    made.delete(img); // so the same address may come again
    return;
  }
  if (made.get(img) === address) return;
  made.set(img, address);
  img.dataset.aecSrc = address;
  delete img.dataset.aecError;
  try {
    const blob = await toBlob(new URL(address, document.baseURI), options);
    if (img.getAttribute("src") !== address) return; // something else by now
    const url = URL.createObjectURL(blob);
    img.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
    img.src = url;
  } catch (error) {
    // The browser has told the page already that this is no picture that it knows.
    img.dataset.aecError = error.name;
    console.warn(`${address}: ${error.name}: ${error.message}`);
  }
}

function all(root, options) {
  if (root.localName === "img") replace(root, options);
  root.querySelectorAll?.("img[src]").forEach((img) => replace(img, options));
}

/**
 * Replace the pictures of `root` and watch it. Returns a function that stops watching.
 * <picture> and srcset are left alone. `options` are those of decode().
 */
export function polyfill(root = document, options = {}) {
  const observer = new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "attributes") replace(change.target, options);
      else change.addedNodes.forEach((node) => all(node, options));
    }
  });
  observer.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["src"] });
  all(root, options);
  return () => observer.disconnect();
}
