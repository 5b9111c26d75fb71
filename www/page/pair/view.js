// Pair: what makes two photos, or two random views of one, alike; and which part of one accounts for which part of the
// other.

import { el, icon, milliseconds } from "../dom.js";
import { dragOut } from "../drop.js";
import { controls } from "./choices.js";
import { parameters } from "../address.js";
import { stem } from "../picture.js";
import { saidOnce } from "./notes.js";
import { parametersText } from "./parameters.js";
import { mountSide } from "./side.js";
import { mountViews } from "./views.js";

/**
 * @import { CellPairs, Pair } from "../../famlens.js"
 * @import { ImageLike, Lens, LensError, LensImage, LensMap } from "../../famlens.js"
 * @import { Context, View } from "../context.js"
 * @import { Photo } from "../state.js"
 *
 * What is compared on one side: the photo, and the picture that the lens sees, which may be a view of it.
 * @typedef {{photo: Photo, source: ImageLike, image: ImageData | null, text: string}} Subject
 */

/** From how many milliseconds on a wait is one that people notice. */
const NOTICEABLE = 300;

/** The pair that the page opens with. */
const OPENING = ["kingfisher.jpg", "scarlet-macaw.jpg"];

/**
 * Where to where, or why there is none: what the network makes of the cells itself is no sum over pairs of them, and
 * early layers have too many. The maps are there all the same.
 * @param {Lens} lens
 * @param {Parameters<Lens["whereToWhere"]>[0]} request
 * @returns {Promise<{cells: CellPairs | null, why: string}>}
 */
async function whereToWhere(lens, request) {
  if ((request.pooling ?? lens.info.model.pooling) === "model") {
    return { cells: null, why: "Where to where is for means of cells, not for what the network makes of them itself." };
  }
  try {
    return { cells: await lens.whereToWhere(request), why: "" };
  } catch (error) {
    const { code, message } = /** @type {LensError} */ (error);
    if (code !== "argument" && code !== "too_large") throw error;
    return { cells: null, why: `No where to where: ${message}.` };
  }
}

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @returns {View}
 */
export function mount(container, context) {
  /** @type {{a: Photo | null, b: Photo | null}} */
  const photos = { a: null, b: null };
  /** Whether the examples are there, or will not be. */
  let opened = false;
  /** @type {Record<string, string>} */
  const options = {};
  /** @type {{pair: Pair, cells: CellPairs | null, why: string, a: LensImage, b: LensImage} | null} */
  let found = null;
  /** @type {AbortController | null} */
  let asking = null;
  /** What the result is, or would be, of; the two are the same once it is there. */
  let wanted = 1;
  let answered = 0;
  /** Who is to know of other photos. @type {(() => void)[]} */
  const changes = [];

  const score = el("output", { class: "pair-score", "data-testid": "pair-score" });
  const says = el("p", { class: "says pair-says", "data-testid": "pair-says", "aria-live": "polite" });
  const notes = el("ul", { class: "notes", "data-testid": "pair-notes" });
  const result = el("div", { class: "pair-result card" }, score, el("div", { class: "pair-words" }, says, notes));
  const sides = {
    a: mountSide("a", { context, choose: files => put("a", files[0]), light: cell => light("a", cell) }),
    b: mountSide("b", { context, choose: files => put("b", files[0]), light: cell => light("b", cell) }),
  };
  const views = mountViews(() => void compare());
  const choices = el("div", { class: "pair-choices" });
  const strip = el("ul", { class: "strip", "aria-label": "Photos that come with the page" });
  container.append(
    el("div", { class: "pair-bar" }, ...views.elements, choices),
    el("div", { class: "pair-sides" }, sides.a.element, sides.b.element),
    result,
    el("div", { class: "strip-row pair-strip" }, strip),
  );

  /** @param {"a" | "b"} side @param {File | Photo} one */
  function put(side, one) {
    if (!one) return;
    const before = photos[side];
    photos[side] = one instanceof File ? context.photoOf(one) : one;
    if (before && before !== photos.a && before !== photos.b) context.letGo(before);
    for (const run of changes) run();
    void compare();
  }

  /** What the lens is asked about. @param {"a" | "b"} side @returns {Promise<Subject>} */
  async function subject(side) {
    const photo = /** @type {Photo} */ (views.mode() === "views" ? photos.a : photos[side]);
    if (views.mode() === "photos") return { photo, source: photo.source, image: null, text: "" };
    const { image, view } = await /** @type {any} */ (context.lens).view(photo.source, views.of(side));
    return { photo, source: image, image, text: parametersText(view) };
  }

  async function compare() {
    sides.b.element.classList.toggle("derived", views.mode() === "views");
    wanted += 1;
    asking?.abort();
    const { lens } = context;
    if (!lens || !photos.a || (views.mode() === "photos" && !photos.b)) {
      showPhotos();
      clearResult();
      if (lens && opened) answered = wanted;
      return tellReady();
    }
    const asked = wanted;
    tellReady();
    asking = new AbortController();
    const { signal } = asking;
    const slow = setTimeout(() => wait(lens.info.model.name), NOTICEABLE);
    // Given up, it may still take its time, and what comes after it may be there by then.
    signal.addEventListener("abort", () => clearTimeout(slow));
    found = null;
    try {
      const [a, b] = await Promise.all([subject("a"), subject("b")]);
      if (signal.aborted) return;
      sides.a.show(a);
      sides.b.show(b);
      // Pixels are opened once, so that the two questions and the drawing are about the same image.
      const [imageA, imageB] = await Promise.all([lens.open(a.source), lens.open(b.source)]);
      const request = { a: imageA, b: imageB, .../** @type {any} */ (options), signal };
      const pair = await lens.pair(request);
      const { cells, why } = await whereToWhere(lens, request);
      if (signal.aborted) return;
      clearTimeout(slow);
      found = { pair, cells, why, a: imageA, b: imageB };
      await show(imageA, imageB);
      answered = asked;
    } catch (error) {
      if (signal.aborted) return;
      answered = asked;
      sides.a.clear();
      sides.b.clear();
      clearResult();
      context.trouble(error);
    } finally {
      clearTimeout(slow);
      if (!signal.aborted) tellReady();
    }
  }

  /**
   * What stands there is not of what is compared now, nor of this model; where the answer comes at once nobody sees
   * that.
   * @param {string} model
   */
  function wait(model) {
    clearScore();
    score.append(el("progress", { "aria-label": "Comparing" }));
    // The notes are hidden and keep their room, so that the photos do not grow for the time.
    result.classList.add("waiting");
    says.textContent = `Comparing with ${model}`;
    context.busy({ text: "Comparing", loaded: 0, total: 0, inPlace: true });
  }

  function clearResult() {
    clearScore();
    for (const part of [says, notes]) part.replaceChildren();
    result.classList.remove("waiting");
  }

  function clearScore() {
    score.replaceChildren();
    score.removeAttribute("title");
    for (const name of ["similarity", "sum"]) delete score.dataset[name];
  }

  /** Has the page look again whether the answer is there; what else is being worked on is told by its own. */
  function tellReady() {
    if (context.lens) context.busy(null);
  }

  function showPhotos() {
    sides.a.show(photos.a && { photo: photos.a, source: photos.a.source, image: null, text: "" });
    if (views.mode() === "photos")
      sides.b.show(photos.b && { photo: photos.b, source: photos.b.source, image: null, text: "" });
  }

  /** @param {LensImage} a @param {LensImage} b */
  async function show(a, b) {
    if (!found) return;
    const { pair, cells } = found;
    score.replaceChildren(el("strong", {}, pair.similarity.toFixed(3)), ` ${pair.score}`);
    score.dataset.similarity = String(pair.similarity);
    score.dataset.sum = cells ? String(cells.sum + cells.constant) : "";
    result.classList.remove("waiting");
    notes.replaceChildren(...saidOnce(pair.notes).map(note => el("li", {}, note)));
    score.title = `${milliseconds(pair.ms)} on the ${pair.backend === "cpu" ? "CPU" : "GPU"}`;
    rest();
    const geometry = context.lens?.info.model.geometry ?? "squash";
    const cellsOf = (/** @type {"a" | "b"} */ side) => cells?.[side] ?? null;
    await Promise.all([
      sides.a.explain(a, pair.a.map, cellsOf("a"), geometry),
      sides.b.explain(b, pair.b.map, cellsOf("b"), geometry),
    ]);
    context.say([`${pair.score} ${pair.similarity.toFixed(2)}.`, says.textContent, ...saidOnce(pair.notes)].join(" "));
  }

  /** What stands there while no cell is pointed at. */
  function rest() {
    if (!found) return;
    const { cells, why } = found;
    if (!cells) {
      says.textContent = why;
      return;
    }
    const count = cells.terms.length.toLocaleString("en");
    const constant = cells.constant === 0 ? "" : ` and the constant ${cells.constant.toFixed(3)}`;
    says.textContent =
      `It is the sum of ${count} pairs of cells${constant}. Point at a cell of one photo to see ` +
      `where in the other its part comes from.`;
  }

  /** A cell is pointed at, or none any more. @param {"a" | "b"} side @param {number | null} cell */
  function light(side, cell) {
    const other = side === "a" ? "b" : "a";
    if (!found || cell === null) {
      sides.a.light(null);
      sides.b.light(null);
      return rest();
    }
    const { cells } = found;
    if (!cells) return;
    const terms = sides[side].terms(cells, cell);
    sides[side].mark(cell);
    const best = sides[other].light(terms);
    const sum = terms.reduce((total, value) => total + value, 0);
    const [column, row] = [(cell % cells[side][0]) + 1, Math.floor(cell / cells[side][0]) + 1];
    const share = cells.sum === 0 ? 0 : (100 * sum) / cells.sum;
    const [toColumn, toRow] = [(best % cells[other][0]) + 1, Math.floor(best / cells[other][0]) + 1];
    const part = ((100 * Math.max(0, terms[best])) / sum).toFixed(0);
    const most = sum > 0 ? `; ${part} % of that with column ${toColumn}, row ${toRow} of the other` : "";
    const which = side === "a" ? "first" : "second";
    says.textContent =
      `Column ${column}, row ${row} of the ${which} carries ${share.toFixed(1)} % of the ` + `similarity${most}.`;
  }

  /** The photos that an address can name. */
  const examplesNow = () =>
    photos.a?.example && photos.b?.example ? { a: photos.a.example, b: photos.b.example, example: "pair" } : {};

  async function mountChoices() {
    const { lens } = context;
    if (!lens || choices.childElementCount > 0) return;
    const made = controls(await lens.choices(), (kind, value) => {
      if (value) options[kind] = value;
      else delete options[kind];
      void compare();
    });
    // Another lens may have been quicker.
    if (choices.childElementCount === 0) choices.append(...made);
  }

  async function mountExamples() {
    const found = await context.examples();
    const files = new Set(
      (found?.sets ?? []).flatMap(set => [set.query, ...set.queries, ...set.classes.flatMap(one => one.supports)]),
    );
    for (const file of files) {
      const photo = context.examplePhoto(file);
      const use = (/** @type {"a" | "b"} */ side) => put(side, photo);
      const image = el("img", { src: photo.small, alt: "", loading: "lazy", draggable: "false" });
      const button = el(
        "button",
        {
          type: "button",
          class: "strip-photo",
          title: file,
          "aria-label": `Compare ${file}`,
          "data-testid": "pair-example",
          "data-file": file,
        },
        el("span", { class: "thumb" }, image),
      );
      // The side that was changed longer ago gives way, so that two clicks make a pair.
      button.addEventListener("click", () => {
        const side = views.mode() === "views" ? "a" : turn;
        turn = turn === "a" ? "b" : "a";
        use(side);
      });
      dragOut(button, photo);
      strip.append(el("li", {}, button));
    }
    opened = true;
    if (!photos.a && !photos.b && files.size > 0) {
      const asked = parameters();
      const named = [asked.get("a") ?? OPENING[0], asked.get("b") ?? OPENING[1]];
      const [a, b] = named.map(file => (files.has(file) ? file : [...files][0]));
      photos.a = context.examplePhoto(a);
      photos.b = context.examplePhoto(b);
    }
    void compare();
  }
  /** @type {"a" | "b"} */
  let turn = "b";

  sides.a.element.querySelector(".pair-choose")?.prepend(icon("plus"));
  sides.b.element.querySelector(".pair-choose")?.prepend(icon("plus"));
  void mountExamples();
  context.onLens(() => {
    void mountChoices().catch(context.trouble);
    void compare();
  });
  context.onLook(() => {
    sides.a.redraw();
    sides.b.redraw();
  });

  return {
    isReady: () => answered === wanted,
    picture() {
      const { a, b } = photos;
      if (!found || !a || !b || views.mode() !== "photos") return null;
      const says = `${found.pair.score} ${found.pair.similarity.toFixed(3)}`;
      const panel = (/** @type {Photo} */ photo, /** @type {LensImage} */ size, /** @type {LensMap} */ map) => {
        const { src, source, name: title } = photo;
        return { src, source, size, map, title, says };
      };
      const panels = [panel(a, found.a, found.pair.a.map), panel(b, found.b, found.pair.b.map)];
      return { name: `${stem(a.name)} and ${stem(b.name)}`, title: `${a.name} and ${b.name}: ${says}`, panels };
    },
    link: () => new URLSearchParams(Object.entries({ ...options, ...examplesNow() })),
    save: keep => ({ a: photos.a && keep.photo(photos.a), b: photos.b && keep.photo(photos.b) }),
    restore(saved, found) {
      photos.a = saved.a && found.photo(saved.a);
      photos.b = saved.b && found.photo(saved.b);
      void compare();
    },
    onChange: run => changes.push(run),
    hide: () => light("a", null),
    photos: () => [photos.a, photos.b].filter(photo => photo !== null),
    taker: {
      where(under) {
        const side = under?.closest('[data-side="b"]') && views.mode() === "photos" ? "b" : "a";
        return {
          element: sides[side].element,
          label: side === "a" ? "Compare as the first photo" : "Compare as the second photo",
        };
      },
      take({ files, folders, photo }, under) {
        const all = [...files, ...folders.flatMap(folder => folder.files)];
        const side = under?.closest('[data-side="b"]') && views.mode() === "photos" ? "b" : "a";
        if (photo) return put(side, photo);
        if (all.length > 1 && views.mode() === "photos") {
          put("b", all[1]);
          return put("a", all[0]);
        }
        put(side, all[0]);
      },
    },
  };
}
