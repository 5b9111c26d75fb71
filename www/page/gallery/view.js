// Gallery: many photos, embedded once, ranked by their similarity to one of them or to any other.

import { createGallery } from "../../famlens.js";
import { download, el, roving } from "../dom.js";
import { mountGrid } from "./grid.js";
import { mountQuery } from "./query.js";

/**
 * @import { Gallery, GalleryHit, GalleryProgress } from "../../famlens.js"
 * @import { Context, View } from "../context.js"
 * @import { Photo } from "../state.js"
 */

/** How many hits are ranked; the grid shows them bit by bit. */
const TOP = 200;

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @returns {View}
 */
export function mount(container, context) {
  /** @type {Gallery | null} */
  let gallery = null;
  /** The lens that the gallery belongs to: another model's embeddings are of no use. */
  let of = /** @type {unknown} */ (null);
  /** @type {Promise<Gallery> | null} */
  let making = null;
  /** Files to go on with when the lens is another one. @type {(File | string)[]} */
  let sources = [];
  /** @type {AbortController | null} */
  let adding = null;
  /** @type {AbortController | null} */
  let ranking = null;
  /** @type {Photo | null} */
  let query = null;
  /** The query, if it was brought for that alone. @type {Photo | null} */
  let brought = null;
  /** @type {GalleryHit[] | null} */
  let hits = null;
  /** What is said where no hit is like the query. */
  let unlike = "";
  let pending = 0;
  /** @type {AbortController | null} */
  let comparing = null;

  const count = el("p", { class: "gallery-count", "data-testid": "gallery-count", "aria-live": "polite" });
  const bar = el("progress", {
    class: "gallery-progress",
    "data-testid": "gallery-progress",
    "aria-label": "Photos embedded",
  });
  const cancel = el(
    "button",
    { type: "button", class: "button", "data-testid": "gallery-cancel", onclick: () => adding?.abort() },
    "Cancel",
  );
  const compared = el("progress", {
    class: "gallery-progress",
    "data-testid": "gallery-compared",
    "aria-label": "Photos compared with each other",
  });
  const comparison = el(
    "div",
    { class: "gallery-working", hidden: true },
    compared,
    el(
      "button",
      { type: "button", class: "button", "data-testid": "gallery-stop", onclick: () => comparing?.abort() },
      "Stop comparing",
    ),
  );
  const working = el("div", { class: "gallery-working", hidden: true }, bar, cancel);
  const button = (/** @type {string} */ label, /** @type {string} */ id, /** @type {() => unknown} */ run, kind = "") =>
    el(
      "button",
      {
        type: "button",
        class: `button ${kind}`,
        "data-testid": `gallery-${id}`,
        onclick: () => void Promise.resolve().then(run).catch(context.trouble),
      },
      label,
    );
  const duplicates = button("Find duplicates", "duplicates", findDuplicates);
  const exporting = button("Export", "export", save);
  const clear = button("Clear", "clear", clearAll, "quiet");
  const tools = el(
    "div",
    { class: "gallery-tools" },
    button("Add photos", "add", async () => add(await context.pickFiles()), "primary"),
    button("Add folder", "folder", async () => add(await context.pickFiles({ folder: true }))),
    duplicates,
    exporting,
    button("Import", "import", async () => load(await context.pickFiles({ accept: ".npy,.csv" }))),
    clear,
  );
  const grid = mountGrid({ context, ask, gallery: () => gallery, query: () => query });
  const panel = mountQuery({ context, ask, unask: () => ask(null), gallery: () => gallery });
  const empty = el(
    "div",
    { class: "gallery-empty", "data-testid": "gallery-empty" },
    el("p", { class: "big" }, "Drop a folder of photos here"),
    el(
      "p",
      {},
      "Up to 10,000 photos. They stay on this machine; this browser keeps their embeddings, so that the next visit " +
        "computes nothing again.",
    ),
    button("Take the photos that come with the page", "examples", addExamples),
  );
  const title = el("h2", { class: "gallery-title", "data-testid": "gallery-title" });
  container.append(
    el("div", { class: "gallery-bar" }, tools, working, comparison, count),
    el(
      "div",
      { class: "gallery-body" },
      panel.element,
      el("section", { class: "gallery-main", "aria-label": "Photos" }, title, empty, grid.element),
    ),
  );
  roving(grid.list, "button.tile");

  async function own() {
    // Photos may come before the model is there.
    const lens =
      context.lens ??
      (await new Promise((/** @type {(lens: import("../../famlens.js").Lens) => void} */ resolve) =>
        context.onLens(resolve),
      ));
    if (gallery && of === lens) return gallery;
    // One for all who ask meanwhile.
    making ??= createGallery(lens).finally(() => {
      making = null;
    });
    gallery = await making;
    of = lens;
    return gallery;
  }

  /** @param {(File | string)[]} files */
  async function add(files) {
    if (files.length === 0) return;
    adding?.abort();
    const to = await own();
    // What is on its way counts: the model may change before it has all arrived.
    sources = [...new Set([...sources, ...files])];
    adding = new AbortController();
    const { signal } = adding;
    pending += 1;
    working.hidden = false;
    const begun = performance.now();
    const before = to.items.length;
    let drawn = 0;
    try {
      const result = await to.add(files, { signal, onProgress: progress });
      const seconds = (performance.now() - begun) / 1000;
      const known = result.known > 0 ? `, ${result.known} known before` : "";
      context.say(`${result.embedded} photos embedded${known}.`);
      if (result.notKept)
        context.notify({ kind: "error", text: `The next visit computes these again. ${result.notKept}` });
      if (result.failed.length > 0) tellFailed(result.failed);
      else if (seconds > 3)
        context.notify({ text: `${result.embedded} photos embedded in ${seconds.toFixed(0)} s${known}.` });
    } catch (error) {
      if (signal.aborted)
        context.notify({
          text:
            `Stopped. ${to.items.length - before} photos were added; add the folder again to go on where it ` +
            `stopped.`,
        });
      else context.trouble(error);
    } finally {
      pending -= 1;
      if (adding?.signal === signal) {
        adding = null;
        working.hidden = true;
      }
      sources = to.items.flatMap(({ source }) =>
        source instanceof File || typeof source === "string" ? [source] : [],
      );
      await refresh();
    }

    /** @param {GalleryProgress} now */
    function progress({ done, total, embedded, known }) {
      bar.max = total;
      bar.value = done;
      count.textContent = `${done} of ${total}${known > 0 ? `, ${known} known before` : ""}`;
      container.dataset.embedded = String(embedded);
      container.dataset.known = String(known);
      // The grid grows while it goes on, but not so often that it stands still for it.
      if (performance.now() - drawn > 700 && !hits) {
        drawn = performance.now();
        show();
      }
    }
  }

  /** @param {{name: string, message: string}[]} failed */
  function tellFailed(failed) {
    const [first] = failed;
    context.notify({
      kind: "error",
      text: `${failed.length === 1 ? "One file was" : `${failed.length} files were`} left out. ${first.message}`,
    });
  }

  async function addExamples() {
    const found = await context.examples();
    const files = new Set(
      (found?.sets ?? []).flatMap(set => [set.query, ...set.queries, ...set.classes.flatMap(one => one.supports)]),
    );
    await add([...files].map(file => context.examplePhoto(file).src));
  }

  /**
   * Asks what is most like a photo; null shows all again.
   * @param {Photo | null} photo
   * @param {boolean} [own] whether nothing else shows it
   */
  function ask(photo, own = false) {
    if (brought && brought !== photo) context.letGo(brought);
    brought = own ? photo : brought === photo ? brought : null;
    query = photo;
    hits = null;
    void refresh();
  }

  /** The ranking for the query as the gallery is now, and everything that is drawn. */
  async function refresh() {
    ranking?.abort();
    if (!query || !gallery || gallery.items.length === 0) {
      hits = null;
      panel.show(query, null);
      return show();
    }
    ranking = new AbortController();
    const { signal } = ranking;
    pending += 1;
    try {
      const { hits: found, likeness, ms } = await gallery.rank(query.source, { top: TOP, signal });
      if (signal.aborted) return;
      hits = found;
      unlike = likeness.like === false ? likeness.says : "";
      container.dataset.ms = String(ms.rank);
      show();
      const first = hits.find(({ duplicate }) => duplicate?.of !== "sameFile") ?? hits[0];
      const told = `First ${first.name}, ${first.similarity.toFixed(2)}.`;
      context.say(`${unlike} ${hits.length} photos ranked for ${query.name}. ${told}`.trim());
      panel.show(query, first);
    } catch (error) {
      if (!signal.aborted) context.trouble(error);
    } finally {
      pending -= 1;
    }
  }

  function show() {
    const images = gallery?.items.length ?? 0;
    empty.hidden = images > 0;
    // There is nothing to rank yet.
    panel.element.hidden = images === 0 && !query;
    title.hidden = images === 0;
    title.textContent = hits
      ? unlike || `Most like ${query?.name}`
      : "All photos: choose one to look for what is like it";
    for (const one of [duplicates, exporting, clear]) one.disabled = images === 0;
    if (comparing) duplicates.disabled = true;
    if (working.hidden)
      count.textContent = images === 0 ? "" : `${images.toLocaleString("en")} photo${images === 1 ? "" : "s"}`;
    container.dataset.count = String(images);
    if (hits) grid.showHits(hits, hit => panel.show(query, hit));
    else grid.showAll(gallery?.items ?? []);
  }

  async function findDuplicates() {
    if (!gallery || comparing) return;
    const [from, asked] = [gallery, query];
    const { signal } = (comparing = new AbortController());
    compared.removeAttribute("value");
    comparison.hidden = false;
    duplicates.disabled = true;
    try {
      const groups = await from.duplicates({
        signal,
        onProgress: ({ done, total }) => Object.assign(compared, { max: total || 1, value: done }),
      });
      if (from !== gallery) return;
      container.dataset.groups = String(groups.length);
      if (groups.length === 0) return context.notify({ text: "No two photos are near-duplicates." });
      // Whoever asked something else meanwhile is not taken away from it.
      if (query === asked) showGroups(groups);
      else
        context.notify({
          text: `${groups.length} group${groups.length === 1 ? "" : "s"} of near-duplicates.`,
          action: { label: "Show", run: () => from === gallery && showGroups(groups) },
        });
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      comparing = null;
      comparison.hidden = true;
      duplicates.disabled = (gallery?.items.length ?? 0) === 0;
    }
  }

  /** @param {number[][]} groups */
  function showGroups(groups) {
    if (query) ask(null);
    grid.showGroups(groups);
    title.textContent = `${groups.length} group${groups.length === 1 ? "" : "s"} of near-duplicates`;
  }

  async function save() {
    if (!gallery) return;
    const { npy, csv } = await gallery.export();
    download(npy, "embeddings.npy");
    download(csv, "images.csv");
  }

  /** @param {File[]} files */
  async function load(files) {
    if (files.length === 0) return;
    const npy = files.find(file => file.name.endsWith(".npy"));
    const csv = files.find(file => file.name.endsWith(".csv"));
    if (!npy || !csv)
      throw new Error(
        "Choose both files of a gallery, embeddings.npy and images.csv: the one holds the embeddings, the other " +
          "says which images they are of.",
      );
    const to = await own();
    const added = await to.import({ npy, csv });
    context.notify({
      text:
        `${added} embedding${added === 1 ? "" : "s"} imported. Add the folder with the photos to see them too; ` +
        `nothing is embedded again.`,
    });
    await refresh();
  }

  async function clearAll() {
    adding?.abort();
    comparing?.abort();
    const old = gallery;
    [gallery, of, sources, hits] = [null, null, [], null];
    ask(null);
    grid.letGo();
    if (!old) return;
    const kept = await old.kept().catch(() => null);
    const what = kept === null ? "what it kept of it" : `${kept} embedding${kept === 1 ? "" : "s"}`;
    const forget = () => void old.forgetKept().then(() => context.notify({ text: "Forgotten." }), context.report);
    context.notify({
      text: kept === 0 ? "Gallery cleared." : `Gallery cleared. This browser still keeps ${what} (no photos).`,
      action: kept === 0 ? undefined : { label: "Forget them", run: forget },
    });
    await old.dispose();
  }

  show();
  panel.show(null, null);
  context.onLens(lens => {
    if (!gallery || of === lens) return;
    // Another model, or the same one in a new worker: the embeddings of the same model are known, those of another are
    // made anew.
    const again = sources;
    making = null;
    comparing?.abort();
    [gallery, of, hits] = [null, null, null];
    if (again.length > 0) void add(again);
    else show();
  });
  context.onLook(() => {
    grid.redraw();
    panel.redraw();
  });

  return {
    isReady: () => pending === 0,
    picture: panel.picture,
    taker: {
      rest: true,
      where: under =>
        under?.closest(".gallery-query")
          ? { element: panel.element, label: "Look for what is like this photo" }
          : { element: container, label: "Add to the gallery" },
      take({ files, folders, rest, photo }, under) {
        const all = [...files, ...folders.flatMap(folder => folder.files)];
        const tables = rest.filter(file => /\.(npy|csv)$/.test(file.name));
        if (tables.length > 0 && all.length === 0) return void load(tables).catch(context.trouble);
        if (photo) return ask(photo);
        if (under?.closest(".gallery-query") && all.length === 1) return ask(context.photoOf(all[0]), true);
        void add(all).catch(context.trouble);
      },
    },
  };
}
