// The way from a call to the worker: the images that it names are opened first and stay until it is answered, and the
// worker is asked with their numbers.

import { LensError } from "./errors.js";
import { sendImage } from "./host.js";
import { Sources } from "./sources.js";

/**
 * @import { AskOptions, Channel } from "./channel.js"
 * @import { CallOptions, ClassSpec, ExplainOptions, ImageLike, LensImage } from "./types.js"
 */

export class Requests {
  #channel;
  #sources;

  /** @param {Channel} channel */
  constructor(channel) {
    this.#channel = channel;
    this.#sources = new Sources(id => channel.release(id));
  }

  /**
   * Asks the worker.
   * @param {string} op
   * @param {object} args
   * @param {AskOptions} [options]
   * @returns {Promise<any>}
   */
  ask(op, args, options) {
    return this.#channel.ask(op, args, options);
  }

  /**
   * @param {ImageLike} image
   * @param {{name?: string} & CallOptions} options
   * @returns {Promise<LensImage>}
   */
  open(image, { name, signal }) {
    return unlessAborted(
      this.#sources.open(image, source => this.send(source, name)),
      signal,
    );
  }

  /** @param {ImageLike} image */
  forget(image) {
    return this.#sources.forget(image);
  }

  /** Takes an image that the worker made. @param {LensImage} image */
  adopt(image) {
    this.#sources.adopt(image);
  }

  /**
   * Lets no image go before `work` is done, which may use images by their numbers.
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  whileUsing(work) {
    return this.#sources.whileUsing(work);
  }

  /**
   * Asks with the number of one image.
   * @param {ImageLike} image
   * @param {CallOptions} options
   * @param {(id: number) => Promise<any>} ask
   * @returns {Promise<any>}
   */
  ofImage(image, options, ask) {
    return this.whileUsing(async () => ask((await this.open(image, options)).id));
  }

  /**
   * Asks for something that depends on the options of an explanation.
   * @param {string} op
   * @param {ExplainOptions & CallOptions} request
   * @param {Record<string, ImageLike>} images each goes to the worker as a number, under the same name
   * @param {ClassSpec[] | null} classes null if they have no part in it
   * @param {object} [more] what else the worker needs
   * @returns {Promise<any>}
   */
  about(op, request, images, classes, more = {}) {
    return this.whileUsing(async () => {
      const [numbers, opened] = await Promise.all([
        Promise.all(Object.entries(images).map(async ([name, image]) => [name, (await this.open(image, request)).id])),
        classes !== null && this.#openClasses(classes, request),
      ]);
      const args = { ...Object.fromEntries(numbers), ...(opened && { classes: opened }) };
      return this.ask(op, { options: optionsOf(request), ...args, ...more }, request);
    });
  }

  /**
   * Hands the content of an image to the worker.
   * @param {Exclude<ImageLike, LensImage>} image
   * @param {string} [name]
   * @param {string} [op] what is done with the content
   * @param {object} [more] what else that needs
   * @returns {Promise<any>}
   */
  send(image, name, op = "open", more = {}) {
    const ask = (/** @type {object} */ source, /** @type {Transferable[]} */ transfer) =>
      this.ask(op, { ...source, ...more }, { transfer });
    return sendImage(image, name, ask);
  }

  /** Ends the worker; calls that wait are rejected. @param {LensError} error */
  end(error) {
    this.#channel.end(error);
  }

  /**
   * @param {ClassSpec[]} classes
   * @param {CallOptions} options
   */
  #openClasses(classes, options) {
    if (!Array.isArray(classes) || classes.some(one => !Array.isArray(one?.supports)))
      return Promise.reject(new LensError("argument", "classes is a list of {name, supports: [images]}."));
    return Promise.all(
      classes.map(async ({ name, supports }) => {
        const handles = await Promise.all(supports.map(support => this.open(support, options)));
        return { name, supports: handles.map(handle => handle.id) };
      }),
    );
  }
}

/** What a request says about the method. @param {ExplainOptions & {[key: string]: any}} request */
export function optionsOf({ query, image, index, classes, name, a, b, signal, ...options }) {
  return options;
}

/**
 * @template T
 * @param {Promise<T>} work goes on for whoever else waits for it
 * @param {AbortSignal} [signal]
 * @returns {Promise<T>}
 */
export function unlessAborted(work, signal) {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
