// A project: everything that the user has put together, as one file that the page takes back. A ZIP file with
// project.json, the photos as they are, statistics, and the model if it is the user's own.

import { LensError } from "../famlens.js";
import { models, ownSettings, running, use, useOwn } from "./model/models.js";
import { notify, report, sentence } from "./notices.js";
import { examplePhoto, photoOf } from "./photo.js";
import { mountTask } from "./router.js";
import { set, state } from "./state.js";
import { store, stored } from "./statistics-store.js";
import { mounted } from "./views.js";
import { counted, PROJECT } from "./words.js";
import { unzip, zip, ZipError } from "./zip.js";

/**
 * @import { Photo } from "./state.js"
 *
 * A photo in project.json: one that comes with the page, or a file of the project.
 * @typedef {{name: string, example?: string, file?: string}} SavedPhoto
 *
 * How a room puts photos and files into a project, and how it gets them back.
 * @typedef {{photo: (photo: Photo) => SavedPhoto, file: (name: string, content: Blob) => string}} Keep
 * @typedef {{photo: (saved: SavedPhoto) => Photo | null, file: (path: string) => Blob | null}} Found
 *
 * project.json, and the files that it names.
 * @typedef {{famlens: 1, model: {shipped: string} | {own: string, manifest: object, statistics: string | null,
 *   external?: Record<string, string>},
 *   choices: Record<string, unknown>, look: object, statistics: string | null, rooms: Record<string, any>}} Content
 * @typedef {{content: Content, files: Map<string, Blob>}} Project
 */

const CONTENT = "project.json";
const VERSION = 1;

/** The rooms that keep something, the first one first. */
const ROOMS = ["few-shot", "pair", "evaluate"];

/**
 * The files' names by their contents, so that a file that was kept once is known again.
 * @type {WeakMap<Blob, string>}
 */
const paths = new WeakMap();
let made = 0;

/** What the user has put together now. @returns {Promise<Project>} */
export async function collect() {
  /** @type {Map<string, Blob>} */
  const files = new Map();
  const file = (/** @type {string} */ name, /** @type {Blob} */ content) => {
    const path = paths.get(content) ?? `${Date.now().toString(36)}-${(made += 1)}/${name.replaceAll(/[/\\]/g, "_")}`;
    paths.set(content, path);
    files.set(path, content);
    return path;
  };
  /** @type {Keep} */
  const keep = {
    file,
    photo: ({ name, example, source }) =>
      source instanceof Blob ? { name, file: file(name, source) } : { name, example: example ?? name },
  };
  /** @type {Content["rooms"]} */
  const rooms = {};
  for (const id of ROOMS) {
    const saved = await mounted.get(id)?.save?.(keep);
    if (saved) rooms[id] = saved;
  }
  const { own, id } = running();
  const model = own
    ? {
        own: file(own.file, own.onnx),
        manifest: own.manifest,
        statistics: own.statistics && file("statistics.bin", own.statistics),
        ...(own.external ? { external: mapped(own.external, (blob, name) => file(name, blob)) } : {}),
      }
    : { shipped: id };
  const adapted = state.lens && (await stored(state.lens.info.model.identity));
  const statistics = adapted
    ? file("statistics.bin", new Blob([/** @type {Uint8Array<ArrayBuffer>} */ (adapted)]))
    : null;
  const { choices, look } = state;
  return { content: { famlens: VERSION, model, choices, look, statistics, rooms }, files };
}

/** @param {Project} project @returns {Promise<Blob>} */
export const toFile = ({ content, files }) =>
  zip(new Map([[CONTENT, new Blob([JSON.stringify(content, null, 1)])], ...files]));

/**
 * @param {Blob} file
 * @returns {Promise<Project>}
 * @throws {LensError} `argument` if it is none
 */
export async function fromFile(file) {
  try {
    const files = await unzip(file);
    const text = await files.get(CONTENT)?.text();
    if (text === undefined) throw new ZipError(`there is no ${CONTENT} in it`);
    const content = JSON.parse(text);
    if (content.famlens !== VERSION || typeof content.rooms !== "object" || content.rooms === null)
      throw new ZipError("another version of famlens has written it");
    files.delete(CONTENT);
    return { content, files };
  } catch (error) {
    if (error instanceof SyntaxError) throw new LensError("argument", `${PROJECT.wrong} Its ${CONTENT} is damaged.`);
    if (!(error instanceof ZipError)) throw error;
    const why = error.message;
    throw new LensError("argument", `${PROJECT.wrong} ${sentence(why)}`);
  }
}

/**
 * Puts a project in place of what there is.
 * @param {Project} project
 */
export async function restore({ content, files }) {
  for (const [path, blob] of files) paths.set(blob, path);
  const file = (/** @type {string} */ path) => files.get(path) ?? null;
  /** @type {Map<string, File>} one file for each path, so that a photo which is used twice stays one */
  const photos = new Map();
  /** @type {Found} */
  const found = {
    file,
    photo({ name, example, file: path }) {
      if (example) return examplePhoto(example);
      const blob = path && file(path);
      if (!blob) return null;
      const photo = photos.get(path) ?? new File([blob], name, { type: blob.type || typeOf(name) });
      photos.set(path, photo);
      paths.set(photo, path);
      return photoOf(photo);
    },
  };
  for (const id of ROOMS) {
    if (!content.rooms[id]) continue;
    await mountTask(id);
    await mounted.get(id)?.restore?.(content.rooms[id], found);
  }
  const why = await restoreModel(content.model, file);
  if (why) notify({ kind: "error", text: `${PROJECT.otherModel} ${why}` });
  const statistics = content.statistics && file(content.statistics);
  if (statistics && state.lens && !why) {
    const bytes = new Uint8Array(await statistics.arrayBuffer());
    await state.lens.setStatistics(bytes);
    await store(state.lens.info.model.identity, bytes).catch(report);
  }
  set({ choices: { ...content.choices }, look: { ...state.look, ...content.look } });
}

/**
 * The same names with other values.
 * @template From, To
 * @param {Record<string, From>} from
 * @param {(value: From, name: string) => To} to
 */
const mapped = (from, to) => Object.fromEntries(Object.entries(from).map(([name, value]) => [name, to(value, name)]));

/** @param {string} name */
const typeOf = name => `image/${/\.png$/i.test(name) ? "png" : /\.webp$/i.test(name) ? "webp" : "jpeg"}`;

/** @param {Content["model"]} model @param {(path: string) => Blob | null} file @returns {Promise<string | null>} */
async function restoreModel(model, file) {
  if ("shipped" in model) {
    const entry = models.entries.find(({ id }) => id === model.shipped);
    return !entry || entry.id === models.running ? null : use(entry);
  }
  const onnx = file(model.own);
  if (!onnx) return PROJECT.noModel;
  const name = model.own.slice(model.own.indexOf("/") + 1);
  const same = models.entries.find(({ own }) => own?.onnx.size === onnx.size && own.file === name);
  if (same) return same.id === models.running ? null : use(same);
  const statistics = model.statistics && file(model.statistics);
  const external = mapped(model.external ?? {}, file);
  if (Object.values(external).includes(null)) return PROJECT.noModel;
  const own = {
    file: name,
    onnx,
    statistics: statistics || null,
    manifest: model.manifest,
    ...(model.external ? { external: /** @type {Record<string, Blob>} */ (external) } : {}),
  };
  return useOwn(own, ownSettings(own), null);
}

/** In words what there is in a project. @param {Project} project */
export function summary({ content }) {
  const { classes = [], queries = [] } = content.rooms["few-shot"] ?? {};
  const photos = classes.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.photos.length, 0);
  return `${counted(classes.length, "class", "classes")}, ${counted(photos + queries.length, "photo")}`;
}
