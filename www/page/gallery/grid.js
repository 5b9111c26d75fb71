// The photos of a gallery as tiles: all of them, those found for a query with their similarity, or groups of
// near-duplicates.

import { el } from "../dom.js";
import { smallAt } from "../photo.js";
import { drawThumb } from "../thumb.js";

/**
 * @import { Gallery, GalleryHit, GalleryItem } from "../../famlens.js"
 * @import { Context } from "../context.js"
 * @import { Photo } from "../state.js"
 *
 * @typedef {{item: GalleryItem, index: number, hit?: GalleryHit, rank?: number, group?: number}} Tile
 */

/** How many tiles are made at once; more come when the last ones scroll into sight. */
const STEP = 60;
/** How many of the first hits show their map. */
const MAPS = 12;

/** For those who do not see where it stands. @param {string} text */
const unseen = text => el("span", { class: "unseen" }, text);

/**
 * @param {{context: Context, ask: (photo: Photo) => void, gallery: () => Gallery | null, query: () => Photo | null}}
 *   how
 */
export function mountGrid({ context, ask, gallery, query }) {
  const list = el("ol", { class: "tiles", "data-testid": "gallery-grid" });
  const end = el("div", { class: "tiles-end", "aria-hidden": "true" });
  const maps = el("input", { type: "checkbox", role: "switch", checked: true, "data-testid": "gallery-maps" });
  const toggle = el("label", { class: "tool switch gallery-toggle", hidden: true }, maps, "Maps on the first hits");
  const element = el("div", { class: "gallery-grid" }, toggle, list, end);
  /** @type {Tile[]} */
  let tiles = [];
  let made = 0;
  /** @type {(hit: GalleryHit) => void} */
  let point = () => {};
  /** @type {AbortController | null} */
  let drawing = null;
  /** Addresses of photos that are, or were, on screen. @type {Map<Blob, string>} */
  const addresses = new Map();

  /** @param {GalleryItem} item */
  function photoOf(item) {
    const { source, name } = item;
    if (typeof source === "string") {
      return { key: item.content, name, source, src: source, small: smallAt(source), example: name, size: null };
    }
    if (!(source instanceof Blob)) return null;
    let src = addresses.get(source);
    if (!src) addresses.set(source, (src = URL.createObjectURL(source)));
    return { key: item.content, name, source, src, small: src, example: null, size: null };
  }

  /** @param {Tile} tile */
  function make({ item, index, hit, rank, group }) {
    const photo = photoOf(item);
    const short = item.name.split("/").pop() ?? item.name;
    const overlay = el("canvas", { class: "thumb-map", "aria-hidden": "true", hidden: true });
    const picture = photo
      ? el(
          "span",
          { class: "thumb" },
          el("img", { src: photo.small, alt: "", loading: "lazy", decoding: "async", draggable: "false" }),
          overlay,
        )
      : el("span", { class: "thumb missing" }, "embedding only");
    /** @type {import("../../famlens.js").GalleryHit["duplicate"]} */
    const duplicate = hit?.duplicate ?? null;
    const mark =
      duplicate === null
        ? ""
        : duplicate.of === "hit"
          ? `as ${duplicate.rank + 1}`
          : duplicate.of === "query"
            ? "near-duplicate"
            : "same file";
    const button = el(
      "button",
      {
        type: "button",
        class: "tile",
        title: item.name,
        "data-testid": "gallery-tile",
        "data-name": item.name,
        "data-index": index,
        "data-similarity": hit?.similarity,
        "data-duplicate": mark || null,
      },
      picture,
      hit &&
        el(
          "span",
          { class: "tile-score" },
          unseen(`Rank ${/** @type {number} */ (rank) + 1}, similarity `),
          hit.similarity.toFixed(3),
        ),
      mark && el("span", { class: "tile-mark" }, duplicate?.of === "hit" && unseen("Near-duplicate, "), mark),
      el("span", { class: "tile-name" }, short),
    );
    button.addEventListener("click", () => {
      if (photo) ask(photo);
      else
        context.notify({ text: `${short} is here as an embedding only. Add the photo to look for what is like it.` });
    });
    if (hit)
      for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => later(() => point(hit)));
    return { row: el("li", { class: group !== undefined ? `group-${group % 2}` : "" }, button), overlay };
  }

  // A pointer that only passes asks for nothing.
  let timer = 0;
  /** @param {() => void} run */
  function later(run) {
    clearTimeout(timer);
    timer = setTimeout(run, 160);
  }
  list.addEventListener("pointerleave", () => clearTimeout(timer));

  /** @type {{overlay: HTMLCanvasElement, tile: Tile}[]} */
  let mapped = [];

  function more() {
    const next = tiles.slice(made, made + STEP);
    made += next.length;
    for (const tile of next) {
      const { row, overlay } = make(tile);
      list.append(row);
      if (tile.hit && /** @type {number} */ (tile.rank) < MAPS && tile.item.source) mapped.push({ overlay, tile });
    }
    end.hidden = made >= tiles.length;
  }

  /** @param {Tile[]} all */
  function show(all) {
    // What is shown already stays as it is while photos are added behind it.
    const grows =
      tiles.length > 0 &&
      all.length >= tiles.length &&
      tiles.every(
        (tile, at) => !tile.hit && !all[at].hit && tile.item === all[at].item && tile.group === all[at].group,
      );
    tiles = all;
    if (grows) {
      if (made < STEP) more();
      end.hidden = made >= tiles.length;
      return;
    }
    drawing?.abort();
    mapped = [];
    made = 0;
    list.replaceChildren();
    more();
    void drawMaps();
  }

  async function drawMaps() {
    drawing?.abort();
    drawing = new AbortController();
    const { signal } = drawing;
    const asked = query();
    toggle.hidden = mapped.length === 0;
    if (!maps.checked) for (const { overlay } of mapped) overlay.hidden = true;
    if (!maps.checked || !asked) return;
    try {
      for (const { overlay, tile } of mapped) {
        const found = await gallery()?.explain(asked.source, tile.index, { signal });
        if (signal.aborted || !found || !tile.item.source) return;
        overlay.style.setProperty("--map-opacity", String(context.look().opacity));
        await drawThumb(overlay, tile.item.source, found.b.map, signal);
      }
    } catch (error) {
      if (!signal.aborted) context.trouble(error);
    }
  }

  maps.addEventListener("change", () => void drawMaps());
  new IntersectionObserver(
    entries => {
      if (entries.some(entry => entry.isIntersecting) && made < tiles.length) more();
    },
    { rootMargin: "600px" },
  ).observe(end);

  return {
    element,
    list,
    /** Frees the addresses of a gallery's photos once it is gone. */
    letGo() {
      for (const address of addresses.values()) URL.revokeObjectURL(address);
      addresses.clear();
    },
    redraw: () => void drawMaps(),
    /** @param {GalleryItem[]} items */
    showAll: items => show(items.map((item, index) => ({ item, index }))),
    /** @param {GalleryHit[]} hits @param {(hit: GalleryHit) => void} onPoint called with the hit that is pointed at */
    showHits(hits, onPoint) {
      point = onPoint;
      show(hits.map((hit, rank) => ({ item: hit.item, index: hit.index, hit, rank })));
    },
    /** @param {number[][]} groups */
    showGroups(groups) {
      const items = gallery()?.items ?? [];
      show(groups.flatMap((group, at) => group.map(index => ({ item: items[index], index, group: at }))));
    },
  };
}
