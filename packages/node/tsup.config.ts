import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'bulk/index': 'src/bulk/index.ts',
    'inbox/index': 'src/inbox/index.ts',
    'export/index': 'src/export/index.ts',
    'cli/s4s': 'src/cli/s4s.ts',
    'store/index': 'src/store/index.ts',
    'worker/index': 'src/worker/index.ts',
  },
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: true,
  sourcemap: true,
  clean: true,
})
