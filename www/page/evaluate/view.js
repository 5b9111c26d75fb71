// Evaluate: how well maps point and classes are told apart, on the user's own photos with boxes.

import { readBoxes } from "../../famlens.js";
import { download, el, icon } from "../dom.js";
import { byPath } from "../drop.js";
import { mountEditor } from "./editor.js";
import { add, all, boxesAsText, choose, current, groups, onItems, putAll, remove, replace, setBoxes } from "./items.js";
import { mountRun } from "./run.js";

/**
 * @import { Context, View } from "../context.js"
 * @import { Folder } from "../drop.js"
 * @import { Box, Item } from "./items.js"
 */

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @returns {View}
 */
export function mount(container, context) {
  const list = el("div", { class: "eval-list", "data-testid": "evaluate-photos" });
  const empty = el(
    "div",
    { class: "eval-empty" },
    el("p", { class: "big" }, "Do the maps point at the object?"),
    el(
      "p",
      {},
      "Drop a folder here: its sub-folders are the classes. The boxes around the objects come along as Pascal VOC, " +
        "COCO, CUB-200-2011 or a table, or you draw them here.",
    ),
    el(
      "button",
      { type: "button", class: "button", onclick: () => void addExamples() },
      "Try it with the photos that come with the page",
    ),
  );
  const draw = el("div", { class: "draw", "aria-label": "Boxes of the photo", role: "group" });
  const editor = mountEditor(draw);
  const results = el("div", { class: "eval-results", hidden: true });
  const side = el("aside", { class: "eval-side", "aria-label": "Evaluation" });
  const boxesName = el("p", { class: "file-name" });
  const modes = el("div", { class: "segments small", role: "group", "aria-label": "What is shown" });
  const tools = el(
    "div",
    { class: "eval-tools" },
    el(
      "button",
      { type: "button", class: "button", id: "evaluate-add-box", onclick: () => editor.addBox() },
      icon("plus"),
      "Add box",
    ),
    el(
      "button",
      {
        type: "button",
        class: "button",
        "data-testid": "evaluate-save-boxes",
        onclick: () => download(new Blob([boxesAsText()]), "boxes.tsv"),
      },
      "Save boxes",
    ),
    el("p", { class: "fine" }, "Drag over the photo to draw a box; drag a box or its corners to change it."),
  );
  container.classList.add("evaluate");
  container.append(
    el(
      "section",
      { class: "eval-left", "aria-labelledby": "evaluate-photos-title" },
      el(
        "div",
        { class: "eval-head" },
        el("h2", { id: "evaluate-photos-title" }, "Photos"),
        el(
          "button",
          { type: "button", class: "button quiet", onclick: () => replace([], "All photos and their boxes cleared.") },
          "Clear",
        ),
      ),
      list,
      el(
        "div",
        { class: "class-adds" },
        el(
          "button",
          {
            type: "button",
            class: "button",
            "data-testid": "evaluate-folder",
            onclick: async () => addFolders(byPath(await context.pickFiles({ folder: true }))),
          },
          "From folder",
        ),
        el(
          "button",
          { type: "button", class: "button", "data-testid": "evaluate-examples", onclick: () => void addExamples() },
          "The example photos",
        ),
      ),
    ),
    el(
      "section",
      { class: "eval-middle", "aria-label": "Boxes and results" },
      el("div", { class: "eval-head" }, modes, boxesName),
      empty,
      draw,
      tools,
      results,
    ),
    side,
  );

  let mode = "boxes";
  /** @param {string} next */
  const show = next => {
    mode = next;
    results.hidden = mode !== "results";
    boxesName.hidden = mode !== "boxes";
    empty.hidden = mode !== "boxes" || all().length > 0;
    tools.hidden = draw.hidden = mode !== "boxes" || current() === null;
    for (const button of modes.children)
      button.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (button).dataset.mode === mode));
  };
  for (const [id, label] of [
    ["boxes", "Boxes"],
    ["results", "Results"],
  ])
    modes.append(
      el(
        "button",
        { type: "button", "data-mode": id, "data-testid": `evaluate-${id}`, onclick: () => show(id) },
        label,
      ),
    );
  mountRun(side, results, context, () => show("results"));

  /** @type {Map<Item, HTMLElement>} */
  const thumbs = new Map();
  onItems(() => {
    boxesName.textContent = current()?.photo.name ?? "";
    for (const [item, element] of thumbs) {
      if (all().includes(item)) continue;
      element.remove();
      thumbs.delete(item);
    }
    list.replaceChildren(
      ...[...groups()].map(([name, items]) =>
        el(
          "section",
          { class: "card eval-group" },
          el(
            "h3",
            {},
            name,
            el(
              "span",
              { class: "fine" },
              ` ${items.filter(({ boxes }) => boxes.length > 0).length} of ${items.length} with boxes`,
            ),
          ),
          el("ul", { class: "eval-thumbs" }, ...items.map(thumb)),
        ),
      ),
    );
    show(mode);
  });

  /** @param {Item} item */
  function thumb(item) {
    const element = thumbs.get(item) ?? make(item);
    thumbs.set(item, element);
    const button = /** @type {HTMLElement} */ (element.firstElementChild);
    const { length } = item.boxes;
    button.setAttribute("aria-pressed", String(item === current()));
    button.setAttribute(
      "aria-label",
      `${item.photo.name}, ${length === 0 ? "no box" : length === 1 ? "1 box" : `${length} boxes`}`,
    );
    button.dataset.boxes = String(length);
    return element;
  }

  /** @param {Item} item */
  function make(item) {
    const image = el("img", { src: item.photo.small, alt: "", loading: "lazy", decoding: "async" });
    const button = el(
      "button",
      {
        type: "button",
        class: "eval-thumb",
        "data-testid": "evaluate-photo",
        title: item.photo.name,
        onclick() {
          choose(item);
          show("boxes");
        },
      },
      image,
    );
    return el(
      "li",
      {},
      button,
      el(
        "button",
        {
          type: "button",
          class: "remove",
          tabindex: "-1",
          "aria-label": `Remove ${item.photo.name}`,
          onclick: () => remove(item),
        },
        icon("close"),
      ),
    );
  }

  /**
   * @param {Folder[]} folders
   * @param {File[]} [lists] files with boxes
   */
  async function addFolders(folders, lists = []) {
    const full = folders.filter(({ files }) => files.length > 0);
    if (full.length > 0)
      add(
        full.flatMap(({ name, files }) =>
          files.map(file => ({ photo: context.photoOf(file), path: `${name}/${file.name}`, group: name, boxes: [] })),
        ),
      );
    else if (folders.length > 0 && lists.length === 0)
      context.notify({ kind: "error", text: `There are no images in ${folders[0].name}.` });
    if (lists.length > 0) await readLists(lists);
  }

  /** @param {File[]} lists */
  async function readLists(lists) {
    const { lens } = context;
    if (!lens || all().length === 0)
      return context.notify({ kind: "error", text: "Add the photos first, then the files with their boxes." });
    try {
      const items = all();
      const { photos } = await readBoxes(
        lens,
        lists,
        items.map(({ path }) => path),
      );
      let count = 0;
      for (const [at, found] of photos.entries()) {
        const item = items[at];
        const counting = (found?.objects ?? []).filter(({ difficult }) => !difficult);
        if (counting.length === 0) continue;
        const own = counting.filter(({ label }) => label === item.group);
        const { width, height } = await lens.open(item.photo.source, { name: item.photo.name });
        // The list may be of the photo in another size.
        const [w, h] = found?.size ?? [width, height];
        const boxes = (own.length > 0 ? own : counting).map(
          ({ box: [x0, y0, x1, y1] }) =>
            /** @type {Box} */ ([(x0 * width) / w, (y0 * height) / h, (x1 * width) / w, (y1 * height) / h]),
        );
        count += 1;
        setBoxes(item, boxes);
      }
      context.notify({ text: `Boxes for ${count} of ${all().length} photos.` });
    } catch (error) {
      context.report(error);
    }
  }

  async function addExamples() {
    const found = await context.examples();
    if (!found)
      return context.notify({
        kind: "error",
        text: "The example photos could not be loaded. Your own photos still work.",
      });
    const items = found.sets[0].classes.flatMap(({ name, supports }) =>
      supports.map(file => ({
        photo: context.examplePhoto(file),
        path: `${name}/${file}`,
        group: name,
        boxes: found.boxes[file] ? [found.boxes[file]] : [],
      })),
    );
    replace(items, "The example photos in place of yours.");
  }

  return {
    save: keep =>
      all().length === 0
        ? null
        : {
            items: all().map(({ photo, path, group, boxes }) => ({ photo: keep.photo(photo), path, group, boxes })),
          },
    restore(saved, found) {
      const items = /** @type {any[]} */ (saved.items);
      putAll(items.map(item => ({ ...item, photo: found.photo(item.photo) })).filter(({ photo }) => photo !== null));
    },
    onChange: onItems,
    taker: {
      rest: true,
      where: () => ({ element: container, label: "Add photos and their boxes" }),
      take: ({ files, folders, rest }) =>
        void addFolders(
          files.length > 0 ? [...folders, { name: "Photos", files }] : folders,
          rest.filter(({ name }) => /\.(xml|json|tsv|csv|txt)$/i.test(name)),
        ),
    },
  };
}
