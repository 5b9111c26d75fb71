// What leaves this module as an error: a LensError and nothing else. One boundary translates what the browser or a
// mistake in a call throws.

/** An error with a code a program can act on and a message meant for people. */
export class LensError extends Error {
  /**
   * @param {string} code one of `network`, `image`, `file`, `too_large`, `manifest`, `onnx`, `unsupported`, `node`,
   *   `target`, `argument`, `no_gpu`, `gpu_lost`, `engine`, `crashed`, `disposed`, `storage`, `policy`,
   *   `environment`
   * @param {string} message
   * @param {unknown} [cause] what it was made from
   */
  constructor(code, message, cause) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "LensError";
    this.code = code;
  }
}

/**
 * What the browser's own exceptions mean here, by their names.
 * @type {Record<string, [code: string, message: string]>}
 */
const BROWSER = {
  DataCloneError: [
    "argument",
    "Something in this call cannot be sent to the worker: a function, an element, or memory that was handed over " +
      "before.",
  ],
  InvalidStateError: ["image", "The image is empty, or it was closed before it could be read."],
  NotFoundError: [
    "file",
    "A file is not there any more: it was moved or removed since it was chosen. Choose it again.",
  ],
  NotReadableError: [
    "file",
    "A file can no longer be read: it was moved or changed since it was chosen. Choose it again.",
  ],
  QuotaExceededError: ["storage", "The browser's storage for this page is full."],
  SecurityError: ["image", "The browser does not let this page read that image: it comes from another origin."],
  EncodingError: ["image", "The browser cannot read that image."],
};

/**
 * The LensError that says what an error says.
 * @param {unknown} error
 * @returns {LensError}
 */
export function lensError(error) {
  if (error instanceof LensError) return error;
  const known = error instanceof DOMException ? BROWSER[error.name] : undefined;
  if (known) return new LensError(known[0], known[1], error);
  if (error instanceof RangeError)
    return new LensError("too_large", `This browser has no room for that (${error.message}).`, error);
  const code = typeof error === "object" && error !== null ? /** @type {any} */ (error).code : null;
  if (error instanceof Error && typeof code === "string") return new LensError(code, error.message, error);
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new LensError("engine", `This did not work (${text}).`, error);
}

/**
 * Whether an error is the reason of a signal among the arguments of a call: who aborts gets their own reason back, as
 * from `fetch`.
 * @param {unknown} error
 * @param {unknown[]} args
 */
function isOwnAbort(error, args) {
  return args.some(arg => {
    const signal = typeof arg === "object" && arg !== null ? /** @type {any} */ (arg).signal : null;
    return signal instanceof AbortSignal && signal.aborted && signal.reason === error;
  });
}

/**
 * Does what a public function does, with every failure as a rejection with a {@link LensError}; only an aborted call
 * rejects with its signal's own reason.
 * @template T
 * @param {unknown[]} args what the function was called with
 * @param {() => T | Promise<T>} work
 * @returns {Promise<T>}
 */
export async function bounded(args, work) {
  try {
    return await work();
  } catch (error) {
    throw isOwnAbort(error, args) ? error : lensError(error);
  }
}

/**
 * Puts this boundary around all methods of a class but those that answer at once.
 * @param {{prototype: object, name: string}} type
 * @param {string[]} [but] what answers at once, and what only this module calls
 */
export function boundMethods(type, but = []) {
  for (const name of Object.getOwnPropertyNames(type.prototype)) {
    const method = Object.getOwnPropertyDescriptor(type.prototype, name)?.value;
    if (typeof method !== "function" || name === "constructor" || but.includes(name)) continue;
    /** @this {unknown} @param {unknown[]} args */
    const value = function (...args) {
      return bounded(args, () => method.apply(this, args));
    };
    Object.defineProperty(type.prototype, name, { value, writable: true, configurable: true });
  }
}
