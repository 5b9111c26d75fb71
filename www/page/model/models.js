// The models that can be chosen: those that come with famlens, and the user's own, for this visit or kept in this
// browser.

import { chooseModel, start } from "../engine.js";
import { notify, report, sentence } from "../notices.js";
import { recall, remember } from "../settings.js";
import { set, state } from "../state.js";
import { manifestOf, settingsOf, sizeFields } from "./settings.js";
import { dropModel, keepModel, keptModels } from "./store.js";

/**
 * @import { LensOptions } from "../../famlens.js"
 * @import { Manifest, Settings } from "./settings.js"
 * @import { OwnModel } from "./store.js"
 *
 * `own` is the user's file with its settings; `key` is where this browser keeps it.
 * @typedef {{id: string, name: string, says: string, url: string | null, own: OwnModel | null, key: number | null}}
 *   Entry
 */

/** @param {string} folder */
const address = folder => new URL(`../../../models/${folder}/model.json`, import.meta.url).href;

/** @type {Entry[]} */
const SHIPPED = [
  {
    id: "lite0",
    name: "EfficientNet-Lite0",
    says: "Comes with famlens, fast: 4.8 MB",
    url: null,
    own: null,
    key: null,
  },
  {
    id: "lite2",
    name: "EfficientNet-Lite2",
    says: "Better, slower: 6.3 MB, downloaded when chosen",
    url: address("efficientnet_lite2"),
    own: null,
    key: null,
  },
];

/** What can be chosen, and what runs. Changed by the functions below, which tell who listens. */
export const models = {
  entries: SHIPPED,
  running: "lite0",
};

/** @type {(() => void)[]} */
const listeners = [];
/** @param {() => void} run */
export const onModels = run => void listeners.push(run);
function tell() {
  for (const run of listeners) run();
}

export const running = () => models.entries.find(({ id }) => id === models.running) ?? SHIPPED[0];

/** @param {Entry} entry @returns {NonNullable<LensOptions["model"]> | null} */
function source({ url, own }) {
  // Settings that no longer name the statistics have changed what they rest on.
  const statistics = own?.manifest.class_specific?.statistics ? own.statistics : null;
  const external = own?.external ? { external: own.external } : {};
  if (own) return { manifest: own.manifest, bytes: own.onnx, ...(statistics ? { statistics } : {}), ...external };
  return url;
}

/** Under which name the browser keeps the model that is being started: what is still there at the next visit failed. */
const STARTING = "starting";

/**
 * Marks a model that the browser knows at the next visit as being started, until it has explained or the page has seen
 * it fail. A model that takes the whole page down with it leaves the mark behind.
 * @template T
 * @param {string} id
 * @param {() => Promise<T>} load
 * @returns {Promise<T>}
 */
async function marked(id, load) {
  if (!lasts(id)) return load();
  remember(STARTING, id);
  try {
    return await load();
  } finally {
    // Another one may have been chosen meanwhile, and be starting now.
    if (recall(STARTING) === id) remember(STARTING, null);
  }
}

/** Starts the running model again after a failure. */
export const again = () => marked(models.running, start);

/** The model that comes with famlens, for when another one fails. */
export const useDefault = () => use(SHIPPED[0]);

/** Finds what this browser keeps, and starts with the model that was used last, if it is still to be had. */
export async function startRemembered() {
  const wanted = recall("model");
  const reading = keptModels().then(({ kept, unreadable }) => {
    if (unreadable.length > 0) tellUnreadable(unreadable);
    models.entries = [
      ...SHIPPED,
      ...kept.map(({ key, model }) => entryOf(model, key)),
      ...models.entries.filter(({ own, key }) => own && key === null),
    ];
    tell();
  }, notRead);
  // The model that comes with famlens does not wait for the browser's storage.
  if (wanted !== null) await reading;
  const entry = models.entries.find(({ id }) => id === wanted);
  if (!entry || entry.id === "lite0") return start();
  const left = recall(STARTING) === entry.id;
  if (left) {
    remember(STARTING, null);
    remember("model", null);
    notify({
      kind: "error",
      text: `${entry.name} had not explained a photo when this page was last closed, so it was not started again.`,
      action: {
        label: "Start it",
        run: () => void use(entry).then(why => why && notify({ kind: "error", text: why })),
      },
    });
    return start();
  }
  models.running = entry.id;
  set({ model: source(entry) });
  tell();
  await again();
  // What ships fails for want of a connection alone, and can be tried again.
  if (!state.failed || !entry.own) return;
  const why = state.failed;
  remember("model", null);
  models.running = "lite0";
  set({ model: null });
  tell();
  await start();
  notify({ kind: "error", text: `${entry.name} could not be used: ${why}` });
}

/** @param {Error} error */
function notRead({ message }) {
  // Whoever keeps no model misses none.
  if (lasts(recall("model") ?? "lite0"))
    notify({ kind: "error", text: `The models that you kept are not to be had. ${message}` });
}

/** @param {number[]} keys */
function tellUnreadable(keys) {
  const forget = () => void Promise.all(keys.map(dropModel)).catch(report);
  const [what, them] = keys.length === 1 ? ["A model", "it"] : [`${keys.length} models`, "them"];
  notify({
    kind: "error",
    text: `${what} that you kept cannot be read any more. Bring the file again to use ${them}.`,
    action: { label: `Forget ${them}`, run: forget },
  });
}

/** @param {number} bytes */
const size = bytes => (bytes < 1e5 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

let made = 0;

/** @param {OwnModel} own @param {number | null} key @returns {Entry} */
const entryOf = (own, key) => ({
  id: key === null ? `own-${(made += 1)}` : `kept-${key}`,
  name: String(own.manifest.name),
  says: `${own.file}, ${size(own.onnx.size)}, ${key === null ? "for this visit" : "kept in this browser"}`,
  url: null,
  own,
  key,
});

/** @param {Entry} old @param {Entry} now */
function replace(old, now) {
  models.entries = models.entries.map(entry => (entry.id === old.id ? now : entry));
  if (models.running === old.id) run(now.id);
  tell();
}

/** Whether a model is another one than the usual, and still there at the next visit. @param {string} id */
const lasts = id => id !== "lite0" && !id.startsWith("own-");

/** @param {string} id */
function run(id) {
  models.running = id;
  remember("model", lasts(id) ? id : null);
}

/** Goes on with another model. @param {Entry} entry @returns {Promise<string | null>} why it cannot be */
export async function use(entry) {
  const why = await marked(entry.id, () => chooseModel(source(entry)));
  if (why === null) run(entry.id);
  tell();
  return why;
}

/**
 * Goes on with a model of the user's, new or with other settings.
 * @param {{file: string, onnx: Blob, statistics: Blob | null, manifest: Manifest | null,
 *   external?: Record<string, Blob>}} given
 * @param {Settings} settings
 * @param {Entry | null} entry the one that it is already
 * @returns {Promise<string | null>} why it cannot be
 */
export async function useOwn(given, settings, entry) {
  const manifest = manifestOf(settings, given.manifest, {
    file: given.file,
    bytes: given.onnx.size,
    statistics: given.statistics !== null,
  });
  const asked = { ...given, manifest };
  const why = await marked(entry?.id ?? "own-new", () => chooseModel(source(entryOf(asked, null))));
  if (why !== null) return why;
  // What was left to the library is said from here on, so that the settings mean the same wherever they are read.
  const found = state.lens?.info.model;
  const own = {
    ...asked,
    manifest: {
      ...manifest,
      target: found?.target ?? manifest.target,
      input: found
        ? { ...manifest.input, ...sizeFields({ height: found.inputHeight, width: found.inputWidth }) }
        : manifest.input,
    },
  };
  const now = entryOf(own, entry?.key ?? null);
  if (entry?.key != null)
    await keepModel(own, entry.key).catch(notKept("The changed settings are for this visit only."));
  models.entries = entry ? models.entries.map(one => (one.id === entry.id ? now : one)) : [...models.entries, now];
  run(now.id);
  tell();
  return null;
}

/**
 * Tells that the browser did not do it, why, and what that means.
 * @param {string} so
 */
const notKept =
  so =>
  (/** @type {Error} */ { message }) =>
    notify({ kind: "error", text: `${sentence(message)} ${so}` });

/** @param {Entry} entry */
export async function keep(entry) {
  if (!entry.own) return;
  try {
    replace(entry, entryOf(entry.own, await keepModel(entry.own, null)));
  } catch (error) {
    return notKept(`${entry.name} is there for this visit only.`)(/** @type {Error} */ (error));
  }
  // Browsers may clear what a page keeps when space runs out, unless they have promised not to.
  const lasting = (await navigator.storage?.persist?.().catch(() => false)) ?? false;
  const until = lasting
    ? "until you remove it"
    : "until you remove it. If space runs out, the browser may remove it before";
  notify({ text: `${entry.name} stays in this browser ${until}.` });
}

/** All that was kept has been deleted: models of the user's that are still in the list are there for this visit. */
export function nothingKept() {
  for (const entry of models.entries) if (entry.own && entry.key !== null) replace(entry, entryOf(entry.own, null));
}

/** @param {Entry} entry @param {string} name */
export async function rename(entry, name) {
  const { own, key } = entry;
  if (!own || !name || name === entry.name) return;
  const renamed = { ...own, manifest: { ...own.manifest, name } };
  if (key !== null) await keepModel(renamed, key).catch(notKept("The new name is for this visit only."));
  models.entries = models.entries.map(one => (one.id === entry.id ? { ...one, name, own: renamed } : one));
  if (models.running === entry.id && state.lens) {
    state.lens.info.model.name = name;
    set({ info: state.lens.info, model: source({ ...entry, own: renamed }) });
  }
  tell();
}

/**
 * Takes a model out of the list and out of this browser; if it runs, the one that comes with famlens goes on.
 * @param {Entry} entry
 * @returns {Promise<string | null>} why it cannot be
 */
export async function remove(entry) {
  const { own, key } = entry;
  if (!own) return null;
  if (models.running === entry.id) {
    const why = await use(SHIPPED[0]);
    if (why) return why;
  }
  try {
    if (key !== null) await dropModel(key);
  } catch (error) {
    return `${entry.name} is still kept. ${/** @type {Error} */ (error).message}`;
  }
  models.entries = models.entries.filter(({ id }) => id !== entry.id);
  tell();
  const back = async () => {
    const lost = notKept(`${entry.name} is there for this visit only.`);
    const kept =
      key === null
        ? null
        : await keepModel(own, key).catch(error => {
            lost(error);
            return null;
          });
    const again = entryOf(own, kept);
    models.entries = [...models.entries, again];
    tell();
  };
  notify({ text: `${entry.name} removed.`, action: { label: "Undo", run: () => void back() } });
  return null;
}

/** The settings of a model of the user's. @param {OwnModel} own */
export const ownSettings = ({ file, manifest }) => settingsOf(file, manifest);
