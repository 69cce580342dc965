// What the tests of a file run against, as its imports tell.
import ts from 'typescript'

const kinds = [
  ['the sandbox (oidc-provider)', /^@s4s\/sandbox|\/town\.js$/],
  ['a scripted server over sockets', /test-support\/(ehr|server)\.js$|^node:(http|https|net|tls)$/],
  ['a simulated browser', /^\.\.\/test-support\/browser\.js$/],
  ['a real Postgres and PGlite', /^@electric-sql\/pglite$|test-support\/(postgres|databases)\.js$/],
  ['a FHIR server (Medplum)', /test-support\/fhir-server\.js$/],
  ['an object store (s3rver)', /test-support\/object-storage\.js$|^@aws-sdk\/client-s3$/],
  ['the published R4 definitions', /test-support\/validator\.js$/],
  ['DuckDB', /^@duckdb\/node-api$|test-support\/duckdb\.js$/],
  ['processes of their own', /^node:child_process$|test-support\/child\.js$/],
  ['an inbox over sockets', /test-support\/desk\.js$/],
  ['files on disk', /^node:fs/],
  ['properties', /^fast-check$/],
]
// Nothing that reaches out of the process.
const pure =
  /^(vitest|fast-check|fflate|happy-dom|jose|papaparse|.*test-support\/(packed|seeded)\.js|(?!.*test-support)\..*|node:(assert.*|buffer|crypto|module|os|path|url|util|v8|vm|zlib))$/

/**
 * In words; throws for a file of which it cannot be told.
 *
 * @param {string} file
 * @param {string} text
 * @returns {string}
 */
export function groundOf(file, text) {
  if (file.endsWith('.chromium.ts')) return 'Chromium, on the sandbox'
  const imports = ts.preProcessFile(text).importedFiles.map(({ fileName }) => fileName)
  const found = kinds.filter(([, pattern]) => imports.some((name) => pattern.test(name)))
  const words = found.map(([name]) => name)
  if (words.some((name) => name !== 'properties')) return words.join(', ')
  const odd = imports.find((name) => !pure.test(name))
  if (odd) throw new Error(`${file}: what its tests run against cannot be told, it imports ${odd}`)
  return ['pure functions', ...words].join(', ')
}
