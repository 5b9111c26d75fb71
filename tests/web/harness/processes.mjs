// The memory of a browser's processes. Linux tells it of every process; elsewhere nothing is measured.

import { readFile, readdir } from "node:fs/promises";

/** The processes of Chromium that a page works in, by the argument that says what they are. */
const KINDS = { page: "--type=renderer", gpu: "--type=gpu-process" };

export const measurable = process.platform === "linux";

/**
 * Peak resident bytes since their start of the page's process and of the GPU process of the browser that this process
 * has started. To be asked while one browser runs.
 *
 * @returns {Promise<{page: number, gpu: number}>}
 */
export const peaks = () => largest(({ peak }) => peak);

/** The same for the bytes that are resident now. */
export const resident = () => largest(({ now }) => now);

/** @param {(one: {peak: number, now: number}) => number} figure */
async function largest(figure) {
  const ours = await descendants();
  // Chromium keeps an empty renderer in reserve: the page is the one that has grown.
  const most = kind => Math.max(0, ...ours.filter(({ command }) => command.includes(kind)).map(figure));
  return { page: most(KINDS.page), gpu: most(KINDS.gpu) };
}

/** All processes that stem from this one. */
async function descendants() {
  const all = (await Promise.all((await readdir("/proc")).filter(name => /^\d+$/.test(name)).map(read))).filter(
    one => one !== null,
  );
  const found = [];
  for (let parents = [process.pid]; parents.length; ) {
    const children = all.filter(({ parent }) => parents.includes(parent));
    found.push(...children);
    parents = children.map(({ id }) => id);
  }
  return found;
}

/** @param {string} id */
async function read(id) {
  try {
    const [status, command] = await Promise.all(
      ["status", "cmdline"].map(file => readFile(`/proc/${id}/${file}`, "utf8")),
    );
    const number = key => Number(status.match(new RegExp(`^${key}:\\s*(\\d+)`, "m"))?.[1] ?? 0);
    const kilobytes = key => number(key) * 1024;
    return { id: Number(id), parent: number("PPid"), command, peak: kilobytes("VmHWM"), now: kilobytes("VmRSS") };
  } catch {
    // It has ended meanwhile.
    return null;
  }
}
