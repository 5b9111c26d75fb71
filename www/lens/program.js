// The program in the worker: the wasm and its bindings, fetched with an eye on whether they still arrive.

import { inTime, stallSeconds } from "./download.js";
import { Failure } from "./failure.js";

/**
 * @import { WasmModule } from "./wasm.js"
 * @import { OnProgress } from "./begun.js"
 */

/**
 * Counts several downloads as one: a function for each, to tell how far it is. The sum is told once all sizes are
 * known.
 * @param {number} count
 * @param {OnProgress} tell
 * @returns {OnProgress[]}
 */
export function sumOf(count, tell) {
  const loaded = Array(count).fill(0);
  const total = Array(count).fill(0);
  const add = (/** @type {number[]} */ all) => all.reduce((sum, one) => sum + one, 0);
  return loaded.map((_, at) => (now, all) => {
    loaded[at] = now;
    total[at] = Math.max(all, now);
    if (total.every(one => one > 0)) tell(add(loaded), add(total));
  });
}

/**
 * Loads the wasm's bindings and the program itself.
 * @param {string} at the address of the program
 * @param {number} seconds how long the bindings may take, of which nobody sees how far they are
 * @param {OnProgress} onProgress
 * @returns {Promise<{module: WasmModule, program: {memory: WebAssembly.Memory}}>}
 */
export async function loadProgram(at, seconds, onProgress) {
  watchProgram = onProgress;
  try {
    // Built later than this is checked: wasm.js has its types.
    // @ts-expect-error
    const script = import("../wasm/famlens.js");
    const module = /** @type {WasmModule} */ (await inTime(script, seconds, "program"));
    const program = await module.default({ module_or_path: await (programs.get(at) ?? startProgram(at)) });
    try {
      module.tryRelaxedSimd();
    } catch {
      // This is the file for browsers without relaxed SIMD.
    }
    return { module, program };
  } catch (error) {
    if (error instanceof Failure || error instanceof WebAssembly.RuntimeError || error instanceof RangeError)
      throw error;
    if (error instanceof WebAssembly.CompileError) {
      throw new Failure(
        "network",
        `This browser could not read the program (${error.message}). Try again; if it stays so, use a current ` +
          "Chrome, Edge, Firefox or Safari.",
      );
    }
    throw new Failure(
      "network",
      `The program could not be loaded (${error instanceof Error ? error.message : error}). Check the connection ` +
        "and try again.",
    );
  }
}

/** Programs on their way, by their address. @type {Map<string, Promise<Response>>} */
const programs = new Map();
/** Is told how far the program is. @type {OnProgress} */
let watchProgram = () => {};

/** How the file for browsers without relaxed SIMD ends (lens/where.js). */
const PLAIN = "_plain_bg.wasm";

/** Compressed files have no length that could be compared; this is how much smaller the program then is. */
const COMPRESSED = 3;

/**
 * Begins to fetch the program.
 * @param {string} url
 */
export function startProgram(url) {
  const response = fetchProgram(url);
  response.catch(() => {});
  programs.set(url, response);
  return response;
}

/**
 * The program as a response that is still arriving, so that it is compiled meanwhile. A copy of it is read along, to
 * see that it does arrive and how far it is.
 * @param {string} url
 */
async function fetchProgram(url) {
  const ender = new AbortController();
  const get = (/** @type {string} */ at) => inTime(fetch(at, { signal: ender.signal }), stallSeconds(), "program");
  let response = await get(url);
  // Trunk alone builds one program, which every browser runs.
  if (response.status === 404 && url.includes(PLAIN)) response = await get(url.replace(PLAIN, "_bg.wasm"));
  if (!response.ok)
    throw new Failure("network", `The program is not at ${url} (the server answered ${response.status}).`);
  const length = Number(response.headers.get("content-length") ?? 0);
  const total = response.headers.has("content-encoding") ? COMPRESSED * length : length;
  const copy = response.clone().body?.getReader();
  void (async () => {
    try {
      let loaded = 0;
      while (copy) {
        const part = await inTime(copy.read(), stallSeconds(), "program");
        if (part.done) break;
        loaded += part.value.length;
        watchProgram(loaded, Math.max(total, loaded));
      }
      watchProgram(loaded, loaded);
    } catch (error) {
      // Whoever compiles it gets this error, or their own for a connection that was cut.
      ender.abort(error);
    }
  })();
  return response;
}
