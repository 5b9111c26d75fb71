// A static file server for the tests: serves a folder under a sub-path, remembers what was asked for, and can cut a
// response off in the middle as a bad connection does.

import { createServer } from "node:http";
import { readFile, stat } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".jpg": "image/jpeg",
  ".png": "image/png",
  ".svg": "image/svg+xml",
};

const part = (body, after) => body.subarray(0, Math.floor(after * body.length));

/** What a bad connection or a wrong host makes of a response. */
export const FAULTS = {
  /** The connection ends in the middle. */
  cut(response, head, body, { after }) {
    response.writeHead(200, { ...head, "content-length": body.length });
    response.write(part(body, after), () => response.destroy());
  },
  /** Nothing more comes after some bytes, and the connection stays. */
  stall(response, head, body, { after }) {
    response.writeHead(200, { ...head, "content-length": body.length });
    response.write(part(body, after));
  },
  /** Nothing comes at all. */
  silent() {},
  missing: (response, head) => void response.writeHead(404, { ...head, "content-type": "text/plain" }).end("not found"),
  broken: (response, head) => void response.writeHead(500, { ...head, "content-type": "text/plain" }).end("broken"),
  /** A page where another file was asked for, as hosts answer that know one page only. */
  html: (response, head) =>
    void response.writeHead(200, { ...head, "content-type": "text/html" }).end("<!doctype html><title>Welcome</title>"),
  /** All is well but the type, which hosts often do not know. */
  mistyped: (response, head, body) =>
    void response.writeHead(200, { ...head, "content-type": "application/octet-stream" }).end(body),
  /** Some bytes are others than they should be; the length is right. */
  damaged(response, head, body) {
    const bytes = Buffer.from(body);
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 16)) bytes[at] ^= 0x5a;
    response.writeHead(200, { ...head, "content-length": bytes.length }).end(bytes);
  },
  /** All of it comes, a piece now and then. */
  async slow(response, head, body) {
    response.writeHead(200, { ...head, "content-length": body.length });
    for (let at = 0; at < body.length; at += Math.ceil(body.length / 12)) {
      response.write(body.subarray(at, at + Math.ceil(body.length / 12)));
      await new Promise(resolve => setTimeout(resolve, 400));
    }
    response.end();
  },
};

/**
 * Starts a server on a free port of the loopback interface.
 *
 * @param {{mounts: Record<string, string>, headers?: Record<string, string>, policy?: boolean,
 *   instead?: Record<string, string>}} options `mounts` maps URL prefixes, such as `/some/where/`, to folders;
 *   `headers` go out with every response; `policy` says that the policy of a folder's index.html goes out as a header
 *   with all its files, as `cargo xtask serve` does it; `instead` has another content for files.
 * @returns the origin, the paths asked for, and what a test can do to responses
 */
export async function serve({ mounts, headers = {}, policy = false, instead = {} }) {
  /** @type {string[]} */
  const requests = [];
  /** @type {Map<string, {kind: keyof typeof FAULTS, after: number, times: number}>} */
  const faults = new Map();

  const server = createServer(async (request, response) => {
    const path = decoded(new URL(request.url ?? "/", "http://localhost").pathname);
    requests.push(path);
    const file = await locate(path, mounts);
    if (!file) {
      response.writeHead(404, { "content-type": "text/plain", ...headers }).end("not found\n");
      return;
    }
    const body = Buffer.from(instead[file] ?? (await readFile(file)));
    const head = {
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      // So that a request which the page makes is a request that the test sees.
      "cache-control": "no-store",
      ...headers,
      ...(policy && (await policyOf(path, mounts))),
    };
    const fault = [...faults].find(([ending]) => path.endsWith(ending))?.[1];
    if (fault && fault.times > 0) {
      fault.times -= 1;
      return FAULTS[fault.kind](response, head, body, fault);
    }
    response.writeHead(200, { ...head, "content-length": body.length });
    response.end(request.method === "HEAD" ? undefined : body);
  });
  await new Promise(resolve => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());

  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    /** Spoils the next responses to paths with this ending, as FAULTS has it; `after` is a share of the bytes. */
    spoil(ending, kind, { after = 0.5, times = 1 } = {}) {
      faults.set(ending, { kind, after, times });
    },
    /** Cuts the next responses to paths with this ending off after a share (0 to 1) of their bytes. */
    cutOff(ending, how) {
      this.spoil(ending, "cut", how);
    },
    /** Answers as it should from now on. */
    heal: () => faults.clear(),
    close() {
      server.closeAllConnections();
      return new Promise(resolve => server.close(resolve));
    },
  };
}

/**
 * A path as its files are named; as it came where it is not encoded well, which is a path of no file.
 * @param {string} path
 */
function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function policyOf(path, mounts) {
  const mount = Object.keys(mounts).find(prefix => path.startsWith(prefix));
  const page = await readFile(join(mounts[mount], "index.html"), "utf8").catch(() => "");
  const policy = page.match(/http-equiv="Content-Security-Policy" content="([^"]*)"/)?.[1];
  return policy && { "content-security-policy": `${policy}; frame-ancestors 'none'` };
}

async function locate(path, mounts) {
  const mount = Object.keys(mounts).find(prefix => path.startsWith(prefix));
  if (mount === undefined || path.includes("\0")) return null;
  const folder = mounts[mount];
  let file = normalize(join(folder, path.slice(mount.length)));
  if (!file.startsWith(normalize(folder))) return null;
  if (path.endsWith("/")) file = join(file, "index.html");
  const found = await stat(file).catch(() => null);
  return found?.isFile() ? file : null;
}
