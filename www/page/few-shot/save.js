// Saving what is on the screen: the photo under its map as PNG, everything as JSON.

import { download } from "../dom.js";
import { trouble } from "../engine.js";
import { current, on } from "./state.js";
import { pngOf, stem } from "../picture.js";
import { state as page } from "../state.js";
import { parts } from "./markup.js";
import { picture } from "./picture.js";

/** @import { LensMap } from "../../famlens.js" */

export function mountSave() {
  const png = parts.savePng;
  const json = parts.saveJson;
  png.addEventListener("click", () => void savePng().catch(trouble));
  json.addEventListener("click", () => saveJson());
  on(["result", "query"], () => {
    png.disabled = json.disabled = current() === null;
  });
}

async function savePng() {
  const shown = picture();
  if (shown) download(await pngOf(shown), `${shown.name}.png`);
}

function saveJson() {
  const { lens } = page;
  const result = current();
  if (!lens || !result) return;
  const { found, query, classes } = result;
  const { query: size, map, maps, contributions, classes: ranked, ...rest } = found;
  const content = {
    ...rest,
    model: lens.info.model,
    engine: lens.info.backend,
    options: result.options,
    query: { name: query.name, ...size },
    classes: ranked.map(({ name, similarity }, at) => ({
      name,
      similarity,
      supports: classes[at].photos.map(photo => photo.name),
      map: plain(maps[at]),
      contributions: Array.from(contributions[at]),
    })),
    predicted: { index: found.predicted, name: ranked[found.predicted].name },
    map: plain(map),
    box_threshold: 0.2,
    made: new Date().toISOString(),
  };
  download(
    new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }),
    `${stem(query.name)} - famlens.json`,
  );
}

/** @param {LensMap} map */
const plain = map => ({ ...map, data: Array.from(map.data) });
