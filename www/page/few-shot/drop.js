// What files mean here: loose photos are asked about, folders become classes, and whatever is dropped on a class
// belongs to it.

import { byPath, tellLeftOut } from "../drop.js";
import { notify } from "../notices.js";
import { set, state } from "./state.js";
import { give, givenAmong } from "./given.js";
import { addClass, addPhotos, addQueries, addSupports, nextClassName } from "./inputs.js";
import { parts } from "./markup.js";

/** @import { Folder, Taker } from "../drop.js" */

/** @param {Element} card */
const classOf = card => /** @type {HTMLElement} */ (card).dataset.drop?.replace("class:", "") ?? "";

/** @param {Element | null} under */
function place(under) {
  const card = /** @type {HTMLElement | null} */ (under?.closest("[data-drop]") ?? null);
  const classes = /** @type {HTMLElement | null} */ (under?.closest(".classes") ?? null);
  return { card, classes, classKey: card ? classOf(card) : null };
}

/** @type {Taker} */
export const taker = {
  rest: true,

  where(under) {
    const { card, classes, classKey } = place(under);
    if (card)
      return {
        element: card,
        label: `Add to ${state.classes.find(({ key }) => key === classKey)?.name ?? "this class"}`,
      };
    if (classes) return { element: classes, label: "Make a new class" };
    return { element: parts.stage, label: "Explain this photo, or turn folders into classes" };
  },

  take({ files, folders, rest, photo }, under) {
    const { classes, classKey } = place(under);
    const given = givenAmong(rest);
    for (const { kind, file } of given) void give(kind, file);
    if (given.length > 0 && files.length + folders.length === 0) return;
    // Folders hold all kinds of things beside photos, and nobody meant those.
    if (folders.length === 0)
      tellLeftOut(
        rest.filter(file => !given.some(one => one.file === file)),
        files.length > 0,
      );
    if (photo) {
      if (classKey) addPhotos(classKey, [photo]);
      else if (classes) addPhotos(addClass(nextClassName(), []).key, [photo]);
    } else if (classKey) addSupports(classKey, [...files, ...folders.flatMap(folder => folder.files)]);
    else {
      addFolders(folders);
      if (classes && files.length > 0) addClass(nextClassName(), files);
      else addQueries(files);
    }
  },
};

export function mountPickers() {
  for (const queries of [parts.queryInput, parts.takeInput])
    queries.addEventListener("change", () => {
      addQueries([...(queries.files ?? [])]);
      queries.value = "";
    });
  const folder = parts.folderInput;
  folder.addEventListener("change", () => {
    addFolders(byPath([...(folder.files ?? [])]));
    folder.value = "";
  });
}

/**
 * One class for each folder that holds images. Classes without photos make room for them.
 * @param {Folder[]} folders
 */
function addFolders(folders) {
  const full = folders.filter(({ files }) => files.length > 0);
  if (full.length === 0) {
    if (folders.length > 0) notify({ kind: "error", text: `There are no images in ${folders[0].name}.` });
    return;
  }
  set({ classes: state.classes.filter(({ photos }) => photos.length > 0) });
  for (const { name, files } of full) addClass(name, files);
  const count = full.reduce((sum, { files }) => sum + files.length, 0);
  notify({ text: `${full.length} class${full.length === 1 ? "" : "es"} added, ${count} photos.` });
}
