/** aecodec for web pages. Importing it makes <aec-image> known. */

import { defineElement } from "./element.js";

export { bytesOf, configure, decode, draw, preload, readInfo, toBlob } from "./client.js";
export { AecImage, defineElement } from "./element.js";
export * from "./errors.js";
export { polyfill } from "./polyfill.js";
export { models } from "./weights.js";

defineElement();
