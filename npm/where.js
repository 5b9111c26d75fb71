// www/lens/where.js as the npm package has it: all files in one folder, the model in a package of its own.
//
// Bundlers copy what `new URL("...", import.meta.url)` names and follow an import() of a plain name. Where nothing
// bundles, on a CDN or with node_modules on a server, a browser cannot resolve that name; the model's package then lies
// beside this one.

import { LensError } from "../www/lens/errors.js";
import { hasRelaxedSimd } from "../www/lens/relaxed.js";

export const workerAt = () => new URL("./worker.js", import.meta.url).href;

export const programAt = () =>
  hasRelaxedSimd()
    ? new URL("./famlens_bg.wasm", import.meta.url).href
    : new URL("./famlens_plain_bg.wasm", import.meta.url).href;

/** How browsers say that a plain name is no address: Chromium, Firefox, WebKit. */
const NO_ADDRESS = /specifier|does not resolve/i;

export async function usualModel() {
  try {
    const { default: files } = await import("@famlens/efficientnet-lite0");
    return { url: files.url.href, file: files.file.href, statistics: files.statistics.href };
  } catch (error) {
    if (!NO_ADDRESS.test(error.message))
      throw new LensError("network", `The model could not be loaded (${error.message}). Try again.`, error);
  }
  // CDNs have the version behind the name: of the same one the model is asked for too.
  const here = import.meta.url.replace(/[^/]*$/, "");
  const version = /\/famlens@[^/]*\/$/.test(here) ? `@${VERSION}` : "";
  return { url: new URL(`../@famlens/efficientnet-lite0${version}/model.json`, here).href };
}
