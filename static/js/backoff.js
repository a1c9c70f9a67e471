// How long to wait before the next try, for all that tries again. Pure: chance is an argument.

export const FIRST_PAUSE_MS = 1_000;
export const LONGEST_PAUSE_MS = 15_000;

/**
 * Doubling pauses, spread by a quarter either way so that the pages of a restarted server do not return at once.
 * @param {number} attempt tries since it worked @param {number} chance 0..1
 * @param {number | null} [wished] the server's own wish, in milliseconds
 */
export function pause(attempt, chance, wished = null) {
  const doubled = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.max(0, attempt - 1));
  return wished ?? doubled * (0.75 + chance / 2);
}
