// The About panel: what this is, the model, whose photos these are.

import { byId, el, icon } from "./dom.js";
import { keeping } from "./keeping.js";
import { examples, smallOf } from "./photo.js";
import { on, state } from "./state.js";

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
      el(
        "p",
        {},
        "A model without a classifier can still sort photos: it turns each into a list of numbers, and a photo " +
          "belongs to the class whose examples have the most similar list. famlens shows which parts of the photo " +
          "made them similar.",
      ),
      el(
        "p",
        {},
        "The map is a Feature Activation Map (",
        linkOrText("https://arxiv.org/abs/2307.05017", "FAM, arXiv 2307.05017"),
        "): each channel of the network's last layer is " +
          "weighted by what it adds to the similarity, and the weighted channels are laid over the photo.",
      ),
      el("h3", {}, "Your images"),
      el(
        "p",
        {},
        "Program and model come from the server that this page came from. Everything is computed in this browser. " +
          "No photo leaves this machine. None is kept after the page is closed, unless you choose to keep your work.",
      ),
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
      el("p", {}, "famlens is free software under MIT or Apache-2.0, at your choice."),
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
