// From the state to the lens and back: explains whenever an input changed, and drops what nobody waits for.

import { LensError } from "../../famlens.js";
import { lasting } from "../catalogue.js";
import { onNewModel, tell, trouble } from "../engine.js";
import { dropUnreadable } from "./inputs.js";
import { PUBLISHED, asked, filled, formNow, optionsNow, same } from "./options.js";
import { notify, report, say, sentence, settle } from "../notices.js";
import { mountMemory } from "./memory.js";
import { COLORS, on, set, shownIndex, state } from "./state.js";
import { set as setPage, state as page } from "../state.js";

/**
 * @import { Lens } from "../../famlens.js"
 * @import { ClassItem, Result } from "./state.js"
 * @import { Explained, Photo } from "../state.js"
 */

/** @type {AbortController | null} */
let explaining = null;
/** @type {AbortController | null} */
let reading = null;
/** @type {Photo | null} the last query that could be explained */
let lastGood = null;

async function explain() {
  explaining?.abort();
  const { lens } = page;
  const { query, classes } = state;
  const used = filled(classes);
  if (!lens) return;
  if (!query || used.length === 0) return end({ result: null, published: null });
  explaining = new AbortController();
  const { signal } = explaining;
  // Nothing is said about short work: a flash of it would only unsettle.
  const slow = setTimeout(() => setPage({ busy: page.busy ?? { phase: "embed", loaded: 0, total: 0 } }), 250);
  const options = optionsNow();
  /** @param {Record<string, unknown>} options @returns {Promise<Result>} */
  const ask = async options => {
    const found = await lens.explain({
      query: query.source,
      classes: asked(classes),
      ...options,
      signal,
    });
    // Outputs of the model's classifier take the place of the classes.
    const shown = options.against
      ? found.classes.map(({ name }, at) => ({ key: `output ${name}`, name, color: at % COLORS, photos: [] }))
      : used;
    return { found, query, of: classes, classes: shown, keys: shown.map(({ key }) => key), options };
  };
  try {
    const unread = await unreadable([query, ...used.flatMap(({ photos }) => photos)]);
    if (signal.aborted) return;
    if (unread.length > 0) {
      tellUnreadable(unread);
      const hopeless = unread.filter(({ error }) => error.code === "image" || error.code === "too_large");
      // What could not be fetched may come another time, so it stays.
      if (hopeless.length === 0) return end({ result: null, published: null });
      return dropUnreadable(new Set(hopeless.map(({ photo }) => photo.key)), lastGood);
    }
    if (state.beside && !same(options, PUBLISHED) && !isOf(state.published, lens)) {
      const published = await ask(PUBLISHED);
      if (signal.aborted) return;
      answeredBy.set(published, lens);
      set({ published });
    }
    const result = await ask(options);
    if (signal.aborted) return;
    lastGood = query;
    lastChoices = page.choices;
    const { backend, timings } = result.found;
    setPage({ took: { backend, forward: timings.forward, mix: timings.mix, total: timings.total } });
    settle("explain");
    end({ result, channelMaps: [], ...(same(options, PUBLISHED) ? { published: null } : {}) });
    tell(result.found.note);
  } catch (error) {
    if (signal.aborted) return;
    refused = { query, classes, options };
    end({ result: null });
    refuse(error);
  } finally {
    clearTimeout(slow);
  }
}

/** Nothing is being worked on any more. @param {Parameters<typeof set>[0]} patch */
function end(patch) {
  setPage({ busy: null });
  set(patch);
}

/** What was asked last and cannot be answered. @type {{query: Photo, classes: ClassItem[], options: object} | null} */
let refused = null;
/** The choices that were answered last. */
let lastChoices = page.choices;

/** Tells what is wrong; a choice that cannot be is taken back by a click. @param {unknown} error */
function refuse(error) {
  const back = lastChoices;
  if (!(error instanceof LensError) || (error.code !== "argument" && error.code !== "target") || back === page.choices)
    return trouble(error);
  notify({
    kind: "error",
    text: sentence(error.message),
    action: { label: "Take it back", run: () => setPage({ choices: back }) },
    topic: "explain",
  });
}

/** The lens that gave each result. @type {WeakMap<Result, Lens>} */
const answeredBy = new WeakMap();

/**
 * Whether a result is of what is asked now: nothing but the choices has changed.
 * @param {Result | null} result
 * @param {Lens} lens
 */
function isOf(result, lens) {
  return (
    result !== null && result.query === state.query && result.of === state.classes && answeredBy.get(result) === lens
  );
}

/** Whether what is on screen is the explanation of what was asked. */
export function isExplained() {
  const { result, query, classes } = state;
  /** @param {{query: Photo, options: object}} answer @param {ClassItem[]} of */
  const answers = (answer, of) => answer.query === query && of === classes && same(answer.options, optionsNow());
  return (
    !query ||
    filled(classes).length === 0 ||
    (result !== null && answers(result, result.of)) ||
    (refused !== null && answers(refused, refused.classes))
  );
}

/**
 * Opens all photos and gives those that cannot be.
 * @param {Photo[]} photos
 */
async function unreadable(photos) {
  /** @type {{photo: Photo, error: any}[]} */
  const failed = [];
  await Promise.all(
    photos.map(photo =>
      page.lens?.open(photo.source, { name: photo.name }).catch(error => {
        failed.push({ photo, error });
      }),
    ),
  );
  const fatal = failed.find(
    ({ error }) => error.code === "crashed" || error.code === "disposed" || !(error instanceof LensError),
  );
  if (fatal) throw fatal.error;
  return failed;
}

/** @param {{photo: Photo, error: any}[]} failed */
function tellUnreadable(failed) {
  for (const { error } of failed.slice(0, 2)) {
    if (error.code === "image" || error.code === "too_large") report(error);
    else
      notify({
        kind: "error",
        text: sentence(error.message),
        action: { label: "Try again", run: () => void explain() },
        topic: "explain",
      });
  }
  if (failed.length > 2)
    notify({ kind: "error", text: `${failed.length - 2} more files could not be read as photos.` });
}

/** The activation maps of the strongest channels of the class that is shown. */
async function readChannels() {
  reading?.abort();
  const { lens } = page;
  const { result } = state;
  const top = result?.found.top[shownIndex()];
  if (!lens || !result || !top) return;
  reading = new AbortController();
  const { signal } = reading;
  try {
    const channelMaps = await lens.channels(
      result.query.source,
      top.map(({ channel }) => channel),
      { signal },
    );
    if (!signal.aborted) set({ channelMaps });
  } catch (error) {
    if (!signal.aborted) trouble(error);
  }
}

/** For those who do not see the bars. */
function announce() {
  const { result } = state;
  if (!result) return;
  const { found, query } = result;
  const order = [...found.classes].sort((a, b) => b.similarity - a.similarity);
  const rest = order.slice(1).map(({ name, similarity }) => `${name} ${similarity.toFixed(2)}`);
  say(
    `${query.name}: most like ${order[0].name}, ${found.score} ` +
      `${order[0].similarity.toFixed(2)}.${rest.length ? ` Then ${rest.join(", ")}.` : ""}`,
  );
}

/**
 * Explains what is asked now with another lens, as it will be asked once that lens has taken over.
 * @param {Lens} lens
 * @param {AbortSignal} signal
 */
export function explainOn(lens, signal) {
  const { query, classes } = state;
  if (!query || filled(classes).length === 0) return null;
  const options = optionsNow(lasting(page.choices), lens.info);
  return lens.explain({ query: query.source, classes: asked(classes), ...options, signal });
}

/** What the rest of the page may know of all this. @returns {Explained} */
function explained() {
  const { query, classes, result } = state;
  const used = filled(classes);
  const at = shownIndex();
  const shown = result && {
    photo: result.query,
    map: result.found.maps[at],
    name: result.classes[at]?.name ?? "",
    ...result.found.query,
  };
  const target = result?.found.target ?? null;
  return { form: formNow(), several: used.length > 1, idle: !query || used.length === 0, target, shown };
}

export function follow() {
  mountMemory();
  onNewModel(() => set({ result: null, published: null, channel: null, channelMaps: [] }));
  on(["choices", "classes", "query", "result", "picked", "info"], () => setPage({ explained: explained() }));
  on(["choices"], () => set({ channel: null }));
  on(["backend"], () => explaining?.abort());
  // What another engine or model gave is no answer any more.
  on(["lens"], () => set({ published: null }));
  on(["lens", "query", "classes", "choices", "beside"], () => void explain());
  on(["result", "picked"], () => void readChannels());
  on(["result"], announce);
}
