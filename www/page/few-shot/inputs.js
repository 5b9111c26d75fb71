// Everything the user can do to photos and classes. Each action makes new lists, so that an old state can be taken
// back.

import { examplePhoto, key, photoOf } from "../photo.js";
import { offerUndo } from "./memory.js";
import { COLORS, set, state } from "./state.js";

/**
 * @import { ExampleSet } from "../photo.js"
 * @import { ClassItem } from "./state.js"
 * @import { Photo } from "../state.js"
 */

/** The first colour that no class has. @param {ClassItem[]} classes */
function freeColor(classes) {
  const used = new Set(classes.map(({ color }) => color));
  for (let color = 0; color < COLORS; color += 1) if (!used.has(color)) return color;
  return classes.length % COLORS;
}

/**
 * Puts all inputs in place of those there are; taken back as a whole.
 * @param {string} text
 * @param {Partial<typeof state>} patch
 */
function replaceAll(text, patch) {
  const { queries, query, classes, picked } = state;
  set(patch);
  offerUndo(text, () => set({ queries, query, classes, picked }));
}

/**
 * The list with an item put back where it was.
 * @template T
 * @param {T[]} list
 * @param {number} at
 * @param {T} item
 * @returns {T[]}
 */
const putBack = (list, at, item) => [...list.slice(0, at), item, ...list.slice(at)];

/** @param {ExampleSet} example */
export function loadExample(example) {
  const queries = [example.query, ...example.queries].map(examplePhoto);
  const patch = {
    queries,
    query: queries[0],
    classes: example.classes.map(({ name, supports }, color) => ({
      key: key(),
      name,
      color,
      photos: supports.map(examplePhoto),
    })),
    picked: null,
    channel: null,
  };
  const own = [...state.queries, ...state.classes.flatMap(({ photos }) => photos)].some(
    photo => photo.example === null,
  );
  if (own) replaceAll(`${example.name} in place of your photos.`, patch);
  else set(patch);
}

/** @param {Photo} query */
export function ask(query) {
  set({ query, picked: null, channel: null });
}

/** @param {File[]} files */
export function addQueries(files) {
  if (files.length === 0) return;
  const photos = files.map(photoOf);
  set({ queries: [...photos, ...state.queries], query: photos[0], picked: null, channel: null });
}

/** @param {Photo} photo */
export function removeQuery(photo) {
  const at = state.queries.indexOf(photo);
  const asked = state.query === photo;
  const queries = state.queries.filter(other => other !== photo);
  set(asked ? { queries, query: queries[0] ?? null, picked: null, channel: null } : { queries });
  offerUndo(`${photo.name} removed.`, () =>
    set({ queries: putBack(state.queries, at, photo), query: asked ? photo : (state.query ?? photo) }),
  );
}

/** Empties the row of photos but for the one that is asked about. */
export function clearQueries() {
  const { query } = state;
  const gone = state.queries.filter(photo => photo !== query);
  set({ queries: query ? [query] : [] });
  const what = gone.length === 1 ? gone[0].name : `${gone.length} photos`;
  offerUndo(`${what} removed.`, () =>
    set({ queries: [...state.queries, ...gone.filter(photo => !state.queries.includes(photo))] }),
  );
}

/**
 * @param {string} name
 * @param {File[]} files
 * @returns {ClassItem}
 */
export function addClass(name, files) {
  const added = { key: key(), name: freeName(name), color: freeColor(state.classes), photos: files.map(photoOf) };
  set({ classes: [...state.classes, added] });
  return added;
}

/** @param {string} name */
function freeName(name) {
  const names = new Set(state.classes.map(one => one.name));
  let free = name;
  for (let n = 2; names.has(free); n += 1) free = `${name} ${n}`;
  return free;
}

/** @param {string} start */
export function nextClassName(start = "Class") {
  return `${start} ${state.classes.length + 1}`;
}

/**
 * @param {ClassItem} item
 * @param {string} name
 */
export function renameClass(item, name) {
  change(item.key, old => ({ ...old, name: name.trim() || old.name }));
}

/** @param {ClassItem} item */
export function removeClass(item) {
  const at = state.classes.findIndex(one => one.key === item.key);
  set({
    classes: state.classes.filter(one => one.key !== item.key),
    picked: state.picked === item.key ? null : state.picked,
  });
  offerUndo(`${item.name} removed.`, () => set({ classes: putBack(state.classes, at, item) }));
}

/**
 * @param {string} classKey
 * @param {File[]} files
 */
export function addSupports(classKey, files) {
  if (files.length > 0) addPhotos(classKey, files.map(photoOf));
}

/**
 * @param {string} classKey
 * @param {Photo[]} photos
 */
export function addPhotos(classKey, photos) {
  // A photo taken from elsewhere on the page gets a key of its own: it can then be removed here and stay there.
  change(classKey, old => ({ ...old, photos: [...old.photos, ...photos.map(photo => ({ ...photo, key: key() }))] }));
}

/**
 * @param {ClassItem} item
 * @param {Photo} photo
 */
export function removeSupport(item, photo) {
  const at = item.photos.findIndex(other => other.key === photo.key);
  change(item.key, old => ({ ...old, photos: old.photos.filter(other => other.key !== photo.key) }));
  offerUndo(`${photo.name} removed from ${item.name}.`, () =>
    change(item.key, old => ({ ...old, photos: putBack(old.photos, at, photo) })),
  );
}

export function startEmpty() {
  replaceAll("Everything cleared.", {
    queries: [],
    query: null,
    classes: [0, 1].map(color => ({ key: key(), name: `Class ${color + 1}`, color, photos: [] })),
    picked: null,
    channel: null,
  });
}

/**
 * Takes out photos that cannot be read, wherever they are; the question falls back to the one before.
 * @param {Set<string>} keys
 * @param {Photo | null} before
 */
export function dropUnreadable(keys, before) {
  const queries = state.queries.filter(photo => !keys.has(photo.key));
  const still = state.query && !keys.has(state.query.key);
  const query = still ? state.query : before && queries.includes(before) ? before : (queries[0] ?? null);
  const classes = state.classes.map(one => ({ ...one, photos: one.photos.filter(photo => !keys.has(photo.key)) }));
  set({ queries, query, classes });
}

/**
 * @param {string} classKey
 * @param {(old: ClassItem) => ClassItem} update
 */
function change(classKey, update) {
  set({ classes: state.classes.map(one => (one.key === classKey ? update(one) : one)) });
}
