// What elements extend; importable where there are none, so that a page may be rendered on a server.

/** @type {typeof HTMLElement} */
export const Base = typeof HTMLElement === "function" ? HTMLElement : /** @type {any} */ (class {});
