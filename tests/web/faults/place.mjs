// Where faults are made: an empty page beside the built one, with what the parts need in common.

import { launch } from "../harness/browser.mjs";
import { SUB_PATH, open, serveDist } from "../harness/page.mjs";

export const MODULE = `${SUB_PATH}www/famlens.js`;
export const PHOTOS = ["kingfisher", "owl", "goldfish", "clownfish", "duck", "sheep", "horses", "cow"].map(
  name => `${SUB_PATH}www/examples/${name}.jpg`,
);

/**
 * @param {"software" | "none"} webgpu
 * @returns an empty page that has `window.famlens` (the module) and `window.kit`, a server and a browser
 */
export async function place(webgpu) {
  const server = await serveDist();
  const browser = await launch(webgpu);
  const { page, errors } = await open(browser, `${server.origin}/fixtures/blank.html`);
  await page.evaluate(prepare, { module: MODULE, photos: PHOTOS });
  const close = async () => {
    await browser.close();
    await server.close();
  };
  return { server, browser, page, errors, close };
}

/** In the page: the module, and photos of which there are as many as one likes. */
async function prepare({ module, photos }) {
  const famlens = await import(module);
  const bytes = await Promise.all(photos.map(async url => new Uint8Array(await (await fetch(url)).arrayBuffer())));
  let made = 0;
  /** A photo with a content of its own: the same picture with another comment in its file. */
  const photo = (which = made) => {
    made += 1;
    const text = new TextEncoder().encode(`photo ${made} ${Math.random()}`);
    const length = text.length + 2;
    const comment = new Uint8Array([0xff, 0xfe, length >> 8, length & 255, ...text]);
    const jpeg = bytes[which % bytes.length];
    return new File([jpeg.subarray(0, 2), comment, jpeg.subarray(2)], `photo ${made}.jpg`, { type: "image/jpeg" });
  };
  const classes = [
    { name: "bird", supports: [photos[1], photos[4]] },
    { name: "fish", supports: [photos[2], photos[3]] },
  ];
  Object.assign(window, { famlens, kit: { photo, classes, photos, bytes } });
}

/** Numbers by `--name value` on the command line, over those that are given. */
export function numbers(defaults) {
  const found = { ...defaults };
  for (let at = 2; at < process.argv.length; at += 2) {
    const name = process.argv[at].replace(/^--/, "");
    if (!(name in defaults)) throw new Error(`there is no --${name}; there are ${Object.keys(defaults)}`);
    const value = process.argv[at + 1];
    found[name] = typeof defaults[name] === "number" ? Number(value) : value;
  }
  return found;
}

/** Whether this file was started by itself, and not imported by a suite. */
export const isProgram = url => process.argv[1] === new URL(url).pathname;
