// What there is to know about a comparison, each thing said once.

const NUMBER = /\d+(?:\.\d+)?/g;

/**
 * Both sides of a pair are explained, and what holds for both is noted for both, if with a figure of each. Notes that
 * differ in figures alone become one with the figures of all: "60 and 46 % of the weight".
 * @param {string[]} notes
 * @returns {string[]}
 */
export function saidOnce(notes) {
  /** @type {Map<string, Set<string>[]>} */
  const alike = new Map();
  for (const note of notes) {
    const shape = note.replace(NUMBER, "\0");
    const figures = alike.get(shape) ?? [];
    for (const [at, figure] of [...note.matchAll(NUMBER)].entries()) (figures[at] ??= new Set()).add(figure[0]);
    alike.set(shape, figures);
  }
  return [...alike].map(([shape, figures]) => {
    let at = 0;
    return shape.replaceAll("\0", () => [...figures[at++]].join(" and "));
  });
}
