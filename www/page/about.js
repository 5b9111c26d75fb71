// The About panel: what this is, the model, whose photos these are.

import { byId, el, icon } from "./dom.js";
import { keeping } from "./keeping.js";
import { examples, smallOf } from "./photo.js";
import { on, state } from "./state.js";
import { ABOUT } from "./words.js";

const LINKS = {
  paper: "https://arxiv.org/abs/2307.05017",
  source: "https://github.com/famlens/famlens",
  docs: "https://docs.rs/famlens",
};

export async function mountAbout() {
  const attributions = (await examples())?.attributions ?? [];
  const dialog = byId("about", HTMLDialogElement);
  const model = el("p", {});
  const kept = keeping();
  dialog.append(
    el(
      "div",
      { class: "about-body" },
      el(
        "header",
        {},
        el("h2", { id: "about-title" }, "About famlens"),
        el(
          "button",
          { type: "button", class: "round", "aria-label": "Close", autofocus: true, onclick: () => dialog.close() },
          icon("close"),
        ),
      ),
      el("p", {}, ABOUT.what),
      el("p", {}, ABOUT.map),
      el(
        "p",
        { class: "about-links" },
        ...Object.entries(LINKS).map(([name, address]) =>
          linkOrText(address, ABOUT[/** @type {keyof typeof LINKS} */ (name)]),
        ),
      ),
      el("h3", {}, "Your images"),
      el("p", {}, ABOUT.images),
      kept.element,
      el("h3", {}, "Model"),
      model,
      el("h3", {}, "Example photos"),
      el(
        "ul",
        { class: "credits" },
        ...attributions.map(({ file, title, author, licence, source, changes }) =>
          el(
            "li",
            {},
            el("img", { src: smallOf(file), alt: "", width: "48", height: "48", loading: "lazy" }),
            el("span", {}, linkOrText(source, title), ` by ${author}, ${licence}${changes ? ` (${changes})` : ""}`),
          ),
        ),
      ),
      el("h3", {}, "Licence"),
      el("p", {}, ABOUT.licence),
    ),
  );
  byId("about-button", HTMLButtonElement).addEventListener("click", () => {
    dialog.showModal();
    kept.show();
  });
  dialog.addEventListener("click", event => {
    if (event.target === dialog) dialog.close();
  });
  on(["lens"], () => {
    const info = state.lens?.info.model;
    model.textContent = info
      ? `${info.name}, ${(info.parameters / 1e6).toFixed(1)} million parameters, input ${info.inputWidth} x ` +
        `${info.inputHeight} pixels, map from the layer "${info.target}". Licence: ${info.licence}.`
      : "Not loaded yet.";
  });
}

/** @param {string} source @param {string} title */
function linkOrText(source, title) {
  return /^https?:/.test(source) ? el("a", { href: source, target: "_blank", rel: "noreferrer" }, title) : title;
}
