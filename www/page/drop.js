// Files and folders by drag and drop, by paste and by file picker, for whichever task is shown. What they mean there is
// the task's to say.

import { byId } from "./dom.js";
import { notify } from "./notices.js";

/** @import { Photo } from "./state.js" */

const OWN = "application/x-famlens-photo";

/**
 * @typedef {{name: string, files: File[]}} Folder
 *
 * What was dropped: loose images, folders with the images in each, files that are no images (`rest`), or a photo of the
 * page itself.
 * @typedef {{files: File[], folders: Folder[], rest: File[], photo: Photo | null}} Dropped
 *
 * What a task does with files. `under` is the element they are over, or that has the focus when they are pasted.
 * Without `rest`, files that are no images are left out and that is told.
 * @typedef {object} Taker
 * @property {(under: Element | null) => {element: HTMLElement, label: string}} where what a drop here would mean, and
 *   what is outlined
 * @property {(dropped: Dropped, under: Element | null) => void} take
 * @property {boolean} [rest] whether the task has a use for files that are no images, such as lists of boxes
 *
 * Takes a model, whatever task is shown, with the files that came along, and the name of the folder if it was dropped
 * in one.
 * @typedef {(files: File[], folder: string | null) => void} Model
 *
 * What opens a project, and which files may be one.
 * @typedef {{takes: (file: File) => boolean, open: (file: File) => void}} Project
 */

/** @param {File} file */
export const mayBeImage = file =>
  file.type.startsWith("image/") || /\.(jpe?g|jpe|jfif|png|webp|gif|bmp|avif|hei[cf]|svg|tiff?|jxl)$/i.test(file.name);

/** The photo of the page that is being dragged. @type {Photo | null} */
let dragged = null;

/**
 * Lets a photo of the page be dragged to another place of it.
 * @param {HTMLElement} element
 * @param {Photo} photo
 */
export function dragOut(element, photo) {
  element.draggable = true;
  element.addEventListener("dragstart", event => {
    dragged = photo;
    event.dataTransfer?.setData(OWN, photo.key);
  });
}

/**
 * An ONNX file, or one of another format that is answered with how an ONNX file is made of it. A .safetensors file that
 * is dropped is a transformation module.
 * @param {File} file
 */
const isModel = file => /\.(onnx|pt|pth|h5|hdf5|keras|tflite|pdmodel|mlmodel|pb|ort|ckpt)$/i.test(file.name);

/**
 * @param {() => Taker | null} taker of the task that is shown
 * @param {Model} model
 * @param {Project} project
 */
export function mountDrop(taker, model, project) {
  const veil = byId("drop-veil", HTMLElement);
  const says = byId("drop-says", HTMLElement);
  let depth = 0;
  const end = () => {
    depth = 0;
    veil.hidden = true;
    for (const old of document.querySelectorAll(".drop-here")) old.classList.remove("drop-here");
  };
  /** @param {DragEvent} event */
  const wanted = event => {
    const types = event.dataTransfer?.types ?? [];
    return taker() !== null && (types.includes("Files") || types.includes(OWN));
  };
  addEventListener("dragenter", event => {
    if (wanted(event)) depth += 1;
  });
  addEventListener("dragleave", () => {
    if (depth > 0 && --depth === 0) end();
  });
  addEventListener("dragend", end);
  addEventListener("dragover", event => {
    if (!wanted(event)) return;
    event.preventDefault();
    const found = taker()?.where(element(event.target));
    veil.hidden = false;
    says.textContent = found?.label ?? "";
    for (const old of document.querySelectorAll(".drop-here"))
      if (old !== found?.element) old.classList.remove("drop-here");
    found?.element.classList.add("drop-here");
  });
  addEventListener("drop", event => {
    if (!wanted(event)) return;
    event.preventDefault();
    end();
    void take(event, taker(), model, project);
  });
  addEventListener("paste", event => {
    const files = [...(event.clipboardData?.files ?? [])].filter(mayBeImage);
    const to = taker();
    if (files.length === 0 || !to) return;
    event.preventDefault();
    to.take({ files, folders: [], rest: [], photo: null }, document.activeElement);
  });
}

/** @param {EventTarget | null} target */
const element = target => (target instanceof Element ? target : null);

/**
 * @param {DragEvent} event
 * @param {Taker | null} taker
 * @param {Model} model
 * @param {Project} project
 */
async function take(event, taker, model, project) {
  const transfer = event.dataTransfer;
  const under = element(event.target);
  if (!transfer || !taker) return;
  if (transfer.types.includes(OWN)) return taker.take({ files: [], folders: [], rest: [], photo: dragged }, under);
  // Entries have to be taken before the first await: the browser empties the transfer afterwards.
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.() ?? null).filter(entry => entry !== null);
  /** @type {File[]} */
  const loose = entries.length > 0 ? [] : [...transfer.files];
  /** @type {Folder[]} */
  const folders = [];
  /** @type {File[]} */
  const rest = [];
  try {
    for (const entry of entries) {
      if (entry.isDirectory) await walk(/** @type {FileSystemDirectoryEntry} */ (entry), folders, rest);
      else loose.push(await fileOf(/** @type {FileSystemFileEntry} */ (entry)));
    }
  } catch {
    notify({ kind: "error", text: "Some of what was dropped could not be read. Try choosing the files instead." });
  }
  const files = loose.filter(mayBeImage);
  const others = loose.filter(file => !mayBeImage(file));
  const saved = others.find(project.takes);
  if (saved) return project.open(saved);
  if (others.some(isModel)) return model([...others, ...rest], null);
  if (rest.some(isModel)) return model([...rest, ...others], entries.find(entry => entry.isDirectory)?.name ?? null);
  if (taker.rest) return taker.take({ files, folders, rest: [...others, ...rest], photo: null }, under);
  tellLeftOut(others, files.length + folders.length > 0);
  taker.take({ files, folders, rest: [], photo: null }, under);
}

/**
 * Tells of files that are no images and of no use here.
 * @param {File[]} others
 * @param {boolean} some whether there were images beside them
 */
export function tellLeftOut(others, some) {
  if (others.length > 0 && some)
    notify({
      text:
        `${others.length} file${others.length === 1 ? " is" : "s are"} not an image and ` +
        `${others.length === 1 ? "was" : "were"} left out.`,
    });
  else if (others.length > 0)
    notify({
      kind: "error",
      text: others.length === 1 ? `${others[0].name} is not an image.` : "None of these files is an image.",
    });
}

/**
 * Lets the user choose files; none if the choice is given up. To be called from a click.
 * @param {{multiple?: boolean, folder?: boolean, accept?: string}} [options]
 * @returns {Promise<File[]>}
 */
export function pickFiles({ multiple = true, folder = false, accept = "image/*" } = {}) {
  const input = document.createElement("input");
  Object.assign(input, { type: "file", multiple, accept: folder ? "" : accept, webkitdirectory: folder });
  return new Promise(resolve => {
    input.addEventListener("change", () => resolve([...(input.files ?? [])]));
    input.addEventListener("cancel", () => resolve([]));
    input.click();
  });
}

/**
 * The folder and all below it, each with its own images.
 * @param {FileSystemDirectoryEntry} directory
 * @param {Folder[]} into
 * @param {File[]} rest what is no image
 */
async function walk(directory, into, rest) {
  const folder = { name: directory.name, files: /** @type {File[]} */ ([]) };
  into.push(folder);
  const reader = directory.createReader();
  for (;;) {
    // Browsers give at most a hundred entries at a time.
    const some = await new Promise((/** @type {(entries: FileSystemEntry[]) => void} */ resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) break;
    for (const entry of some.sort((a, b) => a.name.localeCompare(b.name))) {
      if (entry.isDirectory) await walk(/** @type {FileSystemDirectoryEntry} */ (entry), into, rest);
      else if (!entry.name.startsWith(".")) {
        const file = await fileOf(/** @type {FileSystemFileEntry} */ (entry));
        (mayBeImage(file) ? folder.files : rest).push(file);
      }
    }
  }
}

/**
 * @param {FileSystemFileEntry} entry
 * @returns {Promise<File>}
 */
const fileOf = entry => new Promise((resolve, reject) => entry.file(resolve, reject));

/**
 * Files of a folder picker, by the folder each lies in.
 * @param {File[]} files
 * @returns {Folder[]}
 */
export function byPath(files) {
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
