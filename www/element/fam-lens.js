// <fam-lens>: a photo, what a model looks at in it, and the verdict.

import { LensError } from "../famlens.js";
import { Base } from "./base.js";
import { CHANGED, FamClass } from "./fam-class.js";
import { make, parts, styles } from "./look.js";
import { discard, share } from "./shared.js";
import { partOf, words } from "./words.js";

/**
 * @import { ClassSpec, ExplainOptions, Explanation, ImageLike, Lens, LensOptions } from "../famlens.js"
 *
 * What the element is at: it lacks something to explain, waits to be seen or asked, loads, shows an answer, or failed.
 * @typedef {"empty" | "waiting" | "loading" | "ready" | "error"} FamLensState
 */

/** Properties that a framework may have set before this class was known. */
const PROPERTIES = ["query", "classes", "model", "options"];
/** The map is drawn at most so large; it is smooth, and the browser scales it. */
const MOST = 512;
const STATES = /** @type {FamLensState[]} */ (["empty", "waiting", "loading", "ready", "error"]);

/**
 * A photo, its map and the verdict. Children are `<fam-class name supports>`.
 *
 * Fires `famlens-result` (detail: the explanation), `famlens-error` (detail: the LensError), `famlens-state` and
 * `famlens-class` (detail: the index of the class whose map is shown).
 */
export class FamLens extends Base {
  static observedAttributes = ["query", "model", "form", "backend", "loading", "reveal", "colormap", "alt"];

  /** What it says; replace entries to translate them, before elements are made. */
  static words = words;

  /** @type {ImageLike | null} */
  #query = null;
  /** @type {ClassSpec[] | null} */
  #classes = null;
  /** @type {LensOptions["model"] | null} */
  #model = null;
  /** @type {ExplainOptions} */
  #options = {};
  /** @type {FamLensState} */
  #state = "empty";
  /** @type {Explanation | null} */
  #result = null;
  #shown = 0;
  #revealed = false;
  #seen = false;
  #planned = false;
  /** @type {AbortController | null} */
  #work = null;
  /** @type {{lens: Promise<Lens>, leave: () => void} | null} */
  #shared = null;
  /** @type {{query: unknown, url: string} | null} what the photo shows, with a URL to be freed */
  #object = null;
  #parts = /** @type {ReturnType<typeof parts>} */ (/** @type {unknown} */ (null));
  /** @type {IntersectionObserver | null} */
  #near = null;
  /** @type {MutationObserver | null} */
  #children = null;
  /** @type {ElementInternals | null} */
  #internals = null;

  constructor() {
    super();
    if (typeof document !== "object") return;
    this.#internals = this.attachInternals();
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    root.adoptedStyleSheets = [styles()];
    this.#parts = parts(FamLens.words);
    root.append(this.#parts.figure);
    this.#parts.show.addEventListener("click", () => this.reveal());
    this.#parts.retry.addEventListener("click", () => void this.explain().catch(() => {}));
    this.addEventListener(CHANGED, () => this.#plan());
  }

  /** The photo: an address, or an image given here. @type {ImageLike | null} */
  get query() {
    return this.#query ?? this.getAttribute("query");
  }

  set query(query) {
    this.#query = query;
    this.#plan();
  }

  /** The classes: those of the children, or what is given here; null goes back to the children. @type {ClassSpec[]} */
  get classes() {
    const children = [...this.children].filter(child => child instanceof FamClass);
    const own = children.map(({ name, supports }) => ({ name, supports }));
    return this.#classes ?? own.filter(({ name, supports }) => name !== "" && supports.length > 0);
  }

  set classes(/** @type {ClassSpec[] | null} */ classes) {
    this.#classes = classes;
    this.#plan();
  }

  /** The model, as `createLens` takes it; famlens' own by default. @type {LensOptions["model"] | null} */
  get model() {
    return this.#model ?? this.getAttribute("model");
  }

  set model(model) {
    this.#model = model;
    this.#plan();
  }

  /** Further options of `lens.explain`. @type {ExplainOptions} */
  get options() {
    return this.#options;
  }

  set options(options) {
    this.#options = options ?? {};
    this.#plan();
  }

  /** The last explanation. @type {Explanation | null} */
  get result() {
    return this.#result;
  }

  /** @type {FamLensState} */
  get state() {
    return this.#state;
  }

  /** Index of the class whose map is shown. @type {number} */
  get shown() {
    return this.#shown;
  }

  set shown(index) {
    if (!this.#result?.maps[index]) return;
    this.#shown = index;
    const inputs = this.#parts.classes.querySelectorAll("input");
    for (const [at, input] of inputs.entries()) input.checked = at === index;
    void this.#draw().catch(error => this.#fail(error));
    this.#fire("famlens-class", index);
  }

  /** Begins, where `reveal` is not `"auto"`. */
  reveal() {
    this.#revealed = true;
    this.#plan();
  }

  /**
   * Explains now, whatever `loading` and `reveal` say, and once more after an error.
   * @returns {Promise<Explanation>}
   */
  async explain() {
    this.#revealed = true;
    this.#seen = true;
    return this.#explain();
  }

  connectedCallback() {
    for (const name of PROPERTIES.filter(name => Object.hasOwn(this, name))) {
      const value = /** @type {any} */ (this)[name];
      delete (/** @type {any} */ (this)[name]);
      /** @type {any} */ (this)[name] = value;
    }
    this.#children = new MutationObserver(() => this.#plan());
    this.#children.observe(this, { childList: true });
    this.#near = new IntersectionObserver(
      entries => {
        if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
        this.#near?.disconnect();
        this.#seen = true;
        this.#plan();
      },
      { rootMargin: "300px" },
    );
    this.#near.observe(this);
    this.#plan();
  }

  disconnectedCallback() {
    this.#near?.disconnect();
    this.#children?.disconnect();
    // A move in the document takes it out and puts it back at once.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#work?.abort();
      this.#leave();
      if (this.#object) URL.revokeObjectURL(this.#object.url);
      this.#object = null;
    });
  }

  attributeChangedCallback() {
    this.#plan();
  }

  /** Explains anew once all that changes together has changed. */
  #plan() {
    if (this.#planned || !this.isConnected) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      if (!this.isConnected) return;
      this.#work?.abort();
      void this.#showPhoto();
      if (!this.query || this.classes.length === 0) return this.#tell("empty");
      const waits = (this.getAttribute("reveal") ?? "auto") !== "auto" && !this.#revealed;
      const unseen = this.getAttribute("loading") === "lazy" && !this.#seen;
      if (waits || unseen) return this.#tell("waiting");
      this.#explain().catch(() => {});
    });
  }

  /** @returns {Promise<Explanation>} */
  async #explain() {
    this.#work?.abort();
    const work = new AbortController();
    this.#work = work;
    const { signal } = work;
    this.#tell("loading");
    try {
      const { query, classes } = this;
      if (!query || classes.length === 0) throw new LensError("argument", FamLens.words.empty);
      const lens = await this.#join();
      signal.throwIfAborted();
      this.#say(FamLens.words.looking);
      const form = /** @type {any} */ (this.getAttribute("form") ?? undefined);
      const request = { ...(form && { form }), ...this.#options, query, classes, signal };
      const result = await lens.explain(request);
      signal.throwIfAborted();
      this.#result = result;
      this.#shown = result.predicted;
      this.#caption(result);
      await this.#draw();
      signal.throwIfAborted();
      this.#parts.classes.hidden = result.classes.length < 2;
      this.#tell("ready");
      this.#fire("famlens-result", result);
      return result;
    } catch (error) {
      if (!signal.aborted) this.#fail(/** @type {Error} */ (error));
      throw error;
    }
  }

  /** The lens of its model, shared with the other elements. */
  #join() {
    const backend = /** @type {LensOptions["backend"]} */ (this.getAttribute("backend") ?? undefined);
    const before = this.#shared;
    this.#shared = share(this.model ?? undefined, backend, progress => {
      if (this.#state === "loading") this.#say(FamLens.words.loading(partOf(progress)));
    });
    // After the new one, so that the same model stays.
    before?.leave();
    return this.#shared.lens;
  }

  #leave() {
    this.#shared?.leave();
    this.#shared = null;
  }

  /** Puts the map of the class that is shown over the photo. */
  async #draw() {
    const result = this.#result;
    const query = this.query;
    if (!result || !query || !this.#shared) return;
    const index = this.#shown;
    const { width, height } = result.query;
    const scale = Math.min(1, MOST / Math.max(width, height));
    const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
    const lens = await this.#shared.lens;
    const { image } = await lens.render(query, result.maps[index], {
      width: Math.max(1, size.width),
      height: Math.max(1, size.height),
      colormap: this.getAttribute("colormap") ?? undefined,
    });
    if (this.#result !== result || this.#shown !== index) return;
    const { map, photo } = this.#parts;
    map.width = image.width;
    map.height = image.height;
    map.getContext("2d")?.putImageData(image, 0, 0);
    map.hidden = false;
    const { name } = result.classes[index];
    const where = FamLens.words.where(name, result.maps[index].peak ?? null, result.query);
    photo.alt = [this.getAttribute("alt"), where].filter(Boolean).join(". ");
    this.#parts.live.textContent = `${this.#parts.verdict.textContent}. ${where}`;
  }

  /** @param {Explanation} result */
  #caption(result) {
    const { verdict, classes } = this.#parts;
    const best = result.classes[result.predicted];
    const others = result.classes.filter(one => one !== best).map(({ similarity }) => similarity);
    const lead = others.length > 0 ? best.similarity - Math.max(...others) : 0;
    verdict.textContent = FamLens.words.verdict(best.name, lead);
    classes.replaceChildren(
      ...result.classes.map(({ name, similarity }, at) => {
        const input = make("input", { type: "radio", name: "class", value: String(at) });
        input.checked = at === result.predicted;
        input.addEventListener("change", () => {
          this.shown = at;
        });
        const score = make("span", { class: "score", part: "score" }, similarity.toFixed(2));
        return make("label", { part: at === result.predicted ? "class best" : "class" }, input, name, score);
      }),
    );
  }

  /** Shows the photo itself; it does not wait for the model. */
  async #showPhoto() {
    const { query } = this;
    const { photo } = this.#parts;
    photo.loading = this.getAttribute("loading") === "lazy" ? "lazy" : "eager";
    if (this.#result === null) photo.alt = this.getAttribute("alt") ?? "";
    if (this.#object && this.#object.query !== query) {
      URL.revokeObjectURL(this.#object.url);
      this.#object = null;
    }
    if (query === null) return photo.removeAttribute("src");
    if (typeof query === "string" || query instanceof URL) {
      const { href } = new URL(query, document.baseURI);
      if (photo.src !== href) photo.src = href;
      return;
    }
    if (this.#object) return;
    const blob = query instanceof Blob ? query : await pictureOf(query).catch(() => null);
    if (!blob || this.query !== query || !this.isConnected) return;
    this.#object = { query, url: URL.createObjectURL(blob) };
    photo.src = this.#object.url;
  }

  /** @param {string} text */
  #say(text) {
    this.#parts.loading.textContent = text;
  }

  /** @param {FamLensState} state */
  #tell(state) {
    const { show, loading, fault, map, verdict, classes, figure } = this.#parts;
    show.hidden = state !== "waiting" || this.getAttribute("reveal") !== "interaction";
    loading.hidden = state !== "loading";
    fault.hidden = state !== "error";
    if (state === "loading") this.#say(FamLens.words.loading(null));
    if (state !== "ready") {
      this.#result = null;
      map.hidden = true;
      verdict.textContent = "";
      classes.hidden = true;
    }
    figure.setAttribute("aria-busy", String(state === "loading"));
    for (const one of STATES) {
      if (one === state) this.#internals?.states?.add(one);
      else this.#internals?.states?.delete(one);
    }
    if (this.#state === state) return;
    this.#state = state;
    this.#fire("famlens-state", state);
  }

  /** @param {Error} error */
  #fail(error) {
    const code = error instanceof LensError ? error.code : "";
    if (code === "crashed" || code === "disposed") {
      if (this.#shared) discard(this.#shared.lens);
      this.#leave();
    }
    this.#tell("error");
    this.#parts.message.textContent = error.message;
    this.#parts.retry.hidden = !["network", "crashed", "disposed"].includes(code);
    this.#fire("famlens-error", error);
  }

  /** @param {string} name @param {unknown} detail */
  #fire(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

/** An image that is no file, as one. @param {any} image @returns {Promise<Blob>} */
async function pictureOf(image) {
  const bitmap = await createImageBitmap(image);
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob();
}
