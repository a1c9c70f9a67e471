// How often a control may send: `throttle` for sliders, `debounce` for text. Both always send the last value.

/**
 * @template T
 * @typedef {object} Pacer
 * @property {(value: T) => void} push sends `value` now or later, unless a newer one replaces it
 * @property {() => void} flush sends what waits, at once
 * @property {() => void} drop forgets what waits
 * @property {() => boolean} waiting whether something waits
 */

/**
 * At most one send per `interval` milliseconds, the first at once.
 * @template T
 * @param {(value: T) => void} send
 * @param {number} interval
 * @returns {Pacer<T>}
 */
export function throttle(send, interval) {
  let free = true;
  const waiting = holder(send);
  function open() {
    free = !waiting.flush();
    if (!free) setTimeout(open, interval);
  }
  return {
    push(value) {
      waiting.put(value);
      if (free) open();
    },
    flush: () => void waiting.flush(),
    drop: waiting.drop,
    waiting: waiting.some,
  };
}

/**
 * One send, `pause` milliseconds after the last push.
 * @template T
 * @param {(value: T) => void} send
 * @param {number} pause
 * @returns {Pacer<T>}
 */
export function debounce(send, pause) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const waiting = holder(send);
  return {
    push(value) {
      waiting.put(value);
      clearTimeout(timer);
      timer = setTimeout(waiting.flush, pause);
    },
    flush() {
      clearTimeout(timer);
      waiting.flush();
    },
    drop() {
      clearTimeout(timer);
      waiting.drop();
    },
    waiting: waiting.some,
  };
}

/** @template T @param {(value: T) => void} send */
function holder(send) {
  /** @type {{ value: T } | null} */
  let held = null;
  return {
    /** @param {T} value */
    put(value) {
      held = { value };
    },
    drop() {
      held = null;
    },
    some() {
      return held !== null;
    },
    /** @returns {boolean} whether there was something to send */
    flush() {
      if (held === null) return false;
      const { value } = held;
      held = null;
      send(value);
      return true;
    },
  };
}
