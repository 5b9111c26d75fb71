// Which photos stay: those on the page and those that an undo can bring back. The row of queries has an end, beyond
// which the ones that were asked about longest ago go. (What the lens keeps of a photo it bounds by itself.)

import { notify } from "../notices.js";
import { letGo } from "../photo.js";
import { state as page } from "../state.js";
import { on, set, state } from "./state.js";

/** @import { Photo } from "../state.js" */

/** How many photos the row holds. */
export const MOST_QUERIES = 60;

/** When each photo was last asked about, or came, as a count. @type {WeakMap<Photo, number>} */
const used = new WeakMap();
let count = 0;

/** How many undos are on offer: as long as there is one, it must find everything. */
let offered = 0;

/**
 * Tells what was done, with a way to take it back, and nothing that was done since.
 * @param {string} text
 * @param {() => void} run
 */
export function offerUndo(text, run) {
  offered += 1;
  const onGone = () => {
    offered -= 1;
    sweep();
  };
  notify({ text, action: { label: "Undo", run }, onGone });
}

/** The row stays within its bounds; the photo that is asked about is never one of those that go. */
function bound() {
  const { queries, query } = state;
  for (const photo of [...queries].reverse()) if (!used.has(photo)) used.set(photo, (count += 1));
  if (query) used.set(query, (count += 1));
  const over = queries.length - MOST_QUERIES;
  if (over <= 0) return;
  const oldest = [...queries].sort((a, b) => (used.get(a) ?? 0) - (used.get(b) ?? 0)).filter(one => one !== query);
  const gone = new Set(oldest.slice(0, over));
  set({ queries: queries.filter(photo => !gone.has(photo)) });
  notify({
    text:
      `The row holds ${MOST_QUERIES} photos. ` +
      `${over === 1 ? "The one" : `The ${over}`} asked about longest ago ${over === 1 ? "has" : "have"} left it.`,
    topic: "row",
  });
}

/** Everything that has been on the page, by source. @type {Map<File | Blob | string, Photo>} */
const known = new Map();

const photos = () => [...state.queries, ...state.classes.flatMap(one => one.photos)];

/** Lets go of photos that are nowhere on the page any more, once nothing can bring them back. */
function sweep() {
  const here = new Set();
  for (const photo of photos()) {
    known.set(photo.source, photo);
    here.add(photo.source);
  }
  if (offered > 0) return;
  for (const [source, photo] of known) {
    if (here.has(source) || source === state.result?.query.source) continue;
    known.delete(source);
    // An example may be shown again at any time, and has no address to free.
    if (photo.example !== null) continue;
    void page.lens?.forget(source);
    letGo(photo);
  }
}

export function mountMemory() {
  on(["queries", "query"], bound);
  on(["queries", "classes", "result"], sweep);
}
