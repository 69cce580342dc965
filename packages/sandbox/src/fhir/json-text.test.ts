import { describe, expect, test } from 'vitest'
import { compact, itemsOf, membersOf, rememberText, stamp, textOf } from './json-text.js'
import type { Resource } from './resource.js'

describe('JSON text', () => {
  const text = ' { "a" : [1.00, "]},\\"", {"b": {}}] ,"c\\u0064":"\\\\" , "e" : -1.50e+3 , "f":null } '

  test('members are found whatever their strings and white space hold', () => {
    const slices = membersOf(text).map(({ key, start, end }) => [key, text.slice(start, end)])
    expect(slices).toEqual([
      ['a', '[1.00, "]},\\"", {"b": {}}]'],
      ['cd', '"\\\\"'],
      ['e', '-1.50e+3'],
      ['f', 'null'],
    ])
    expect(membersOf('{}')).toEqual([])
    expect(membersOf('[1]')).toEqual([])
  })

  test('items are found, and an empty list has none', () => {
    const list = '[ 1.00 , {"x":[2]},"y]" ]'
    expect(itemsOf(list, 0).map(({ start, end }) => list.slice(start, end))).toEqual([
      '1.00',
      '{"x":[2]}',
      '"y]"',
    ])
    expect(itemsOf('[ ]', 0)).toEqual([])
  })

  test('compact drops white space between tokens only', () => {
    expect(compact(text)).toBe('{"a":[1.00,"]},\\"",{"b":{}}],"c\\u0064":"\\\\","e":-1.50e+3,"f":null}')
    expect(compact(`"${' x\\" '.repeat(200_000)}"`).length).toBe(1_000_002)
  })

  test('a stamp leaves everything but meta as it was written', () => {
    expect(stamp('{"resourceType":"X","v":1.00}', undefined, '1', 'T')).toBe(
      '{"resourceType":"X","v":1.00,"meta":{"versionId":"1","lastUpdated":"T"}}',
    )
    const meta = { versionId: '1', lastUpdated: 'T', tag: [] }
    const before =
      '{"contained":[{"meta":{"a":1}}],"meta":{"versionId":"1","lastUpdated":"T","tag":[]},"v":1.00}'
    expect(stamp(before, meta, '1', 'T')).toBe(before)
    expect(stamp(before, meta, '2', 'U')).toBe(
      '{"contained":[{"meta":{"a":1}}],"meta":{"versionId":"2","lastUpdated":"U","tag":[]},"v":1.00}',
    )
  })

  test('the text that a resource was read from is its text, until the resource is changed', () => {
    const source = '{"resourceType":"X","v":1.00}'
    const resource = rememberText(JSON.parse(source) as Resource, source)
    expect(textOf(resource)).toBe(source)
    expect(textOf({ ...resource })).toBe('{"resourceType":"X","v":1}')
    Object.assign(resource, { v: 2 })
    expect(textOf(resource)).toBe('{"resourceType":"X","v":2}')
  })
})
