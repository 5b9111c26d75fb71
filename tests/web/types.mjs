// Checks the types of the page's scripts, and that the committed declarations of the public module are those that its
// comments give.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../../www/", import.meta.url));
const TSC = fileURLToPath(new URL("./node_modules/typescript/bin/tsc", import.meta.url));

const tsc = (...args) => spawnSync(process.execPath, [TSC, ...args], { stdio: "inherit" }).status === 0;

const folder = mkdtempSync(join(tmpdir(), "famlens-types-"));
try {
  if (!tsc("--project", join(WWW, "tsconfig.json"))) process.exit(1);
  if (!tsc("--project", join(WWW, "tsconfig.types.json"), "--outDir", folder)) process.exit(1);
  if (readFileSync(join(folder, "famlens.d.ts"), "utf8") !== readFileSync(join(WWW, "famlens.d.ts"), "utf8")) {
    console.error(
      "www/famlens.d.ts is not what www/famlens.js declares; write it again, in tests/web:\n  npx tsc --project " +
        "../../www/tsconfig.types.json",
    );
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
