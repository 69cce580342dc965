// The floors of the packages, as data. check-floors.mjs holds the sources against them.
// A pattern is a module of the package without its ending; `*` stands for anything. `type:` allows types only.

/** Globals of the language and those that every runtime with the web's APIs has; none reaches the outside. */
const universal = `
  Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Date Error Float64Array Function Infinity
  Int32Array Intl JSON Map Math NaN Number Object Promise Proxy RangeError Reflect RegExp Set SharedArrayBuffer
  String Symbol SyntaxError TypeError URIError Uint8Array Uint16Array Uint32Array WeakMap WeakRef WeakSet
  AggregateError arguments decodeURIComponent encodeURIComponent isNaN isFinite parseFloat parseInt undefined
  AbortController AbortSignal Blob DOMException Headers ReadableStream Request Response TextDecoder TextEncoder
  TransformStream URL URLSearchParams WritableStream atob btoa structuredClone
`
  .trim()
  .split(/\s+/)

/** Members of universal globals that do reach the outside, or that secrets must not come from. */
const reaching = ['Date.now', 'Math.random', 'AbortSignal.timeout', 'new Date()']

const floor0 = ['ports', 'ambient', 'errors']
const util = [...floor0, 'util/*']
const data = ['plans/*', 'vendors/*']

const connecting = [
  ...['client', 'connection', 'stored-connection', 'tokens', 'launches', 'discovery', 'revocation'],
  ...[
    'introspect',
    'app-state',
    'style',
    'user',
    'grant',
    'installation',
    'outlook',
    'backend',
    'service-request',
    'verbs',
    'checkpoint',
    'files',
    ...['recognise', 'patient', 'habits'],
  ],
]

/** Who may import whom; the first row whose `files` match a module is its floor. */
export const floors = [
  {
    root: 'packages/core/src',
    globals: { allow: universal, deny: reaching },
    rows: [
      { files: ['ports', 'errors'], may: [] },
      { files: ['error-table'], may: ['errors'] },
      // The one file that names what reaches the outside.
      {
        files: ['ambient'],
        may: ['type:ports'],
        globals: ['globalThis', 'setTimeout', 'clearTimeout', 'Date.now'],
      },
      { files: ['plans/*'], may: ['plans/*', 'type:fhir/types'] },
      { files: ['vendors/*'], may: ['vendors/*'] },
      { files: ['util/sha256'], may: util, packages: ['@noble/hashes/sha2.js'] },
      { files: ['util/old-hash'], may: util, packages: ['@noble/hashes/legacy.js'] },
      { files: ['util/*'], may: util },
      {
        files: ['smart/*'],
        may: [...util, 'smart/*', 'type:vendors/*', 'type:plans/*'],
        packages: ['oauth4webapi'],
      },
      {
        files: ['fhir/*'],
        may: [...util, 'fhir/*', 'type:vendors/*'],
        packages: ['type:fhir/r4.js'],
      },
      {
        files: [...connecting, 'directory/*'],
        may: [...util, 'smart/*', 'fhir/*', ...data, ...connecting, 'directory/*'],
      },
      {
        files: ['record/*'],
        may: [...util, 'record/*', 'type:fhir/types', 'type:smart/scopes', ...data],
      },
      // The one door to jose, which is loaded when a package is sealed or a signature looked at.
      { files: ['study/jose'], may: util, packages: ['jose'] },
      // What stands where, told with the sentences that the other floors have for it.
      {
        files: ['study/status'],
        may: [...util, 'study/*', 'grant', 'record/explain', 'type:record/*', 'type:plans/*'],
      },
      {
        files: ['study/*'],
        may: [...util, 'study/*', 'type:record/*', 'type:fhir/types', 'type:plans/*'],
        packages: ['type:fhir/r4.js'],
      },
      // Flat tables for researchers: made of what was shared, never of who may read it.
      {
        files: ['tables/*'],
        may: [...util, 'tables/*', 'record/classify', ...data, 'type:study/package', 'type:fhir/types'],
      },
      { files: ['tus'], may: [...util, 'study/*'], packages: ['tus-js-client'] },
      { files: ['zip'], may: [...util, 'study/*'], packages: ['fflate'] },
      { files: ['testing/*'], may: [...util, 'testing/*', 'record/memory-reader', 'type:fhir/types'] },
      // A subpath of its own, and what it opens.
      { files: ['fhir-kit'], may: [...util, 'connection', 'fhir/*'], packages: ['fhir-kit-client'] },
      {
        files: ['confidential'],
        may: ['smart/*', 'backend', 'service-request', 'introspect', 'installation', 'record/patient-guard'],
      },
      { files: ['index'], may: ['*'] },
    ],
  },
  {
    root: 'packages/browser/src',
    globals: {
      deny: ['Math.random', 'console', 'process', 'Buffer', 'require', 'localStorage', 'sessionStorage'],
    },
    rows: [
      {
        files: ['store'],
        may: ['*'],
        packages: ['@s4s/core', 'idb-keyval'],
      },
      { files: ['react/*'], may: ['*'], packages: ['@s4s/core', 'react', 'react-dom'] },
      { files: ['*'], may: ['*'], packages: ['@s4s/core'] },
    ],
  },
  {
    root: 'packages/node/src',
    globals: {
      deny: ['Math.random', 'console', 'window', 'document', 'localStorage', 'navigator', 'location'],
    },
    rows: [
      { files: ['guarded-fetch'], may: [], packages: ['type:@s4s/core', 'undici', 'node:*'] },
      // The one door to the job queue, and the one to telemetry.
      { files: ['worker/queue'], may: ['worker/*', 'store/*'], packages: ['pg-boss', 'node:*'] },
      { files: ['worker/telemetry'], may: ['worker/*'], packages: ['@opentelemetry/api'] },
      { files: ['inbox/resumable'], may: ['*'], packages: ['@tus/server', '@tus/file-store', 'node:*'] },
      { files: ['export/parquet'], may: ['*'], packages: ['hyparquet-writer', 'type:@s4s/core/tables'] },
      {
        files: ['cli/*'],
        may: ['*'],
        packages: ['citty', '@s4s/core', '@s4s/core/smart', '@s4s/core/vendors', 'node:*'],
      },
      {
        files: ['*'],
        may: ['*'],
        packages: ['@s4s/core', '@s4s/core/confidential', '@s4s/core/tables', 'jose', 'node:*'],
      },
    ],
  },
]
