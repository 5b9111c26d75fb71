// Photos by drag and drop (files, folders, and photos of the page itself) and by paste.

import { addClass, addPhotos, addQueries, addSupports, nextClassName } from "./inputs.js";
import { byId } from "./dom.js";
import { notify } from "./notices.js";
import { set, state } from "./state.js";

/** @import { Photo } from "./state.js" */

const OWN = "application/x-famlens-photo";

/** @typedef {{name: string, files: File[]}} Folder */

/** @param {File} file */
const mayBeImage = (file) => file.type.startsWith("image/") || /\.(jpe?g|png|webp|gif|bmp|avif|hei[cf]|svg|tiff?|jxl)$/i.test(file.name);

/**
 * Lets a photo of the page be dragged into a class.
 * @param {HTMLElement} element
 * @param {Photo} photo
 */
export function dragOut(element, photo) {
  element.draggable = true;
  element.addEventListener("dragstart", (event) => event.dataTransfer?.setData(OWN, photo.key));
}

export function mountDrop() {
  const veil = byId("drop-veil", HTMLElement);
  const says = byId("drop-says", HTMLElement);
  let depth = 0;
  const end = () => {
    depth = 0;
    veil.hidden = true;
    for (const old of document.querySelectorAll(".drop-here")) old.classList.remove("drop-here");
  };
  addEventListener("dragenter", (event) => {
    if (wanted(event)) depth += 1;
  });
  addEventListener("dragleave", () => {
    if (depth > 0 && --depth === 0) end();
  });
  addEventListener("dragend", end);
  addEventListener("dragover", (event) => {
    if (!wanted(event)) return;
    event.preventDefault();
    const { element, label } = target(event);
    veil.hidden = false;
    says.textContent = label;
    for (const old of document.querySelectorAll(".drop-here")) if (old !== element) old.classList.remove("drop-here");
    element?.classList.add("drop-here");
  });
  addEventListener("drop", (event) => {
    if (!wanted(event)) return;
    event.preventDefault();
    const { classKey, isClasses } = target(event);
    end();
    void take(event, classKey, isClasses);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])].filter(mayBeImage);
    if (files.length === 0) return;
    event.preventDefault();
    const card = document.activeElement?.closest("[data-drop]");
    if (card) addSupports(classOf(card), files);
    else addQueries(files);
  });
  byId("query-input", HTMLInputElement).addEventListener("change", ({ target: input }) => {
    const { files } = /** @type {HTMLInputElement} */ (input);
    addQueries([...(files ?? [])]);
    /** @type {HTMLInputElement} */ (input).value = "";
  });
  byId("folder-input", HTMLInputElement).addEventListener("change", ({ target: input }) => {
    const files = [...(/** @type {HTMLInputElement} */ (input).files ?? [])];
    addFolders(byPath(files), 0);
    /** @type {HTMLInputElement} */ (input).value = "";
  });
}

/** @param {DragEvent} event */
function wanted(event) {
  const types = event.dataTransfer?.types ?? [];
  return types.includes("Files") || types.includes(OWN);
}

/** @param {Element} card */
const classOf = (card) => /** @type {HTMLElement} */ (card).dataset.drop?.replace("class:", "") ?? "";

/** What a drop here would mean. @param {DragEvent} event */
function target(event) {
  const under = event.target instanceof Element ? event.target : null;
  const card = under?.closest("[data-drop]") ?? null;
  if (card) {
    const classKey = classOf(card);
    return { element: card, classKey, isClasses: true, label: `Add to ${state.classes.find(({ key }) => key === classKey)?.name ?? "this class"}` };
  }
  const classes = under?.closest(".classes") ?? null;
  if (classes) return { element: classes, classKey: null, isClasses: true, label: "Make a new class" };
  return { element: byId("stage", HTMLElement), classKey: null, isClasses: false, label: "Explain this photo, or turn folders into classes" };
}

/**
 * @param {DragEvent} event
 * @param {string | null} classKey
 * @param {boolean} isClasses
 */
async function take(event, classKey, isClasses) {
  const transfer = event.dataTransfer;
  if (!transfer) return;
  const own = state.queries.find(({ key }) => key === transfer.getData(OWN));
  if (own) {
    if (classKey) addPhotos(classKey, [own]);
    else if (isClasses) addPhotos(addClass(nextClassName(), []).key, [own]);
    return;
  }
  // Entries have to be taken before the first await: the browser empties the transfer afterwards.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.() ?? null).filter((entry) => entry !== null);
  /** @type {File[]} */
  const loose = entries.length > 0 ? [] : [...transfer.files];
  /** @type {Folder[]} */
  const folders = [];
  try {
    for (const entry of entries) {
      if (entry.isDirectory) await walk(/** @type {FileSystemDirectoryEntry} */ (entry), folders);
      else loose.push(await fileOf(/** @type {FileSystemFileEntry} */ (entry)));
    }
  } catch {
    notify({ kind: "error", text: "Some of what was dropped could not be read. Try choosing the files instead." });
  }
  const files = loose.filter(mayBeImage);
  const others = loose.length - files.length;
  if (classKey) addSupports(classKey, [...files, ...folders.flatMap((folder) => folder.files)]);
  else {
    addFolders(folders, others);
    if (isClasses && files.length > 0) addClass(nextClassName(), files);
    else if (files.length > 0) addQueries(files);
  }
  if (others > 0 && (files.length > 0 || classKey)) notify({ text: `${others} file${others === 1 ? " is" : "s are"} not an image and ${others === 1 ? "was" : "were"} left out.` });
  else if (others > 0 && folders.length === 0) notify({ kind: "error", text: others === 1 ? `${loose[0].name} is not an image.` : "None of these files is an image." });
}

/**
 * One class for each folder that holds images. Classes without photos make room for them.
 * @param {Folder[]} folders
 * @param {number} others
 */
function addFolders(folders, others) {
  const full = folders.filter(({ files }) => files.length > 0);
  if (full.length === 0) {
    if (folders.length > 0) notify({ kind: "error", text: `There are no images in ${folders[0].name}.` });
    return;
  }
  set({ classes: state.classes.filter(({ photos }) => photos.length > 0) });
  for (const { name, files } of full) addClass(name, files);
  const count = full.reduce((sum, { files }) => sum + files.length, 0);
  notify({ text: `${full.length} class${full.length === 1 ? "" : "es"} added, ${count} photos.${others > 0 ? ` ${others} other files left out.` : ""}` });
}

/**
 * The folder and all below it, each with its own images.
 * @param {FileSystemDirectoryEntry} directory
 * @param {Folder[]} into
 */
async function walk(directory, into) {
  const folder = { name: directory.name, files: /** @type {File[]} */ ([]) };
  into.push(folder);
  const reader = directory.createReader();
  for (;;) {
    // Browsers give at most a hundred entries at a time.
    const some = await new Promise((/** @type {(entries: FileSystemEntry[]) => void} */ resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    for (const entry of some.sort((a, b) => a.name.localeCompare(b.name))) {
      if (entry.isDirectory) await walk(/** @type {FileSystemDirectoryEntry} */ (entry), into);
      else if (!entry.name.startsWith(".")) {
        const file = await fileOf(/** @type {FileSystemFileEntry} */ (entry));
        if (mayBeImage(file)) folder.files.push(file);
      }
    }
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
const fileOf = (entry) => new Promise((resolve, reject) => entry.file(resolve, reject));

/**
 * Files of a folder picker, by the folder each lies in.
 * @param {File[]} files
 * @returns {Folder[]}
 */
function byPath(files) {
  /** @type {Map<string, Folder>} */
  const folders = new Map();
  for (const file of files.sort((a, b) => a.webkitRelativePath.localeCompare(b.webkitRelativePath))) {
    const path = file.webkitRelativePath.split("/").slice(0, -1);
    const id = path.join("/");
    const folder = folders.get(id) ?? { name: path.at(-1) ?? "Class", files: [] };
    folders.set(id, folder);
    if (mayBeImage(file) && !file.name.startsWith(".")) folder.files.push(file);
  }
  return [...folders.values()];
}
