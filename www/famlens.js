// The public module: the explanations of famlens for any page. The page of this project uses nothing else, but for the
// models that it keeps (lens/storage.js).
//
// Everything heavy happens in a worker that this module starts; calls return promises, which reject with a LensError.
// See docs/embedding.md. The types of all this are in famlens.d.ts, which tests/web/types.mjs makes from the comments.

export { LensError } from "./lens/errors.js";
export { evaluate, readBoxes } from "./lens/evaluate.js";
export { createGallery, Gallery } from "./lens/gallery.js";
export { measureInt8 } from "./lens/int8.js";
export { createLens, Lens } from "./lens/lens.js";
export { termsOf } from "./lens/pair.js";
export { forgetEverything, stored } from "./lens/stored.js";
