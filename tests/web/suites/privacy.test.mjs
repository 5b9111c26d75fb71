// Nothing leaves: neither the page nor the worker, which holds the photos, can send to another server or run text as
// code.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { SUB_PATH, openLens, serveDist } from "../harness/page.mjs";

const root = path => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const policyIn = text => text.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)[1];

/** A server that takes all that it is sent, from anywhere, and says what that was. */
let elsewhere;
const received = [];
let browser;
before(async () => {
  const server = createServer((request, response) => {
    received.push(`${request.method} ${request.url}`);
    response.writeHead(200, { "access-control-allow-origin": "*", "content-type": "text/javascript" }).end("0");
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve));
  elsewhere = { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
  browser = await launch("none");
});
after(async () => {
  await browser?.close();
  elsewhere?.close();
});

/** Tries every way out, in a page or a worker, and says what became of each. */
async function tryAll(origin) {
  const told = work =>
    new Promise(resolve => {
      // Later, and so outside of what the test's own tools may do.
      setTimeout(async () => {
        try {
          resolve(`done: ${await work()}`);
        } catch (error) {
          resolve(`refused: ${error.name}`);
        }
      });
    });
  const photo = new Uint8Array(1000);
  const send = { method: "POST", body: photo, mode: "no-cors" };
  const request = () =>
    new Promise((resolve, reject) => {
      const xhr = new XMLHttpRequest();
      xhr.onload = () => resolve(xhr.status);
      xhr.onerror = () => reject(new TypeError("no"));
      xhr.open("POST", `${origin}/xhr`);
      xhr.send(photo);
    });
  const socket = () =>
    new Promise((resolve, reject) => {
      const made = new WebSocket(origin.replace("http", "ws"));
      made.onopen = () => resolve("open");
      made.onerror = () => reject(new TypeError("no"));
    });
  const worker = () =>
    new Promise((resolve, reject) => {
      const sent = `fetch("${origin}/nested", { method: "POST", body: "x", mode: "no-cors" })`;
      const code = `${sent}.then(() => postMessage("sent"), () => postMessage(0))`;
      const made = new Worker(URL.createObjectURL(new Blob([code])));
      made.onmessage = ({ data }) => (data ? resolve(data) : reject(new TypeError("no")));
      made.onerror = () => reject(new TypeError("no"));
    });
  return {
    get: await told(async () => (await fetch(`${origin}/get`)).status),
    post: await told(async () => (await fetch(`${origin}/post`, send)).type),
    xhr: await told(request),
    socket: await told(socket),
    import: await told(() => import(`${origin}/code.js`).then(() => "run")),
    nested: await told(worker),
    // biome-ignore lint/security/noGlobalEval: that it is refused is what this tests
    eval: await told(() => globalThis.eval("1 + 1")),
    function: await told(() => new Function("return 2")()),
  };
}

/** The one worker of a page that has one. */
async function workerOf(page) {
  for (let tries = 0; page.workers().length === 0 && tries < 100; tries += 1)
    await new Promise(resolve => setTimeout(resolve, 50));
  return page.workers()[0];
}

for (const headers of [false, true]) {
  describe(headers ? "with the policy as a header too" : "with the policy in the page alone", () => {
    let server, page;
    before(async () => {
      server = await serveDist({ headers });
      ({ page } = await openLens(browser, server.origin, { backend: "cpu" }));
    });
    after(() => server.close());

    for (const who of ["page", "worker"]) {
      test(`the ${who} reaches no other server and runs no text`, async () => {
        received.length = 0;
        const place = who === "page" ? page : await workerOf(page);
        const found = await place.evaluate(tryAll, elsewhere.origin);
        for (const [way, what] of Object.entries(found)) assert.match(what, /^refused: /, `${way}: ${what}`);
        assert.deepEqual(received, []);
      });
    }

    test("the worker still reaches its own server", async () => {
      const status = await (await workerOf(page)).evaluate(
        async url => (await fetch(url)).status,
        `${server.origin}${SUB_PATH}models/efficientnet_lite0/model.json`,
      );
      assert.equal(status, 200);
    });

    test("addresses become code by one policy, which takes blobs alone", async () => {
      const found = await page.evaluate(() => {
        const tried = work => {
          try {
            work();
            return "done";
          } catch (error) {
            return error.name;
          }
        };
        return {
          worker: tried(() => new Worker("www/worker.js")),
          html: tried(() => Object.assign(document.createElement("p"), { innerHTML: "<b>x</b>" })),
          again: tried(() => trustedTypes.createPolicy("famlens", {})),
          other: tried(() => trustedTypes.createPolicy("other", {})),
        };
      });
      assert.deepEqual(found, { worker: "TypeError", html: "TypeError", again: "TypeError", other: "TypeError" });
    });
  });
}

test("the evidence can fail: without a policy the same tries get out", async () => {
  received.length = 0;
  const page = await browser.newPage();
  await page.goto(`${elsewhere.origin}/blank`);
  const found = await page.evaluate(tryAll, elsewhere.origin);
  for (const way of ["get", "post", "xhr", "import", "nested", "eval", "function"])
    assert.match(found[way], /^done/, `${way}: ${found[way]}`);
  for (const what of ["GET /get", "POST /post", "POST /xhr", "GET /code.js", "POST /nested"])
    assert.ok(received.includes(what), `${what} of ${received}`);
  await page.close();
});

test("a page that is framed elsewhere is not shown", async () => {
  const server = await serveDist();
  const page = await browser.newPage();
  await page.goto(`${elsewhere.origin}/blank`);
  const refused = page.waitForEvent("console", message => /frame-ancestors/.test(message.text()));
  await page.evaluate(src => {
    document.body.append(Object.assign(document.createElement("iframe"), { src }));
  }, `${server.origin}${SUB_PATH}`);
  await refused;
  await page.close();
  await server.close();
});

test("docs/privacy.md has the policy of index.html and names all that is stored", async () => {
  const text = await readFile(root("docs/privacy.md"), "utf8");
  const policy = policyIn(await readFile(root("index.html"), "utf8"));
  assert.ok(text.includes(`${policy}; frame-ancestors 'none'`), "the header is not the page's policy");
  for (const name of [
    "offline-famlens-",
    "famlens-project",
    "famlens-embeddings",
    "famlens-models",
    "famlens-statistics",
    "famlens.",
  ])
    assert.ok(text.includes(`\`${name}`), name);
});
