import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { endpoints } from "./endpoints-plugin.ts";

// `npm run build` puts the page beside the agent's package into what the Worker serves as static assets.
export default defineConfig({
  root: import.meta.dirname,
  plugins: [endpoints(), react()],
  build: {
    outDir: "../dist/assets",
    // The agent's package lies there, too.
    emptyOutDir: false,
    assetsDir: "chunks",
    // Data URLs would need a wider Content-Security-Policy than the page has.
    assetsInlineLimit: 0,
    target: "es2023",
    modulePreload: { polyfill: false },
  },
  // For work on the console: `npx vite console`, with a master running beside it.
  server: {
    proxy: {
      "/api": { target: "http://127.0.0.1:8787", ws: true },
      "/backupx-agent.tgz": "http://127.0.0.1:8787",
    },
  },
});
