import type { BuildOptions, Plugin } from "esbuild";

/** zod brings its messages in some fifty languages, 10 MB of a resident agent's memory; English comes by itself. */
const withoutLocales: Plugin = {
  name: "without-locales",
  setup({ onLoad }) {
    onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: "" }));
  },
};

/** Parts of undici that the agent never calls: mocks, caches, interceptors and event sources, 4 MB of its memory. */
const undiciInParts: Plugin = {
  name: "undici-in-parts",
  setup({ onLoad }) {
    onLoad({ filter: /undici\/lib\/(mock|cache|interceptor|web\/cache|web\/eventsource)\// }, () => ({
      contents: "module.exports = class {}; module.exports.CacheStorage = class {};",
    }));
  },
};

/** ssh2 is faster with these compiled parts and does without; a package for every machine cannot carry them. */
const withoutNativeParts: Plugin = {
  name: "without-native-parts",
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /\.node$|^cpu-features$/ }, ({ path }) => ({ path, namespace: "native" }));
    onLoad({ filter: /./, namespace: "native" }, () => ({
      contents: 'throw new Error("not in this package");',
    }));
  },
};

/** How the agent is made of its sources; a bench that measures parts of it makes them so too. */
export const bundling = {
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22.19",
  minify: true,
  plugins: [withoutLocales, undiciInParts, withoutNativeParts],
  legalComments: "none",
  logLevel: "warning",
  // CommonJS packages inside of an ES module still ask for Node's own modules by `require`, and for their place.
  banner: {
    js: 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);const __dirname=import.meta.dirname;',
  },
} satisfies BuildOptions;
