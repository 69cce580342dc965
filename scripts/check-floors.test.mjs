import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findFaults } from './check-floors.mjs'
import { floors } from './floors.mjs'

const [core, browser, node] = floors
const faults = (area, files) => findFaults(area, new Map(Object.entries(files)))

const wrong = {
  'smart/ imports a FHIR module': [
    core,
    { 'smart/a.ts': "import { b } from '../fhir/b.js'; b()" },
    /must not import \.\.\/fhir\/b\.js$/,
  ],
  'fhir/ imports a token module': [core, { 'fhir/a.ts': "export * from '../tokens.js'" }, /tokens/],
  'fhir/ imports a token type': [core, { 'fhir/a.ts': "import type { T } from '../tokens.js'" }, /tokens/],
  'record/ imports a reader as a value': [
    core,
    { 'record/a.ts': "import { parse } from '../fhir/types.js'; parse()" },
    /except for its types/,
  ],
  'study/ imports a record as a value': [
    core,
    { 'study/a.ts': "import { type A, b } from '../record/record.js'; b()" },
    /except for its types/,
  ],
  'study/ loads a connection at run time': [
    core,
    { 'study/a.ts': "await import('../connection.js')" },
    /connection/,
  ],
  'study/ asks for a type in the import form': [
    core,
    { 'study/a.ts': "export type A = import('../connection.js').A" },
    /connection/,
  ],
  'a computed import': [core, { 'util/a.ts': 'export const a = (b) => import(b)' }, /not a plain string/],
  'util/ goes up': [core, { 'util/a.ts': "import '../study/study.js'" }, /study/],
  'plans call a function of util/': [core, { 'plans/a.ts': "import { a } from '../util/a.js'; a()" }, /util/],
  'a second door to oauth4webapi': [
    core,
    { 'util/a.ts': "import * as oauth from 'oauth4webapi'; oauth.x" },
    /oauth4webapi/,
  ],
  'a second door to fhir-kit-client': [
    core,
    { 'record/a.ts': "import { Client } from 'fhir-kit-client'; Client" },
    /fhir-kit-client/,
  ],
  'core imports Node': [core, { 'util/a.ts': "import { join } from 'node:path'; join()" }, /node:path/],
  'core leaves its folder': [core, { 'index.ts': "export * from '../../browser/src/index.js'" }, /browser/],
  'a file on no floor': [core, { 'helpers/a.ts': '' }, /no floor/],
  'core calls fetch': [core, { 'util/a.ts': "export const a = () => fetch('x')" }, /must not name fetch$/],
  'core calls globalThis.fetch': [
    core,
    { 'util/a.ts': "export const a = () => globalThis.fetch('x')" },
    /globalThis/,
  ],
  'core passes fetch on': [core, { 'util/a.ts': 'export const a = { fetch }' }, /fetch/],
  'core exports the global': [core, { 'util/a.ts': 'export { setTimeout as later }' }, /setTimeout/],
  'core reads the time': [core, { 'util/a.ts': 'export const a = () => Date.now()' }, /Date\.now/],
  'core reads the time by element': [
    core,
    { 'util/a.ts': "export const a = () => Date['now']()" },
    /Date\.now/,
  ],
  'core takes now out of Date': [core, { 'util/a.ts': 'const { now } = Date; now()' }, /Date\.now/],
  'core makes a Date of now': [core, { 'util/a.ts': 'export const a = new Date()' }, /new Date\(\)/],
  'core rolls dice': [core, { 'util/a.ts': 'export const a = Math.random()' }, /Math\.random/],
  'core waits': [core, { 'record/a.ts': 'setTimeout(() => {}, 1)' }, /setTimeout/],
  'core sets a timer by a signal': [core, { 'util/a.ts': 'AbortSignal.timeout(1)' }, /AbortSignal\.timeout/],
  'core asks for window': [core, { 'util/a.ts': "export const a = typeof window === 'undefined'" }, /window/],
  'core asks for process': [core, { 'util/a.ts': 'export const a = process.env' }, /process/],
  'core uses Buffer': [core, { 'util/a.ts': "Buffer.from('a')" }, /Buffer/],
  'core logs': [core, { 'util/a.ts': "console.log('a')" }, /console/],
  'core evaluates text': [core, { 'util/a.ts': "eval('1')" }, /eval/],
  'browser imports the inside of core': [browser, { 'a.ts': "import '@s4s/core/src/tokens.js'" }, /tokens/],
  'browser imports confidential': [
    browser,
    { 'a.ts': "import { clientSecret } from '@s4s/core/confidential'; clientSecret" },
    /confidential/,
  ],
  'browser imports node': [browser, { 'a.ts': "import '@s4s/node'" }, /@s4s\/node/],
  'a second door to idb-keyval': [
    browser,
    { 'lock.ts': "import { get } from 'idb-keyval'; get" },
    /idb-keyval/,
  ],
  'browser uses localStorage': [browser, { 'a.ts': "localStorage.getItem('a')" }, /localStorage/],
  'node imports browser': [node, { 'a.ts': "import '@s4s/browser'" }, /@s4s\/browser/],
  'a source imports what tests share': [
    node,
    { 'a.ts': "import { a } from './test-support/a.js'; a()" },
    /test-support/,
  ],
  'node names window': [node, { 'a.ts': 'window.close()' }, /window/],
}

for (const [title, [area, files, expected]] of Object.entries(wrong))
  test(`found: ${title}`, () => {
    const found = faults(area, files)
    assert.notEqual(found.length, 0)
    assert.match(found[found.length - 1], expected)
    assert.match(found[0], /^[\w/-]+\.ts:1 /)
  })

const right = {
  'types of a lower floor': [
    core,
    {
      'study/a.ts': "import type { A } from '../record/record.js'; import { type B } from '../plans/plan.js'",
    },
  ],
  'a local name like a global': [core, { 'util/a.ts': 'export const a = (fetch, window) => fetch(window)' }],
  'a member like a global': [
    core,
    { 'util/a.ts': 'export const a = (port) => port.fetch(port.console, { setTimeout: 1 })' },
  ],
  'a parameter taken apart': [
    core,
    { 'util/a.ts': 'export const a = ({ fetch, clock: { now } }) => [fetch(), now()]' },
  ],
  'an imported name like a global': [core, { 'util/a.ts': "import { process } from './b.js'; process()" }],
  'a type that is a global': [core, { 'util/a.ts': 'export let a: typeof fetch | Response' }],
  'an interface of a global': [core, { 'util/a.ts': 'export interface A extends AsyncIterable<1> {}' }],
  'a Date of a moment': [core, { 'util/a.ts': 'export const a = (ms) => new Date(ms)' }],
  'the ambient file': [
    core,
    { 'ambient.ts': 'export const now = () => Date.now(); export const f = () => globalThis.fetch()' },
  ],
  'the door of oauth4webapi': [core, { 'smart/token.ts': "import * as oauth from 'oauth4webapi'; oauth.a" }],
  'the door of idb-keyval': [browser, { 'store.ts': "import { get } from 'idb-keyval'; get" }],
  'node with its own': [
    node,
    { 'a.ts': "import { createServer } from 'node:http'; import * as jose from 'jose'; createServer(jose)" },
  ],
}

for (const [title, [area, files]] of Object.entries(right))
  test(`allowed: ${title}`, () => assert.deepEqual(faults(area, files), []))
