import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'tsup'

const here = dirname(fileURLToPath(import.meta.url))

// fhir-kit-client is bundled, but only what builds URLs and searches. Its network call, which pulls in agentkeepalive
// and debug, and all that follows links are left out: so core loads in a browser, a worker, Deno or Bun with no
// bundler in between, and holds one way to the network.
const standIns: Readonly<Record<string, string>> = {
  './http-client.js': 'http-client.js',
  './reference-resolver.js': 'nothing.js',
  './pagination.js': 'nothing.js',
  './smart.js': 'nothing.js',
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
  sourcemap: true,
  clean: true,
  dts: false,
  silent: true,
  noExternal: ['fhir-kit-client'],
  esbuildPlugins: [
    {
      name: 'stand-ins',
      setup(build) {
        build.onResolve({ filter: /^\.\// }, ({ path, importer }) => {
          const standIn = /fhir-kit-client[\\/]dist/.test(importer) ? standIns[path] : undefined
          return standIn === undefined
            ? undefined
            : { path: join(here, 'build', standIn), sideEffects: false }
        })
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
