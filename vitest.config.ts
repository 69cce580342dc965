import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

// Packages resolve to their sources, so that a test never waits for a build.
const conditions = ['@s4s/source', 'module']
const fromSource = {
  resolve: { conditions },
  // Node is no bundler: `module` would have it load files that some packages have for those only.
  ssr: { resolve: { conditions: ['@s4s/source'], externalConditions: ['@s4s/source'] } },
}

const project = (name: string, include: string[], environment: 'node' | 'happy-dom' = 'node') => ({
  ...fromSource,
  test: { name, include, environment, testTimeout: 20_000, hookTimeout: 30_000 },
})

// .ci/run counts the tests from this file.
const report = process.env.TEST_REPORT

export default defineConfig({
  test: {
    // Many tests wait for sockets and disks: one more than there are processors keeps those busy.
    maxWorkers: availableParallelism() + 1,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
    projects: [
      project('core', ['packages/core/src/**/*.test.ts']),
      project('browser', ['packages/browser/src/**/*.test.{ts,tsx}'], 'happy-dom'),
      project('node', ['packages/node/src/**/*.test.ts']),
      project('sandbox', ['packages/sandbox/src/**/*.test.ts']),
      project('examples', ['examples/*/*.test.ts']),
      project('chromium', ['examples/*/*.chromium.ts', 'packages/*/chromium/*.chromium.ts']),
    ],
  },
})
