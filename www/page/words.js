// The page's sentences, room by room, so that one person can read them in a row. Names of choices and what they mean
// come from the library's catalogue (src/explain/catalogue.rs).

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** Under the bar: what each room is for. @type {Record<string, string>} */
export const INTRO = {
  "few-shot": "See which parts of a photo make a model choose one class and not another.",
  pair: "See which parts of two photos make a model find them alike.",
  gallery: "Find the photos most like one of yours, and see why.",
  evaluate: "Measure how well the maps find things, on photos with boxes.",
};

export const OFFLINE = {
  update: "A new version of this page is ready.",
  reload: "Reload",
  kept: "The page itself, so that it opens without a network.",
};

export const KEEPING = {
  work: "Classes, photos, boxes and settings, if you chose to keep your work here.",
};

export const PROJECT = {
  wrong: "This is not a famlens project.",
  otherModel: "The project's own model could not be used.",
  noModel: "Its file is missing from the project.",
  opened: (/** @type {string} */ what) => `Project opened: ${what}.`,
  saved: "Project saved. Drop the file here to get it back.",
  keepsNow: "Your work stays in this browser from now on.",
  keepsNoMore: "Your work is kept no more.",
};

export const SHARE = {
  title: "Share and keep",
  speaksFor: (/** @type {string} */ name) => `what speaks for ${name}`,
  copyPicture: "Copy picture",
  savePng: "Save picture (PNG)",
  saveSvg: "Save picture (SVG)",
  send: "Send picture",
  copyLink: "Copy link",
  copyCode: "Copy as code",
  saveProject: "Save project",
  openProject: "Open project",
  keep: "Keep my work in this browser",
  keepSays: "Photos stay on this machine. Nothing is sent.",
  savePage: "Save as a page",
  savePageSays: "A folder to put on any web server. It opens with what you see now.",
  linkOwn: "Your own photos are not in a link. Save the project to share them.",
  copied: "Copied.",
  nothing: "There is no picture yet.",
  noClipboard: "The browser did not let the page copy. Save it instead.",
  cannotSavePage: "The page could not be saved. Check the connection and try again.",
};

export const STATISTICS = {
  usual: (/** @type {number} */ images) => `Compared with ${images} everyday photos.`,
  own: (/** @type {number} */ images, /** @type {string} */ folder) => `Compared with ${images} photos of ${folder}.`,
  adapt: "Use yours instead",
  back: "Use the everyday photos again",
};

export const ABOUT = {
  what:
    "A model without a classifier can still sort photos. It turns each photo into a list of numbers. A photo " +
    "belongs to the class whose examples have the most similar list. famlens shows which parts of the photo made " +
    "them similar.",
  map:
    "The map is a Feature Activation Map (FAM). Each channel of the network's last layer counts by what it adds to " +
    "the similarity. The weighted channels are laid over the photo.",
  images:
    "Program and model come from the server that this page came from. Everything is computed in this browser. " +
    "No photo leaves this machine. None is kept after the page is closed, unless you choose to keep your work.",
  paper: "The paper",
  source: "Source code",
  docs: "Documentation",
  licence: "famlens is free software under MIT or Apache-2.0, at your choice.",
};

export const SHEETS = {
  title: "More",
  classes: "Classes",
  result: "Decision",
  tools: "Look",
  close: (/** @type {string} */ what) => `Close ${what}`,
};

export const FEW_SHOT = {
  take: "Take a photo",
  dropHere: "Drop a photo here",
  orPaste: "or paste one, or choose a file. Folders dropped anywhere become classes.",
  chooseOne: "Take a photo, or choose one",
  early: "Made in advance. The model is still loading.",
  published: "FAM, as published",
  compare: "Compare with FAM as published",
  later: "The scores come with the model.",
  only: "The only class.",
  own: "Own scale",
  ownSays: "Let the colours of each class's map run from its own least to its own greatest value",
  least: "least here",
  most: "most here",
  /** @param {string} share @param {string} name */
  silent: (share, name) =>
    `Another ${share} comes from channels that are silent here, as they are in the photos of ${name}.`,
  cover: {
    open: "Cover a part",
    says: "Paint over a part of the photo. You see how the scores move, and what the map said they would do.",
    with: "Cover with",
    grey: "Grey",
    blur: "Blur",
    /** @param {string} name */
    photo: name => `A photo of ${name}`,
    clear: "Uncover",
    close: "Done",
    /** @param {string} headline @param {string} says */
    now: (headline, says) => `Covered like this: ${headline}. ${says}`,
    working: "Asking the model …",
  },
};
