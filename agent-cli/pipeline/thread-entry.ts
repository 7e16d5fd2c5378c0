/** Where a thread begins. The package carries its file beside all others; run from its sources, it lies beside this one. */
export const threadEntry = (name: string): URL =>
  new URL(`./${name}.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);
