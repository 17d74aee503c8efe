import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

// Puts a .gz beside every built text file: the Go handler sends it to browsers that take gzip, at no cost per request.
function gzip(): Plugin {
  let out = '';
  return {
    name: 'gzip',
    apply: 'build',
    configResolved(config) {
      out = config.build.outDir;
    },
    closeBundle() {
      for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const body = readFileSync(path);
        const packed = gzipSync(body, { level: 9 });
        if (packed.length < body.length * 0.9) writeFileSync(path + '.gz', packed);
      }
    },
  };
}

// Keeps dist/.gitkeep, which makes `go vet` work in a fresh clone, when Vite empties the folder.
function gitkeep(): Plugin {
  return {
    name: 'gitkeep',
    apply: 'build',
    closeBundle() {
      writeFileSync('dist/.gitkeep', '');
    },
  };
}

export default defineConfig({
  plugins: [svelte({ configFile: false }), gzip(), gitkeep()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the Content-Security-Policy lets no data: scripts or styles in
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000, // hls.js and the reference are lazy chunks, and large by nature
    rolldownOptions: { input: { index: 'index.html', reference: 'reference.html' } },
  },
  server: {
    // `npm run dev` beside a running `sluice serve` on its default address.
    proxy: Object.fromEntries(
      ['/v1', '/stream', '/openapi.json', '/uploads'].map((path) => [path, 'http://127.0.0.1:8080']),
    ),
  },
});
