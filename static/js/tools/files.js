// Files between the page and the disk: one that is saved, one that is picked. The only place that does it.

/** @param {Blob} blob @param {string} name */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may read it later than this line
}

/**
 * Needs a fresh click or key of the user, as browsers demand.
 * @param {string} accept as of `<input type=file>`
 * @returns {Promise<File | null>} null where the user takes none
 */
export function pick(accept) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = accept;
  return new Promise((resolve) => {
    input.onchange = () => resolve(input.files?.[0] ?? null);
    input.oncancel = () => resolve(null);
    input.click();
  });
}
