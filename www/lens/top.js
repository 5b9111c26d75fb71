/**
 * The channels that contribute most, with their share of all that speaks for the class: of the similarity itself where
 * nothing speaks against it, as in the faithful form on non-negative activations.
 * @param {Float32Array} contributions
 * @param {number} count
 */
export function topChannels(contributions, count) {
  let sum = 0;
  for (const value of contributions) sum += Math.max(0, value);
  return Array.from(contributions, (contribution, channel) => ({
    channel,
    contribution,
    share: sum === 0 ? 0 : contribution / sum,
  }))
    .sort((a, b) => b.contribution - a.contribution)
    .slice(0, count);
}
