import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parsePage } from './bundle.js'

const bundle = (entries: string, more = ''): string =>
  `{"resourceType":"Bundle","type":"searchset"${more},"entry":[${entries}]}`

test('PR-11 a resource keeps the digits of its numbers', () => {
  const page = parsePage(() =>
    bundle('{"resource":{"resourceType":"Observation","id":"1","valueQuantity":{"value":1.00}}}'),
  )?.page
  expect(page?.entries[0]?.text).toBe(
    '{"resourceType":"Observation","id":"1","valueQuantity":{"value":1.00}}',
  )
})

test('PR-11 a pretty-printed resource comes out on one line and means the same', () => {
  const resource = {
    resourceType: 'Patient',
    id: 'p',
    name: [{ text: 'A "quoted" \\ name\n' }],
    extension: [],
  }
  const text = JSON.stringify(
    { resourceType: 'Bundle', entry: [{ fullUrl: 'x', resource, search: { mode: 'match' } }] },
    null,
    '\t',
  )
  const entry = parsePage(() => text)?.page.entries[0]
  expect(entry?.text).not.toMatch(/[\r\n]/)
  expect(JSON.parse(entry?.text ?? '')).toEqual(resource)
})

test('F10 an OperationOutcome in place of a Bundle is not a page', () => {
  expect(parsePage(() => '{"resourceType":"OperationOutcome","issue":[]}')).toBeUndefined()
})

test.each([
  '',
  'null',
  '5',
  '"x"',
  '[]',
  '{',
  '<html>',
  '{"resourceType":"Patient"}',
  '{"resourceType":"Bundle","entry":{}}',
  `${'['.repeat(300)}${']'.repeat(300)}`,
])('F14 %.40s is not a page', (text) => {
  expect(parsePage(() => text)).toBeUndefined()
})

test('F16 entries without a resource are counted, not dropped silently', () => {
  const page = parsePage(() =>
    bundle('{"fullUrl":"x"},5,{"resource":null},{"resource":{"resourceType":"Patient","id":"p"}}'),
  )?.page
  expect(page?.invalid).toBe(3)
  expect(page?.entries.map((entry) => entry.text)).toEqual(['{"resourceType":"Patient","id":"p"}'])
})

test('PR-07 an OperationOutcome among the entries is kept as a warning, without its text', () => {
  const page = parsePage(() =>
    bundle(
      '{"resource":{"resourceType":"OperationOutcome","issue":[{"severity":"warning","code":"suppressed","diagnostics":"Jane Doe","details":{"coding":[{"code":"4119"}]}}]},"search":{"mode":"outcome"}}',
    ),
  )?.page
  expect(page?.outcomes).toEqual([{ severity: 'warning', code: 'suppressed', detail: '4119' }])
  expect(page?.entries).toEqual([])
})

test('whatever the layout of the page, each entry’s text is the resource that was parsed', () => {
  const spaced = fc.tuple(
    fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
    fc.constantFrom(undefined, 1, '\t'),
  )
  fc.assert(
    fc.property(spaced, ([contents, indent]) => {
      const entry = contents.map((content, index) => ({
        search: { 'mode "x"': ']}' },
        resource: { ...content, resourceType: 'Basic', id: String(index) },
      }))
      const page = parsePage(() =>
        JSON.stringify({ entryText: '"entry":[', resourceType: 'Bundle', entry, link: [] }, null, indent),
      )?.page
      expect(page?.entries.length).toBe(contents.length)
      for (const { text, resource } of page?.entries ?? []) expect(JSON.parse(text)).toEqual(resource)
    }),
  )
})

test('T57 keys such as __proto__ change nothing but the resource that holds them', () => {
  const text = bundle('{"resource":{"resourceType":"Basic","id":"1","__proto__":{"polluted":true}}}')
  expect(parsePage(() => text)?.page.entries[0]?.text).toContain('"__proto__":{"polluted":true}')
  expect(({} as Record<string, unknown>).polluted).toBeUndefined()
})
