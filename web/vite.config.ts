import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// Everything is addressed relative to the page, so that the interface works behind any prefix:
// a reverse proxy, a notebook server, an SSH tunnel.
export default defineConfig({
  base: "./",
  plugins: [svelte()],
  build: {
    outDir: "../src/epochal/server/static",
    emptyOutDir: true,
    target: "es2023",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { "/api": process.env.EPOCHAL_API ?? "http://127.0.0.1:8420" } },
});
