// The photo that is looked for, with what in it makes it like the hit that is pointed at, and the hit with the same.

import { el, paint } from "../dom.js";
import { stem } from "../picture.js";

/**
 * @import { Gallery, GalleryHit } from "../../famlens.js"
 * @import { ImageLike, LensMap } from "../../famlens.js"
 * @import { Context } from "../context.js"
 * @import { Photo } from "../state.js"
 */

const LONGEST = 480;

/**
 * @param {{context: Context, ask: (photo: Photo, brought?: boolean) => void, unask: () => void, gallery: () => Gallery
 *   | null}} how
 */
export function mountQuery({ context, ask, unask, gallery }) {
  const picture = (/** @type {string} */ label, /** @type {string} */ id) => {
    const image = el("img", { alt: label });
    const overlay = el("canvas", { class: "pair-map", hidden: true, "data-testid": `${id}-map` });
    const frame = el("div", { class: "pair-frame" }, image, overlay);
    image.addEventListener("load", () => {
      if (image.naturalWidth > 0) frame.style.setProperty("--ratio", String(image.naturalWidth / image.naturalHeight));
    });
    const name = el("p", { class: "file-name" });
    return {
      image,
      overlay,
      frame,
      name,
      box: el(
        "figure",
        { class: "gallery-photo", "data-testid": id },
        frame,
        el("figcaption", {}, el("strong", {}, label), name),
      ),
    };
  };
  const query = picture("Query", "gallery-query");
  const hit = picture("Hit", "gallery-hit");
  const says = el("p", { class: "says", "data-testid": "gallery-says" });
  const none = el(
    "div",
    { class: "gallery-none" },
    el("p", {}, "Choose a photo of the gallery, or another one, to rank all photos by how alike the model finds them."),
  );
  const choose = el(
    "button",
    {
      type: "button",
      class: "button",
      "data-testid": "gallery-choose",
      onclick: async () => {
        const [file] = await context.pickFiles({ multiple: false });
        if (file) ask(context.photoOf(file), true);
      },
    },
    "Choose a photo",
  );
  const all = el(
    "button",
    { type: "button", class: "button quiet", "data-testid": "gallery-all", onclick: unask },
    "Show all",
  );
  const element = el(
    "aside",
    { class: "gallery-query card", "aria-label": "Query" },
    none,
    query.box,
    hit.box,
    says,
    el("div", { class: "gallery-query-buttons" }, choose, all),
  );
  /** @type {AbortController | null} */
  let asking = null;
  /** @type {[Photo | null, GalleryHit | null]} */
  let shown = [null, null];
  let address = "";
  /**
   * What the picture of it is made of, once it is there.
   * @type {{hit: ImageLike, maps: LensMap[], sizes: {width: number, height: number}[]} | null}
   */
  let drawn = null;

  /**
   * @param {{overlay: HTMLCanvasElement}} one
   * @param {ImageLike} source
   * @param {LensMap} map
   * @param {AbortSignal} signal
   */
  async function draw({ overlay }, source, map, signal) {
    const { lens } = context;
    if (!lens) return;
    const { width, height } = await lens.open(source);
    const { opacity, ...look } = context.look();
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    const drawn = await lens.render(source, map, {
      width: Math.max(1, Math.round(width * scale)),
      height: Math.max(1, Math.round(height * scale)),
      ...look,
      signal,
    });
    if (signal.aborted) return;
    paint(overlay, drawn.image);
    overlay.style.opacity = String(opacity);
    overlay.hidden = false;
  }

  /** @param {Photo | null} photo @param {GalleryHit | null} found */
  async function show(photo, found) {
    asking?.abort();
    drawn = null;
    shown = [photo, found];
    none.hidden = photo !== null;
    query.box.hidden = all.hidden = photo === null;
    hit.box.hidden = found === null;
    says.textContent = "";
    query.overlay.hidden = hit.overlay.hidden = true;
    // Each showing has an address of its own for the hit.
    if (address) URL.revokeObjectURL(address);
    address = "";
    if (!photo) return;
    if (query.image.src !== photo.src) query.image.src = photo.src;
    query.name.textContent = photo.name;
    if (!found) return;
    const { source } = found.item;
    hit.name.textContent = found.item.name;
    hit.frame.hidden = source === null;
    if (source === null) {
      says.textContent =
        `Cosine ${found.similarity.toFixed(3)}. Its photo is not here, only its embedding; add it ` +
        `to see the maps.`;
      return;
    }
    if (source instanceof Blob) address = URL.createObjectURL(source);
    hit.image.src = typeof source === "string" ? source : address;
    asking = new AbortController();
    const { signal } = asking;
    try {
      const pair = await gallery()?.explain(photo.source, found.index, { signal });
      if (signal.aborted || !pair) return;
      says.textContent = `Cosine ${found.similarity.toFixed(3)}. Lit is what in each photo makes it like the other.`;
      await Promise.all([draw(query, photo.source, pair.a.map, signal), draw(hit, source, pair.b.map, signal)]);
      const { lens } = context;
      if (signal.aborted || !lens) return;
      const sizes = await Promise.all([lens.open(photo.source), lens.open(source)]);
      drawn = { hit: source, maps: [pair.a.map, pair.b.map], sizes };
    } catch (error) {
      if (!signal.aborted) context.trouble(error);
    }
  }

  /** @returns {import("../picture.js").Shown | null} */
  function pictured() {
    const [photo, found] = shown;
    if (!drawn || !photo || !found) return null;
    const says = `cosine ${found.similarity.toFixed(3)}`;
    const panels = [
      { src: photo.src, source: photo.source, size: drawn.sizes[0], map: drawn.maps[0], title: photo.name, says },
      { src: hit.image.src, source: drawn.hit, size: drawn.sizes[1], map: drawn.maps[1], title: found.item.name, says },
    ];
    const name = found.item.name.split("/").pop() ?? "";
    return { name: `${stem(photo.name)} and ${stem(name)}`, title: `${photo.name} and ${name}: ${says}`, panels };
  }

  return {
    element,
    picture: pictured,
    show: (/** @type {Photo | null} */ photo, /** @type {GalleryHit | null} */ found) => void show(photo, found),
    redraw: () => void show(...shown),
  };
}
