// Handing an image to the worker in a form it can read, whatever the page has it as.

import { nameOf, pixelsByElement } from "./host.js";
import { urlOf } from "./sources.js";

/**
 * @import { ImageLike, LensImage } from "../famlens.js"
 */

/**
 * @param {(op: string, args: object, options?: {transfer?: Transferable[]}) => Promise<any>} call
 * @param {Exclude<ImageLike, LensImage>} image
 * @param {{name?: string}} options
 * @returns {Promise<LensImage>}
 */
export async function openImage(call, image, options) {
  const url = urlOf(image);
  const name = options.name ?? (image instanceof File ? image.name : url !== null ? nameOf(url) : "image");
  if (url !== null || image instanceof Blob) {
    try {
      return await call("open", { name, source: url ?? image });
    } catch (error) {
      if (/** @type {any} */ (error)?.code !== "element") throw error;
      const pixels = await pixelsByElement(image instanceof Blob ? image : await (await fetch(/** @type {string} */ (url))).blob());
      if (pixels) return call("open", { name, source: pixels });
      /** @type {any} */ (error).message = `${name} cannot be read as an image, neither by famlens nor by this browser.`;
      /** @type {any} */ (error).code = "image";
      throw error;
    }
  }
  if (image instanceof ImageData || image instanceof ImageBitmap) return call("open", { name, source: image });
  const bitmap = await createImageBitmap(/** @type {HTMLCanvasElement} */ (image));
  return call("open", { name, source: bitmap }, { transfer: [bitmap] });
}
