import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'tsup'

const here = dirname(fileURLToPath(import.meta.url))

// fhir-kit-client is bundled without what it only needs for its own network call and log, so that core loads
// in a browser, a worker, Deno or Bun with no bundler in between.
const standIns: Readonly<Record<string, string>> = {
  agentkeepalive: 'no-agent.js',
  debug: 'no-debug.js',
  'json-stringify-safe': 'no-stringify.js',
}

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    confidential: 'src/confidential.ts',
    'testing/index': 'src/testing/index.ts',
    'vendors/index': 'src/vendors/index.ts',
  },
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  splitting: true,
  treeshake: false,
  sourcemap: true,
  clean: true,
  dts: false,
  silent: true,
  noExternal: ['fhir-kit-client'],
  esbuildPlugins: [
    {
      name: 'stand-ins',
      setup(build) {
        build.onResolve({ filter: new RegExp(`^(${Object.keys(standIns).join('|')})$`) }, ({ path }) => ({
          path: join(here, 'build', standIns[path] as string),
        }))
      },
    },
  ],
  // What is bundled is distributed, and its licence asks to travel along.
  async onSuccess() {
    const licence = await readFile(join(here, 'node_modules/fhir-kit-client/LICENSE'), 'utf8')
    await writeFile(
      join(here, 'dist/THIRD-PARTY.txt'),
      `This folder contains parts of fhir-kit-client, under this licence:\n\n${licence}`,
    )
  },
})
