// The library's own suites, where a browser is held to what they say.

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** As `cargo xtask test` builds the suites, so that nothing is compiled twice. */
const OPTIMISED = ["--config", "profile.dev.package.famlens.opt-level=2"];

/**
 * A folder that a suite of the library fills: the one that the environment variable names, else a new one for which the
 * suite runs here.
 * @param {string} variable the suite writes into the folder that it names
 * @param {string} suite
 * @param {string[]} words which test, and how
 */
export function written(variable, suite, words) {
  const given = process.env[variable];
  if (given) return given;
  const folder = mkdtempSync(join(tmpdir(), `${suite}-`));
  const env = { ...process.env, [variable]: folder };
  const command = [...OPTIMISED, "test", "--quiet", "--locked", "--test", suite, "--", ...words];
  execFileSync("cargo", command, { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] });
  return folder;
}
