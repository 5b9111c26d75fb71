/**
 * The channels that contribute most of those that fire in the image, with their share of all that speaks for the
 * class: of the similarity itself where nothing speaks against it, as in the faithful form on non-negative
 * activations.
 * @param {Float32Array} contributions
 * @param {number} count
 * @param {Float32Array} present what each channel has in the image: those over 0 fire; empty if that is not known
 */
export function topChannels(contributions, count, present) {
  let sum = 0;
  for (const value of contributions) sum += Math.max(0, value);
  return Array.from(contributions, (contribution, channel) => ({
    channel,
    contribution,
    share: sum === 0 ? 0 : contribution / sum,
  }))
    .filter(({ channel, contribution }) => present.length === 0 || (present[channel] > 0 && contribution > 0))
    .sort((a, b) => b.contribution - a.contribution)
    .slice(0, count);
}
