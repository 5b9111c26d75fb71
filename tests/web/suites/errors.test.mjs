// Whatever leaves famlens.js as an error is a LensError with a code and a sentence; only an aborted call gives its own
// reason back.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { place } from "../faults/place.mjs";

let at;
before(async () => {
  at = await place("none");
  await at.page.evaluate(async () => {
    const { famlens, kit } = window;
    window.lens = await famlens.createLens({ backend: "cpu" });
    window.gallery = await famlens.createGallery(window.lens, { workers: 0, keep: false });
    window.map = (await window.lens.explain({ query: kit.photo(), classes: kit.classes })).map;
    const canvas = (width, height) => Object.assign(document.createElement("canvas"), { width, height });
    const gone = await createImageBitmap(canvas(8, 8));
    gone.close();
    Object.assign(window, { empty: canvas(0, 0), gone, unreadable: new File([], "gone.jpg") });
    Object.defineProperty(window.unreadable, "arrayBuffer", {
      value: () => Promise.reject(new DOMException("It is gone.", "NotReadableError")),
    });
  });
});
after(() => at.close());

/** What is done in the page, and the code that it ends with. @type {[string, () => Promise<unknown>, string][]} */
const FAULTS = [
  ["a bare % in an address", () => lens.open("100%.jpg"), "network"],
  ["a bare % in the name of a photo that is missing", () => lens.open("no%zz.jpg"), "network"],
  ["no address at all", () => lens.open("http://["), "argument"],
  ["a scheme that cannot be fetched", () => lens.open("gopher://example/a.jpg"), "network"],
  ["null for an image", () => lens.open(null), "argument"],
  ["a number for an image", () => lens.embed(7), "argument"],
  ["an object for an image", () => lens.embed({ width: 3 }), "argument"],
  ["an empty canvas", () => lens.embed(empty), "image"],
  ["a closed bitmap", () => lens.embed(gone), "argument"],
  ["text for an image", () => lens.embed(new Blob(["text"])), "image"],
  ["a file without anything in it", () => lens.embed(new Blob([])), "image"],
  ["no classes", () => lens.explain({ query: kit.photo() }), "argument"],
  ["classes without supports", () => lens.explain({ query: kit.photo(), classes: [{ name: "a" }] }), "argument"],
  ["no request at all", () => lens.explain(), "engine"],
  ["no such layer", () => lens.embed(kit.photo(), { target: "none" }), "target"],
  ["no such form", () => lens.explain({ query: kit.photo(), classes: kit.classes, form: "none" }), "argument"],
  ["a function among the options", () => lens.embed(kit.photo(), { pooling: () => "gap" }), "argument"],
  ["an element among the options", () => lens.embed(kit.photo(), { pooling: document.body }), "argument"],
  ["a map of no size", () => lens.render(kit.photo(), { ...map, width: 0 }, { width: 9, height: 9 }), "argument"],
  ["a forgotten image", () => lens.embed({ id: 9999, name: "x", width: 1, height: 1 }), "argument"],
  ["a head that is no file", () => lens.loadHead("text"), "argument"],
  ["a head that is damaged", () => lens.loadHead(new Uint8Array([1, 2, 3])), "argument"],
  ["a matrix that is damaged", () => lens.loadMatrix(new Uint8Array([1, 2, 3])), "argument"],
  ["statistics that are damaged", () => lens.setStatistics(new Uint8Array([1, 2, 3])), "argument"],
  ["a file that can no longer be read", () => lens.loadHead(unreadable), "file"],
  ["too many images for a gallery", () => gallery.add(Array.from({ length: 10_001 }, () => "a.jpg")), "argument"],
  ["an import of no gallery", () => gallery.import({ npy: new Blob(["x"]), csv: new Blob(["x"]) }), "argument"],
  ["an image of a gallery that has none", () => gallery.explain(kit.photo(), 3), "argument"],
  ["boxes that cannot be read", () => famlens.readBoxes(lens, [{ name: "a.json", text: "{" }], ["a.jpg"]), "argument"],
  ["an evaluation of nothing", () => famlens.evaluate(lens, {}), "engine"],
  ["a model that is not there", () => famlens.createLens({ model: "nowhere/" }), "network"],
  ["a model that is no address", () => famlens.createLens({ model: "http://[" }), "argument"],
  ["a model without bytes", () => famlens.createLens({ model: { manifest: {}, bytes: new Blob([]) } }), "manifest"],
];

for (const [name, run, code] of FAULTS) {
  test(`${name}: ${code}`, async () => {
    const found = await at.page.evaluate(async source => {
      const { lens, kit, famlens, gallery, map, empty, gone, unreadable } = window;
      const names = { lens, kit, famlens, gallery, map, empty, gone, unreadable };
      const work = new Function(...Object.keys(names), `return (${source})()`);
      let begun;
      try {
        begun = work(...Object.values(names));
      } catch (error) {
        return { name: `thrown at once: ${error}` };
      }
      return begun.then(
        () => ({ name: "no error" }),
        error => ({ name: error.name, own: error instanceof famlens.LensError, code: error.code, says: error.message }),
      );
    }, String(run));
    assert.deepEqual([found.name, found.own, found.code], ["LensError", true, code], JSON.stringify(found));
    assert.match(found.says, /^(\S+ ){3}/, "a sentence");
  });
}

test("a name that cannot be decoded costs nothing: the gallery takes the photo and its neighbours", async () => {
  const found = await at.page.evaluate(async () => {
    const { famlens, lens, kit } = window;
    const gallery = await famlens.createGallery(lens, { workers: 0, keep: false });
    const result = await gallery.add([kit.photos[0], `${kit.photos[1]}?a=100%`, `${kit.photos[2]}%`, kit.photos[3]]);
    const names = gallery.items.map(item => item.name);
    await gallery.dispose();
    return { ...result, names };
  });
  assert.equal(found.embedded, 3);
  assert.equal(found.failed.length, 1, "the one that is not there");
  assert.match(found.failed[0].name, /goldfish\.jpg%/);
});

test("an aborted call gives back the reason of its signal, at once and wherever it is", async () => {
  const found = await at.page.evaluate(async () => {
    const { famlens, lens, kit } = window;
    const ends = {};
    const calls = {
      embed: signal => lens.embed(kit.photo(), { signal }),
      explain: signal => lens.explain({ query: kit.photo(), classes: kit.classes, signal }),
      create: signal => famlens.createLens({ signal }),
      int8: signal => famlens.measureInt8(lens, [kit.photo()], { signal }),
      gallery: async signal => (await famlens.createGallery(lens, { keep: false })).add([kit.photo()], { signal }),
    };
    for (const [name, call] of Object.entries(calls)) {
      for (const late of [false, true]) {
        const ender = new AbortController();
        const reason = { why: name };
        if (late) setTimeout(() => ender.abort(reason), 5);
        else ender.abort(reason);
        ends[`${name} ${late}`] = await call(ender.signal).then(
          () => "done",
          error => (error === reason ? "its reason" : String(error)),
        );
      }
    }
    return ends;
  });
  for (const [name, end] of Object.entries(found)) assert.equal(end, "its reason", name);
});

test("an ended loading leaves no worker behind", async () => {
  const before = at.page.workers().length;
  await at.page.evaluate(async () => {
    const ender = new AbortController();
    setTimeout(() => ender.abort(), 30);
    await window.famlens.createLens({ signal: ender.signal }).catch(() => {});
  });
  for (let tries = 0; at.page.workers().length > before && tries < 100; tries += 1) await at.page.waitForTimeout(50);
  assert.equal(at.page.workers().length, before);
});

test("a panic while a model loads is a crash and not a failed download", async () => {
  const found = await at.page.evaluate(async () => {
    const { Worker } = window;
    window.Worker = class extends Worker {
      constructor(...given) {
        super(...given);
        // What the browser sends when the wasm traps outside of a call, once the scripts run.
        this.addEventListener(
          "message",
          () => setTimeout(() => this.dispatchEvent(new ErrorEvent("error", { message: "RuntimeError: unreachable" }))),
          { once: true },
        );
      }
    };
    try {
      return await window.famlens.createLens().catch(({ code, message }) => ({ code, message }));
    } finally {
      window.Worker = Worker;
    }
  });
  assert.equal(found.code, "crashed");
  assert.match(found.message, /stopped unexpectedly.+unreachable/);
});
