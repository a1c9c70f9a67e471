// Strengths that differ: a diffusion model starts at one of the entries of its noise schedule, so of all strengths only
// as many do something else as there are entries. Stop n of N is the strength n / N. Pure.

/**
 * The stop that a value falls on, not below `least`.
 * @param {number} value 0..1 @param {number} stops @param {number} least
 */
export function stopOf(value, stops, least) {
  return Math.min(stops, Math.max(least, Math.round(value * stops)));
}

/** The value of a stop, with few decimals and still nearest to that stop. @param {number} stop @param {number} stops */
export function strengthOf(stop, stops) {
  return Math.round((1000 * stop) / stops) / 1000;
}
