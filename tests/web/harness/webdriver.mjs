// Firefox as the tests need it: by WebDriver, and no more of that than is used here.

import { spawn } from "node:child_process";
import { createServer } from "node:net";

/** How long a script in the page may take, and a page may load. */
const PATIENCE = 120_000;

async function freePort() {
  const server = createServer();
  await new Promise(resolve => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  await new Promise(resolve => server.close(resolve));
  return port;
}

/** The key under which WebDriver names elements. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** A browser with one window. */
export class Browser {
  #base;
  #end;

  /** @param {string} base @param {() => void} end */
  constructor(base, end) {
    this.#base = base;
    this.#end = end;
  }

  /**
   * @param {{driver: string, capabilities: object}} how
   */
  static async start({ driver, capabilities }) {
    const port = await freePort();
    const running = spawn(driver, [`--port=${port}`], { stdio: "ignore" });
    const end = () => running.kill();
    const origin = `http://127.0.0.1:${port}`;
    try {
      await answers(`${origin}/status`);
      const { sessionId } = await send("POST", `${origin}/session`, { capabilities: { alwaysMatch: capabilities } });
      const browser = new Browser(`${origin}/session/${sessionId}`, end);
      await browser.ask("POST", "/timeouts", { script: PATIENCE, pageLoad: PATIENCE });
      return browser;
    } catch (error) {
      end();
      throw error;
    }
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  ask(method, path, body) {
    return send(method, this.#base + path, body);
  }

  /** @param {string} url */
  go(url) {
    return this.ask("POST", "/url", { url });
  }

  reload() {
    return this.ask("POST", "/refresh", {});
  }

  /**
   * Runs a function in the page, which may be async; what it gives back must be plain data.
   * @param {(...args: any[]) => unknown} work
   * @param {unknown[]} args
   */
  async run(work, ...args) {
    const script = `const done = arguments[arguments.length - 1];
      Promise.resolve().then(() => (${work})(...[...arguments].slice(0, -1))).then(
        value => done({ value: JSON.stringify(value) }),
        error => done({ error: String(error && error.message || error) }));`;
    const { value, error } = await this.ask("POST", "/execute/async", { script, args });
    if (error !== undefined) throw new Error(error);
    return value === undefined || value === null ? undefined : JSON.parse(value);
  }

  /** Asks the page until it says yes. @param {(...args: any[]) => boolean} test @param {unknown[]} args */
  async until(test, ...args) {
    const give = Date.now() + PATIENCE;
    while (!(await this.run(test, ...args))) {
      if (Date.now() > give) throw new Error(`not within ${PATIENCE / 1000} s: ${test}`);
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }

  /** @param {string} css */
  async find(css) {
    const found = await this.ask("POST", "/element", { using: "css selector", value: css });
    return `/element/${found[ELEMENT]}`;
  }

  /** @param {string} css */
  async click(css) {
    await this.ask("POST", `${await this.find(css)}/click`, {});
  }

  /** Types, or gives files to an input by their paths, one a line. @param {string} css @param {string} text */
  async type(css, text) {
    await this.ask("POST", `${await this.find(css)}/value`, { text });
  }

  async close() {
    await this.ask("DELETE", "").catch(() => {});
    this.#end();
  }
}

/** @param {string} url */
async function answers(url) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await fetch(url);
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise(resolve => setTimeout(resolve, 100));
    }
  }
}

/** @param {string} method @param {string} url @param {object} [body] */
async function send(method, url, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  const { value } = /** @type {any} */ (await response.json());
  if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
  return value;
}
