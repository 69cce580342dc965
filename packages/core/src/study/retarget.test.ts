import fc from 'fast-check'
import { expect, test } from 'vitest'
import { retarget, type Target } from './retarget.js'

const target: Target = {
  iss: 'https://mercy.example/r4',
  idFor: (name) =>
    /^(Observation|Patient)\/[a-z0-9]+$/.test(name) ? `new-${name.split('/')[1]}` : undefined,
}
const sent = (line: string) => retarget(line, target).text
const referring = (reference: string): unknown =>
  JSON.parse(sent(JSON.stringify({ resourceType: 'Observation', id: 'a', subject: { reference } }))).subject
    .reference

test('a resource goes under a new id, says where it was, and keeps every other letter', () => {
  expect(
    retarget(
      `{ "resourceType":"Observation", "id" : "a", "value": 1.00, "big":12345678901234567890 }`,
      target,
    ),
  ).toEqual({
    name: 'Observation/new-a',
    text: `{ "resourceType":"Observation", "id" : "new-a","meta":{"source":"https://mercy.example/r4/Observation/a"}, "value": 1.00, "big":12345678901234567890 }`,
  })
})

test('what a resource says of its own source stays, and else it is added to its meta', () => {
  const meta = (text: string): string => sent(`{"meta":${text},"resourceType":"Patient","id":"a"}`)
  const own = '"source":"https://mercy.example/r4/Patient/a"'
  expect(meta('{"source":"urn:x"}')).toContain('"meta":{"source":"urn:x"}')
  expect(meta('{"versionId":"1"}')).toContain(`"meta":{${own},"versionId":"1"}`)
  expect(meta('{ }')).toContain(`"meta":{${own} }`)
  expect(JSON.parse(meta('null'))).toMatchObject({ id: 'new-a', meta: null })
})

test('a reference leads to what goes along, and otherwise back to where it came from', () => {
  expect(referring('Patient/p')).toBe('Patient/new-p')
  expect(referring('Patient/p/_history/3')).toBe('Patient/new-p')
  expect(referring('https://mercy.example/r4/Patient/p')).toBe('Patient/new-p')
  expect(referring('https://mercy.example/r4/Practitioner/9')).toBe('https://mercy.example/r4/Practitioner/9')
  expect(referring('https://mercy.example/r4x/Patient/p')).toBe('https://mercy.example/r4x/Patient/p')
  expect(referring('Practitioner/9')).toBe('https://mercy.example/r4/Practitioner/9')
  expect(referring('#p')).toBe('#p')
  expect(referring('urn:uuid:9b7d3f3e-0d27-4c5c-8c9e-6f0f0d3b2a11')).toBe(
    'urn:uuid:9b7d3f3e-0d27-4c5c-8c9e-6f0f0d3b2a11',
  )
})

test('no reference of a record looks anything up at the server that it is sent to', () => {
  for (const hostile of [
    'Patient?identifier=x',
    '/Patient/7',
    '../Patient/7',
    '//x.example/Patient/7',
    'Patient/p#x',
  ])
    expect(String(referring(hostile)), hostile).toMatch(/^https:\/\/mercy\.example\/r4\//)
})

test('a file’s relative address is made absolute, an extension’s name is left alone', () => {
  const line = `{"resourceType":"Observation","id":"a","x":[{"attachment":{"url":"Binary/1"}},{"url":"ombCategory"},{"url":"Patient/p"}]}`
  expect(JSON.parse(sent(line)).x).toEqual([
    { attachment: { url: 'https://mercy.example/r4/Binary/1' } },
    { url: 'ombCategory' },
    { url: 'https://mercy.example/r4/Patient/p' },
  ])
})

test('what is contained keeps its ids, and a text that looks like a reference is a text', () => {
  const line = `{"resourceType":"Observation","id":"a","contained":[{"resourceType":"Patient","id":"p"}],"note":[{"text":"{\\"reference\\":\\"Patient/p\\"}"}],"\\u0072eference":"Patient/p"}`
  const found = JSON.parse(sent(line))
  expect(found.contained).toEqual([{ resourceType: 'Patient', id: 'p' }])
  expect(found.note).toEqual([{ text: '{"reference":"Patient/p"}' }])
  expect(found.reference).toBe('Patient/new-p')
})

/** The same by parsing: right, but for the digits of numbers. */
function byParsing(value: unknown, depth = 0): unknown {
  if (Array.isArray(value)) return value.map((one) => byParsing(one, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => {
      if (depth === 0 && key === 'id') return [key, `new-${one}`]
      if (key === 'reference' && one === 'Patient/p') return [key, 'Patient/new-p']
      return [key, byParsing(one, depth + 1)]
    }),
  )
}

test('whatever a resource holds, nothing in it changes but ids, references and its source', () => {
  const key = fc.oneof(fc.constantFrom('reference', 'id', 'meta', 'a"b', 'x'), fc.string())
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom('Patient/p', '#x', 'a\\', '"', null, true, 0.1),
      fc.array(tie('json'), { maxLength: 3 }),
      fc.dictionary(key, tie('json'), { maxKeys: 4 }),
    ),
  }))
  fc.assert(
    fc.property(json, fc.constantFrom(0, 2), (body, space) => {
      const resource = { resourceType: 'Observation', id: 'a', meta: { source: 'urn:x' }, body }
      const copy = JSON.parse(
        JSON.stringify(resource, (name, value) =>
          name === 'reference' && value !== 'Patient/p' && typeof value === 'string' ? 'Patient/p' : value,
        ),
      )
      expect(JSON.parse(sent(JSON.stringify(copy, null, space)))).toEqual(byParsing(copy))
    }),
    { numRuns: 300 },
  )
})

test('a line that is no resource is not sent', () => {
  for (const line of ['', '[]', '{}', '{"resourceType":"Observation"}', '{"resourceType":"Other","id":"a"}'])
    expect(() => sent(line)).toThrow(TypeError)
})
