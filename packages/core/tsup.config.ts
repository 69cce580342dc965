import { defineConfig } from 'tsup'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    'smart/index': 'src/smart/index.ts',
    confidential: 'src/confidential.ts',
    'fhir-kit': 'src/fhir-kit.ts',
    installation: 'src/installation.ts',
    'plans/index': 'src/plans/index.ts',
    'tables/index': 'src/tables/index.ts',
    tus: 'src/tus.ts',
    'testing/index': 'src/testing/index.ts',
    'vendors/index': 'src/vendors/index.ts',
    zip: 'src/zip.ts',
  },
  format: 'esm',
  target: 'es2022',
  platform: 'neutral',
  splitting: true,
  sourcemap: true,
  clean: true,
  dts: false,
  silent: true,
})
