/** An error on its way to the page: a code for programs, a message for people. */
export class Failure extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/**
 * What crosses to the page. A trap of the wasm machine leaves it unusable, so it has a code of its own.
 * @param {unknown} error
 * @returns {{name: string, code: string, message: string}}
 */
export function plain(error) {
  if (error instanceof WebAssembly.RuntimeError) {
    return {
      name: "LensError",
      code: "crashed",
      message: `The engine stopped unexpectedly (${error.message}). Start it again; your images are kept.`,
    };
  }
  if (error instanceof RangeError) {
    // The browser, and not the program, refuses memory this way.
    return {
      name: "LensError",
      code: "too_large",
      message: `This browser has no memory left for that (${error.message}).`,
    };
  }
  if (!(error instanceof Error)) return { name: "LensError", code: "engine", message: String(error) };
  const code = /** @type {any} */ (error).code;
  return { name: "LensError", code: typeof code === "string" ? code : "engine", message: error.message };
}
