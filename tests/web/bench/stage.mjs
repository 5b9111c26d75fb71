// Where the contenders meet: a server of the built page, the peers and the models, and Chromium on the benchmark's
// page.

import { cpus } from "node:os";
import { fileURLToPath } from "node:url";

import { launch } from "../harness/browser.mjs";
import { serve } from "../harness/server.mjs";

const path = relative => fileURLToPath(new URL(relative, import.meta.url));

/** The built page, and the folder of the peers' packages. */
export const DIST = path("../../../dist/");
export const PEERS = path("./node_modules/");

/** @typedef {Awaited<ReturnType<typeof stage>>} Stage */

/** @param {string} folder what the benchmark writes models to, served as `/models/` */
export async function stage(folder) {
  const mounts = { "/dist/": DIST, "/peers/": PEERS, "/models/": `${folder}/`, "/page/": path("./page/") };
  const server = await serve({ mounts });
  return {
    folder,
    /**
     * A browser of its own on the benchmark's page; ends with what `use` does. `say` is told what the page logs.
     * @template T
     * @param {(page: import("playwright-core").Page) => Promise<T>} use
     * @param {(line: string) => void} [say]
     * @returns {Promise<{machine: {cpu: string | undefined, cores: number, browser: string}, found: T}>}
     */
    async play(use, say = console.log) {
      const browser = await launch("software");
      try {
        const page = await browser.newPage();
        page.on("console", message => say(message.text()));
        page.on("pageerror", error => say(`uncaught: ${error.stack ?? error.message}`));
        await page.goto(`${server.origin}/page/index.html`);
        const found = await use(page);
        return {
          machine: { cpu: cpus()[0]?.model, cores: cpus().length, browser: `Chromium ${browser.version()}` },
          found,
        };
      } finally {
        await browser.close();
      }
    },
    close: () => server.close(),
  };
}
