import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page is served by aios-console under a strict Content-Security-Policy: nothing inline.
export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": "http://127.0.0.1:9090" } },
});
