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
  ready: "famlens now opens without a network too.",
  update: "A new version of this page is ready.",
  reload: "Reload",
  kept: "The page itself, so that it opens without a network.",
};

export const FEW_SHOT = {
  early: "Made in advance. The model is still loading.",
  published: "FAM, as published",
  compare: "Compare with FAM as published",
  later: "The scores come with the model.",
};
