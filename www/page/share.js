// The panel "Share and keep": pictures, links and code of what is on screen, and projects.

import { byId, download, el } from "./dom.js";
import { pickFiles } from "./drop.js";
import { notify, report } from "./notices.js";
import { pngOf, svgOf } from "./picture.js";
import { collect, fromFile, restore, summary, toFile } from "./project.js";
import { isKept, setKept } from "./project-kept.js";
import { saveSite } from "./site.js";
import { on, state } from "./state.js";
import { view } from "./views.js";
import { PROJECT, SHARE } from "./words.js";

/** What a project's file is called. */
const FILE = "famlens-project.zip";

export function mountShare() {
  const panel = byId("share-panel", HTMLElement);
  const picture = [
    act("copy-picture", SHARE.copyPicture, copyPicture),
    act("save-picture", SHARE.savePng, () => savePicture("png")),
    act("save-svg", SHARE.saveSvg, () => savePicture("svg")),
    act("send-picture", SHARE.send, sendPicture),
  ];
  // Only some browsers can hand a file to other programs.
  picture[3].hidden = !navigator.canShare?.({ files: [new File(["x"], "x.png", { type: "image/png" })] });
  const link = [act("copy-link", SHARE.copyLink, copyLink), act("copy-code", SHARE.copyCode, copyCode)];
  const project = [
    act("save-project", SHARE.saveProject, saveProject),
    act("open-project", SHARE.openProject, async () => {
      const [file] = await pickFiles({ multiple: false, accept: ".zip,application/zip" });
      if (file) await openProject(file);
    }),
    act("save-page", SHARE.savePage, async () => download(await saveSite(), "famlens-page.zip"), SHARE.savePageSays),
  ];
  const keep = el("input", { type: "checkbox", role: "switch", id: "keep", "data-testid": "keep" });
  keep.addEventListener("change", () => {
    setKept(keep.checked);
    notify({ text: keep.checked ? PROJECT.keepsNow : PROJECT.keepsNoMore, topic: "keep" });
  });
  panel.append(
    el("div", { class: "share-acts" }, ...picture),
    el("div", { class: "share-acts" }, ...link),
    el("div", { class: "share-acts" }, ...project),
    el("label", { class: "tool switch" }, keep, SHARE.keep),
    el("p", { class: "fine" }, SHARE.keepSays),
  );
  const show = () => {
    const shown = view();
    const there = state.lens !== null && shown?.picture?.() != null;
    for (const button of picture) button.disabled = !there;
    link[0].disabled = !shown?.link;
    link[1].disabled = shown?.code?.() == null;
    keep.checked = isKept();
  };
  panel.addEventListener("toggle", show);
  on(["lens", "view", "took"], show);
}

/**
 * @param {string} id
 * @param {string} label
 * @param {() => unknown} run
 * @param {string} [title]
 */
const act = (id, label, run, title = "") => {
  const button = el("button", { type: "button", class: "button", "data-testid": id, title: title || null }, label);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await run();
    } catch (error) {
      report(error);
    } finally {
      button.disabled = false;
    }
  });
  return button;
};

/** @returns {import("./picture.js").Shown} */
function shownNow() {
  const shown = view()?.picture?.();
  if (!shown) throw new Error(SHARE.nothing);
  return shown;
}

async function copyPicture() {
  const png = pngOf(shownNow());
  // The promise is handed over, so that the click still counts when the picture is there.
  await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]).catch(() => {
    throw new Error(SHARE.noClipboard);
  });
  notify({ text: SHARE.copied, topic: "copied" });
}

/** Saves what is on screen. @param {"png" | "svg"} kind */
export async function savePicture(kind) {
  const shown = shownNow();
  const blob = kind === "png" ? await pngOf(shown) : (await svgOf(shown)).svg;
  download(blob, `${shown.name}.${kind}`);
}

async function sendPicture() {
  const shown = shownNow();
  const file = new File([await pngOf(shown)], `${shown.name}.png`, { type: "image/png" });
  await navigator.share({ files: [file], title: shown.title }).catch(error => {
    if (error.name !== "AbortError") throw error;
  });
}

/** @param {string} text */
async function copy(text) {
  await navigator.clipboard.writeText(text).catch(() => {
    throw new Error(SHARE.noClipboard);
  });
  notify({ text: SHARE.copied, topic: "copied" });
}

async function copyLink() {
  const values = view()?.link?.();
  if (!values) return;
  const here = new URL(location.href);
  here.hash = `${state.view}?${values}`;
  await copy(here.href);
  if (!values.has("example")) notify({ text: SHARE.linkOwn, topic: "link" });
}

async function copyCode() {
  const code = view()?.code?.();
  if (code) await copy(`# ${SHARE.copyCode}\n${code.shell}\n\n// famlens.js\n${code.script}\n`);
}

async function saveProject() {
  download(await toFile(await collect()), FILE);
  notify({ text: PROJECT.saved });
}

/** Puts a project in place of what there is, with a way back. @param {Blob} file */
export async function openProject(file) {
  const project = await fromFile(file);
  const before = await collect();
  await restore(project);
  const undo = { label: "Undo", run: () => void restore(before).catch(report) };
  notify({ text: PROJECT.opened(summary(project)), action: undo });
}

/** Whether a file that was dropped may be a project. @param {File} file */
export const mayBeProject = file => /\.zip$/i.test(file.name);
