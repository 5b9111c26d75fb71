/**
 * The channels that contribute most, with their share of the whole.
 * @param {Float32Array} contributions
 * @param {number} count
 */
export function topChannels(contributions, count) {
  let sum = 0;
  for (const value of contributions) sum += value;
  return Array.from(contributions, (contribution, channel) => ({ channel, contribution, share: sum === 0 ? 0 : contribution / sum }))
    .sort((a, b) => b.contribution - a.contribution)
    .slice(0, count);
}
