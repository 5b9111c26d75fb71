// The page's side of a lens: addresses, starting the worker, and what only a page can decode.

/** @param {string | URL} url */
export function absolute(url) {
  return new URL(url, document.baseURI).href;
}

/** @param {string} url */
function nameOf(url) {
  return url.startsWith("data:") ? "image" : decodeURIComponent(new URL(url).pathname.split("/").pop() || "image");
}

/** Starts the worker; from another origin through a blob, since browsers only start workers of their own origin. */
export function startWorker() {
  const url = new URL("../worker.js", import.meta.url);
  if (url.origin === location.origin) return new Worker(url, { type: "module", name: "famlens" });
  const shim = URL.createObjectURL(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" }));
  return new Worker(shim, { type: "module", name: "famlens" });
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
 * @param {Exclude<import("../famlens.js").ImageLike, import("../famlens.js").LensImage>} image
 * @param {string | undefined} given its name, if it was given one
 * @param {(source: {name: string, source: unknown}, transfer: Transferable[]) => Promise<any>} ask
 * @param {(message: string) => Error} unreadable
 * @returns {Promise<any>}
 */
export async function sendImage(image, given, ask, unreadable) {
  const url = typeof image === "string" || image instanceof URL ? absolute(image) : null;
  const name = given ?? (image instanceof File ? image.name : url !== null ? nameOf(url) : "image");
  if (url !== null || image instanceof Blob) {
    try {
      return await ask({ name, source: url ?? image }, []);
    } catch (error) {
      if (/** @type {any} */ (error).code !== "element") throw error;
      const pixels = await pixelsByElement(
        image instanceof Blob ? image : await (await fetch(/** @type {string} */ (url))).blob(),
      );
      if (pixels) return ask({ name, source: pixels }, []);
      throw unreadable(`${name} cannot be read as an image, neither by famlens nor by this browser.`);
    }
  }
  if (image instanceof ImageData || image instanceof ImageBitmap) return ask({ name, source: image }, []);
  const bitmap = await createImageBitmap(/** @type {HTMLCanvasElement} */ (image));
  return ask({ name, source: bitmap }, [bitmap]);
}
