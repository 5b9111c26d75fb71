// The page's side of images: addresses, names, and what only a page can decode.

import { download } from "./download.js";
import { LensError } from "./errors.js";

/**
 * @import { ImageLike, LensImage } from "./types.js"
 */

/** @param {string | URL} url */
export function absolute(url) {
  try {
    return new URL(url, document.baseURI).href;
  } catch {
    throw new LensError("argument", `${JSON.stringify(String(url))} is not an address.`);
  }
}

/**
 * An address, or a part of it, as people write it; as it is where it is not encoded well (a bare %, say).
 * @param {string} text
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The name of an image: its file's, with folders if it came in one, or the last part of its address.
 * @param {unknown} image
 * @returns {string}
 */
export function nameOf(image) {
  if (image instanceof File) return image.webkitRelativePath || image.name;
  const text = image instanceof URL ? image.href : image;
  if (typeof text !== "string" || text.startsWith("data:")) return "image";
  return decoded(text.split(/[?#]/)[0].split("/").pop() || "") || "image";
}

/**
 * The pixels of what only an <img> can decode, such as SVG.
 * @param {Blob} blob
 */
async function pixelsByElement(blob) {
  const url = URL.createObjectURL(blob);
  try {
    const image = new Image();
    image.src = url;
    await image.decode();
    const width = image.naturalWidth || 1024;
    const height = image.naturalHeight || 1024;
    const canvas = new OffscreenCanvas(width, height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    // A drawing without a background is meant for white paper.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(image, 0, 0, width, height);
    return context.getImageData(0, 0, width, height);
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * Hands an image to the worker in the form that it reads.
 * @param {Exclude<ImageLike, LensImage>} image
 * @param {string | undefined} given its name, if it was given one
 * @param {(source: {name: string, source: unknown}, transfer: Transferable[]) => Promise<any>} ask
 * @returns {Promise<any>}
 */
export async function sendImage(image, given, ask) {
  const url = typeof image === "string" || image instanceof URL ? absolute(image) : null;
  const name = given ?? nameOf(image instanceof File ? image.name : (url ?? image));
  if (url !== null || image instanceof Blob) {
    try {
      return await ask({ name, source: url ?? image }, []);
    } catch (error) {
      if (/** @type {any} */ (error).code !== "element") throw error;
      const pixels = await pixelsByElement(image instanceof Blob ? image : await fetched(/** @type {string} */ (url)));
      if (pixels) return ask({ name, source: pixels }, []);
      throw new LensError("image", `${name} cannot be read as an image, neither by famlens nor by this browser.`);
    }
  }
  if (image instanceof ImageData || image instanceof ImageBitmap) return ask({ name, source: image }, []);
  const bitmap = await bitmapOf(image, name);
  return ask({ name, source: bitmap }, [bitmap]);
}

/** @param {string} url */
async function fetched(url) {
  const { bytes, type } = await download(url, { what: "image" });
  return new Blob([bytes], { type });
}

/** @param {any} image @param {string} name */
async function bitmapOf(image, name) {
  try {
    return await createImageBitmap(image);
  } catch (error) {
    if (error instanceof TypeError)
      throw new LensError(
        "argument",
        "An image is a File, a Blob, an address, an ImageBitmap, an ImageData, a canvas or an <img>.",
        error,
      );
    const why =
      error instanceof DOMException && error.name === "SecurityError"
        ? "it holds pixels of another origin, which the browser does not let this page read"
        : "it is empty or has not been loaded";
    throw new LensError("image", `${name} cannot be read: ${why}.`, error);
  }
}
