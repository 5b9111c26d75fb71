// axe-core in a page.

import axe from "axe-core";

/** Violations of axe-core's rules (WCAG 2.2 A and AA, best practices), one line each. */
export async function violations(page) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes
        .map(node => node.target.join(" "))
        .slice(0, 5)
        .join(", ")}`,
  );
}
