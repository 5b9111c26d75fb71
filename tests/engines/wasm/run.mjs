// Runs the op problems of tests/engines in node: node run.mjs MODULE.wasm
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";

const [path] = process.argv.slice(2);
// Node 20 has relaxed SIMD behind a flag; where it is built in, the module is valid without.
if (!WebAssembly.validate(readFileSync(path))) setFlagsFromString("--experimental-wasm-relaxed-simd");
const module = new WebAssembly.Module(readFileSync(path));

/** A fresh instance. What the module takes from a browser is there, and fails when it is called. */
function instantiate() {
  const imports = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function") throw new Error(`the module imports ${kind} ${from}.${name}`);
    imports[from] ??= {};
    imports[from][name] = () => {
      throw new Error(`${name} is only there in a browser`);
    };
  }
  const problems = new WebAssembly.Instance(module, imports).exports;
  try {
    problems.problems_relax();
  } catch (error) {
    // The module from which these instructions were taken.
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  }
  return { problems, count: problems.problems_prepare() };
}

function text(problems) {
  const bytes = new Uint8Array(problems.memory.buffer, problems.problems_text(), problems.problems_text_bytes());
  return new TextDecoder().decode(bytes.slice());
}

let { problems, count } = instantiate();
let failed = 0;
for (let engine = 0; engine < problems.problems_engines(); engine++) {
  problems.problems_describe(engine);
  const name = text(problems);
  const before = failed;
  for (let problem = 0; problem < count; problem++) {
    try {
      if (problems.problems_run(engine, problem) === 0) continue;
      failed++;
      console.log(`  FAILED ${text(problems)}`);
    } catch (error) {
      // A trap, or a panic that has left its message. What it interrupted is not used again.
      failed++;
      console.log(`  FAILED problem ${problem}: ${error.message}: ${text(problems)}`);
      ({ problems, count } = instantiate());
    }
  }
  console.log(`wasm32 engine problems, ${name}: ${count - failed + before} passed, ${failed - before} failed`);
}
if (count < 1000 || failed > 0) process.exit(1);
