// Bundles the built page: its scripts and styles in few files that load at once. All modules stay where they are, for
// pages that import www/famlens.js; without this step the page runs from them.
//
//   node npm/page.mjs --dist dist
//
// `cargo xtask build` does this where Node.js is there.

import { readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const { values: options } = parseArgs({ options: { dist: { type: "string" } } });
const DIST = resolve(options.dist ?? "dist");
const WWW = join(DIST, "www");
/** All files of the bundle lie in this folder and none deeper, so that they have one `import.meta.url` in all but name. */
const BUNDLE = join(WWW, "bundle");

/** Modules find files by their own address, which stays the one that they had. */
const addresses = {
  name: "addresses",
  setup({ onLoad }) {
    onLoad({ filter: /\.js$/, namespace: "file" }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!text.includes("import.meta.url") || path.includes("/wasm/")) return { contents: text };
      const own = `new URL(${JSON.stringify(relative(BUNDLE, path))}, import.meta.url).href`;
      const contents = text.replaceAll("import.meta.url", own);
      // The worker is the one of the bundle.
      return {
        contents: path.endsWith("lens/where.js") ? contents.replace("../worker.js", "../bundle/worker.js") : contents,
      };
    });
  },
};

const page = await readFile(join(DIST, "index.html"), "utf8");
const [head, ...body] = page.split("</head>");
const STYLE = /^ *<link rel="stylesheet" href="(www\/.*)">\n/gm;
const SCRIPT = /^ *<script type="module" (async )?src="(www\/.*)"><\/script>\n/gm;
const styles = [...head.matchAll(STYLE)].map(([, href]) => href);
const scripts = [...head.matchAll(SCRIPT)].map(([, async, src]) => ({ async: Boolean(async), src }));
if (styles.length === 0 || scripts.length === 0) throw new Error("index.html names no styles or no scripts");

const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2023"],
  charset: "utf8",
  outdir: BUNDLE,
  logLevel: "warning",
  absWorkingDir: DIST,
};
const list = (names, line) => ({ contents: names.map(line).join(""), resolveDir: DIST });
// One file: all rooms together are smaller than one photo. The scripts run in their order, so the early one comes first.
const all = {
  ...list(
    [...scripts].sort((a, b) => b.async - a.async),
    ({ src }) => `import "./${src}";\n`,
  ),
  loader: "js",
};
await build({ ...common, stdin: all, entryNames: "page", plugins: [addresses] });
await build({ ...common, entryPoints: ["www/worker.js"], entryNames: "worker", plugins: [addresses] });
await build({
  ...common,
  stdin: { ...list(styles, href => `@import "./${href}";\n`), loader: "css" },
  entryNames: "page",
});

// The worker imports its file later, and so takes it from the cache.
const lines = `  <link rel="stylesheet" href="www/bundle/page.css">
  <link rel="preload" as="script" crossorigin href="www/bundle/worker.js">
  <script type="module" src="www/bundle/page.js"></script>
`;
const bundled = head
  .replace(/^ *<link rel="modulepreload" href="www\/.*">\n/gm, "")
  .replace(STYLE, "")
  .replace(SCRIPT, "")
  .replace(/(?=^ *<script src=)/m, lines);
if (!bundled.includes("www/bundle/page.css"))
  throw new Error("index.html has no classic script to put the bundle before");
await writeFile(join(DIST, "index.html"), [bundled, ...body].join("</head>"));
const size = async name => gzipSync(await readFile(join(BUNDLE, name))).length;
for (const name of ["page.js", "worker.js", "page.css"])
  console.log(`${name} is ${((await size(name)) / 1000).toFixed(1)} kB gzipped`);
