// Makes the npm packages: famlens, and one for each model.
//
//   node npm/build.mjs --wasm dist/www/wasm --out dist/npm
//
// `cargo xtask package` does this. Each folder in --out is a package that `npm pack` and `npm publish` take as it is.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const { values: options } = parseArgs({ options: { wasm: { type: "string" }, out: { type: "string" } } });
const WASM = join(ROOT, options.wasm ?? "dist/www/wasm");
const OUT = join(ROOT, options.out ?? "dist/npm");

const cargo = await readFile(join(ROOT, "Cargo.toml"), "utf8");
/** A line of Cargo.toml, so that it is written once. @param {string} key */
const stated = key => {
  const [, value] = new RegExp(`^${key} = "(.*)"`, "m").exec(cargo) ?? [];
  if (!value) throw new Error(`Cargo.toml has no ${key}`);
  return value;
};
const version = stated("version");

/** What all packages say of themselves. @param {string} directory */
const common = directory => ({
  version,
  type: "module",
  homepage: stated("documentation"),
  repository: { type: "git", url: `git+${stated("repository")}.git`, directory },
  bugs: `${stated("repository")}/issues`,
  publishConfig: { access: "public" },
});

const json = value => `${JSON.stringify(value, null, 2)}\n`;

/** The places of worker, program and model are other ones in a package than in the page. */
const elsewhere = {
  name: "elsewhere",
  setup({ onResolve }) {
    onResolve({ filter: /\/where\.js$/ }, () => ({ path: join(ROOT, "npm/where.js") }));
    // The element uses the module beside it, which an app may import as well: there is one of it.
    onResolve({ filter: /\/famlens\.js$/ }, ({ importer, path }) =>
      importer.includes("element") && !path.includes("wasm") ? { path: "./famlens.js", external: true } : null,
    );
    // The wasm's bindings lie where the build has put them.
    onResolve({ filter: /\/wasm\/famlens\.js$/ }, () => ({ path: join(WASM, "famlens.js") }));
  },
};

async function famlens() {
  const folder = join(OUT, "famlens");
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: ["famlens.js", "element.js", "worker.js"].map(name => join(ROOT, "www", name)),
    outdir: folder,
    bundle: true,
    format: "esm",
    target: ["es2023"],
    minify: true,
    external: ["@famlens/*"],
    define: { VERSION: JSON.stringify(version) },
    banner: { js: `/*! famlens ${version} | MIT OR Apache-2.0 | third parties: THIRD-PARTY.txt */` },
    plugins: [elsewhere],
    logLevel: "warning",
  });
  const program = ["famlens_bg.wasm", "famlens_plain_bg.wasm"];
  for (const file of program) await cp(join(WASM, file), join(folder, file));
  for (const file of ["famlens.d.ts", "element.d.ts"]) await cp(join(ROOT, "www", file), join(folder, file));
  for (const file of ["LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.txt"])
    await cp(join(ROOT, file), join(folder, file));
  await cp(join(ROOT, "npm/README.md"), join(folder, "README.md"));
  const types = (/** @type {string} */ name) => ({ types: `./${name}.d.ts`, default: `./${name}.js` });
  await writeFile(
    join(folder, "package.json"),
    json({
      name: "famlens",
      description: stated("description"),
      ...common("npm"),
      license: "MIT OR Apache-2.0",
      keywords: ["fam", "explainable-ai", "xai", "saliency", "few-shot", "onnx", "webgpu", "wasm", "web-component"],
      main: "./famlens.js",
      types: "./famlens.d.ts",
      exports: {
        ".": types("famlens"),
        "./element": types("element"),
        "./worker.js": "./worker.js",
        ...Object.fromEntries(program.map(file => [`./${file}`, `./${file}`])),
        "./package.json": "./package.json",
      },
      // Importing it defines <fam-lens>.
      sideEffects: ["./element.js"],
      engines: { node: ">=18" },
      dependencies: { "@famlens/efficientnet-lite0": version },
    }),
  );
}

/** A model's package: its files under names that do not clash in a folder of assets, and where they are. */
async function model(name, from) {
  const folder = join(OUT, name);
  await mkdir(folder, { recursive: true });
  const manifest = JSON.parse(await readFile(join(from, "model.json"), "utf8"));
  const copied = { [manifest.file]: `${name}.onnx` };
  const specific = manifest.class_specific;
  if (specific?.statistics) copied[specific.statistics] = `${name}.statistics.bin`;
  for (const [file, as] of Object.entries(copied)) await cp(join(from, file), join(folder, as));
  await cp(join(from, "LICENSE"), join(folder, "LICENSE"));
  const renamed = {
    ...manifest,
    file: copied[manifest.file],
    ...(specific?.statistics && { class_specific: { ...specific, statistics: copied[specific.statistics] } }),
  };
  // Under the usual name for who gives its address, and under its own for bundlers that copy into one folder.
  await writeFile(join(folder, "model.json"), JSON.stringify(renamed));
  await writeFile(join(folder, `${name}.json`), JSON.stringify(renamed));
  const at = file => `new URL("./${file}", import.meta.url)`;
  const places = { url: `${name}.json`, file: copied[manifest.file] };
  if (specific?.statistics) places.statistics = copied[specific.statistics];
  const lines = Object.entries(places).map(([key, file]) => `  ${key}: ${at(file)},\n`);
  await writeFile(join(folder, "index.js"), `export default {\n${lines.join("")}};\n`);
  const kinds = Object.keys(places).map(key => `  ${key}: URL;\n`);
  await writeFile(
    join(folder, "index.d.ts"),
    `/** Where the model's files are, for famlens' \`createLens({ model })\`. */\ndeclare const files: {\n${kinds.join("")}` +
      "};\nexport default files;\n",
  );
  await writeFile(
    join(folder, "README.md"),
    `# @famlens/${name}\n\n${manifest.name} for [famlens](https://www.npmjs.com/package/famlens): int8 weights as ONNX, ` +
      `their description${places.statistics ? " and the statistics of the class-specific forms" : ""}.\n\n` +
      `\`\`\`js\nimport { createLens } from "famlens";\nimport model from "@famlens/${name}";\n` +
      "const lens = await createLens({ model });\n```\n\n" +
      `Licence of the weights: ${manifest.licence}; LICENSE has its text. ${manifest.provenance?.copyright ?? ""}\n`,
  );
  await writeFile(
    join(folder, "package.json"),
    json({
      name: `@famlens/${name}`,
      description: `${manifest.name} for famlens`,
      ...common(`models/${name.replace("-", "_")}`),
      license: manifest.licence,
      exports: {
        ".": { types: "./index.d.ts", default: "./index.js" },
        "./*": "./*",
      },
      sideEffects: false,
    }),
  );
}

await rm(OUT, { recursive: true, force: true });
await famlens();
await model("efficientnet-lite0", join(ROOT, "models/efficientnet_lite0"));
await model("efficientnet-lite2", join(ROOT, "models/efficientnet_lite2"));
