// What this browser keeps of famlens, in words, and one button that deletes all of it: a part of the About panel.

import { forgetEverything, stored } from "../famlens.js";
import { el } from "./dom.js";
import { nothingKept } from "./model/models.js";
import { sentence } from "./notices.js";
import { forgetFiles, keptFiles } from "./offline.js";
import { forgetKept, keptCount } from "./project-kept.js";
import { forgetSettings } from "./settings.js";
import { KEEPING, OFFLINE } from "./words.js";

/** @import { Stored } from "../famlens.js" */

/** What there is of each kind. @type {Record<Stored["kind"], [string, string]>} */
const NAMES = {
  models: ["model", "models"],
  embeddings: ["embedding", "embeddings"],
  statistics: ["set of statistics", "sets of statistics"],
  settings: ["setting", "settings"],
};

export function keeping() {
  const list = el("ul", { class: "keeping", "data-testid": "stored" });
  const forget = el(
    "button",
    { type: "button", class: "button", "data-testid": "forget-everything", onclick: () => void forgetAll() },
    "Delete all of it",
  );
  // Here, since the page's messages lie behind the panel.
  const says = el("p", { class: "says", role: "status", "data-testid": "forget-says" });
  const inWords = (/** @type {unknown} */ error) => sentence(error instanceof Error ? error.message : String(error));
  const element = el(
    "section",
    { "aria-labelledby": "keeping-title" },
    el("h3", { id: "keeping-title" }, "What this browser keeps"),
    list,
    forget,
    says,
  );

  /** Asks the browser again. */
  async function ask() {
    const kinds = await stored().catch(error => {
      says.textContent = inWords(error);
      return null;
    });
    if (!kinds) return;
    const [files, work] = await Promise.all([keptFiles(), keptCount()].map(one => one.catch(() => 0)));
    list.replaceChildren(...kinds.map(item), own(work), page(files));
    forget.disabled = files + work === 0 && kinds.every(({ count }) => count === 0);
  }

  async function forgetAll() {
    forget.disabled = true;
    try {
      await forgetEverything();
      await forgetFiles();
      await forgetKept();
      forgetSettings();
      nothingKept();
      says.textContent = "Deleted. What is on the page stays until you close it.";
    } catch (error) {
      says.textContent = inWords(error);
    }
    await ask();
  }

  /** Called whenever the panel opens. */
  function show() {
    says.textContent = "";
    void ask();
  }

  return { element, show };
}

/** @param {number} files of the user's own work */
const own = files =>
  el(
    "li",
    { "data-kind": "work", "data-count": files },
    el("strong", {}, files === 0 ? "No work:" : "Your work:"),
    ` ${KEEPING.work}`,
  );

/** @param {number} files of the page itself */
const page = files =>
  el(
    "li",
    { "data-kind": "page", "data-count": files },
    el("strong", {}, `${files === 0 ? "No" : files} ${files === 1 ? "file" : "files"}:`),
    ` ${OFFLINE.kept}`,
  );

/** @param {Stored} one */
function item({ kind, says, count, error }) {
  const [single, many] = NAMES[kind];
  const title = count === null ? many : `${count === 0 ? "No" : count} ${count === 1 ? single : many}`;
  return el("li", { "data-kind": kind, "data-count": count }, el("strong", {}, `${title}:`), ` ${error ?? says}`);
}
