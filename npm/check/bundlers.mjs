// A production build with each bundler, with the settings that npm/README.md asks for.

import { cp, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { nodeResolve } from "@rollup/plugin-node-resolve";
import { importMetaAssets } from "@web/rollup-plugin-import-meta-assets";
import esbuild from "esbuild";
import { rollup } from "rollup";
import { build as vite } from "vite";
import webpack from "webpack";

const MODULE = '<script type="module" src="main.js"></script>';

/** @typedef {{app: string, out: string, html: (script: string) => string}} Place */

export const bundlers = {
  /** @param {Place} place */
  async vite({ app, out, html }) {
    await writeFile(join(app, "index.html"), html('<script type="module" src="/src/main.js"></script>'));
    await vite({ root: app, base: "./", configFile: false, logLevel: "warn", build: { outDir: out } });
  },

  /** @param {Place} place */
  async webpack({ app, out, html }) {
    const stats = await new Promise((resolve, reject) => {
      const settings = { mode: "production", context: app, entry: "./src/main.js", output: { path: out } };
      webpack({ ...settings, performance: { hints: false } }, (error, stats) =>
        error ? reject(error) : resolve(stats),
      );
    });
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString("errors-warnings"));
    await writeFile(join(out, "index.html"), html('<script defer src="main.js"></script>'));
  },

  /** @param {Place} place */
  async rollup({ app, out, html }) {
    const warnings = [];
    const bundle = await rollup({
      input: join(app, "src/main.js"),
      plugins: [nodeResolve(), importMetaAssets()],
      onwarn: warning => warnings.push(warning.message),
    });
    await bundle.write({ dir: out, format: "es" });
    if (warnings.length) throw new Error(warnings.join("\n"));
    await writeFile(join(out, "index.html"), html(MODULE));
  },

  /** @param {Place} place */
  async esbuild({ app, out, html }) {
    await esbuild.build({
      entryPoints: [join(app, "src/main.js")],
      bundle: true,
      minify: true,
      format: "esm",
      outdir: out,
      logLevel: "error",
    });
    const packages = join(app, "node_modules");
    const files = (await readdir(join(packages, "famlens"))).filter(file => /^worker\.js$|\.wasm$/.test(file));
    for (const file of files) await cp(join(packages, "famlens", file), join(out, file));
    const models = join(packages, "@famlens/efficientnet-lite0");
    for (const file of (await readdir(models)).filter(file => /\.(json|onnx|bin)$/.test(file)))
      await cp(join(models, file), join(out, file));
    await writeFile(join(out, "index.html"), html(MODULE));
  },
};
