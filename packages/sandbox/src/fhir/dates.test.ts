import { describe, expect, test } from 'vitest'
import { type DatePrefix, dateQuery, meets, type Span, spanOf, spansOf } from './dates.js'

const span = (low: string, high: string): Span => ({ low: Date.parse(low), high: Date.parse(high) })

describe('dates', () => {
  test.each([
    ['2024', '2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z'],
    ['2024-12', '2024-12-01T00:00:00Z', '2025-01-01T00:00:00Z'],
    ['2024-02-29', '2024-02-29T00:00:00Z', '2024-03-01T00:00:00Z'],
    ['2024-03-05T10:30Z', '2024-03-05T10:30:00Z', '2024-03-05T10:31:00Z'],
    ['2024-03-05T10:30:15', '2024-03-05T10:30:15Z', '2024-03-05T10:30:16Z'],
    ['2024-03-05T10:30:15.5-05:00', '2024-03-05T15:30:15.5Z', '2024-03-05T15:30:15.6Z'],
    ['2024-03-05T10:30:15.123456Z', '2024-03-05T10:30:15.123Z', '2024-03-05T10:30:15.124Z'],
    ['0050', '0050-01-01T00:00:00Z', '0051-01-01T00:00:00Z'],
  ])('%s covers its whole precision', (text, low, high) => {
    expect(spanOf(text)).toEqual(span(low, high))
  })

  test.each([
    '',
    '24',
    '2024-13',
    '2023-02-29',
    '1900-02-29',
    '2024-04-31',
    '2024-01-01T24:00Z',
    '2024-01-01T10',
    '2024-01-01T10:60Z',
    '2024-01-01T10:00+15:00',
    '2024-1-1',
    ' 2024',
    '2024-01-01 10:00',
  ])('%j is none', (text) => {
    expect(spanOf(text)).toBeUndefined()
  })

  test('a Period without an end goes on, and a Timing has its events', () => {
    expect(spansOf({ start: '2024' })).toEqual([
      { low: Date.parse('2024-01-01'), high: Number.POSITIVE_INFINITY },
    ])
    expect(spansOf({ event: ['2024', '2025', 'x'] })).toHaveLength(2)
    expect(spansOf({ repeat: { boundsPeriod: { end: '2024' } } })).toHaveLength(1)
    for (const nothing of [{}, 7, null, 'x', { start: 7 }]) expect(spansOf(nothing)).toEqual([])
  })

  test('exactly one of lt, eq, gt holds for instants, and le and ge join them', () => {
    const asked = dateQuery('2024-03-05T10:30:15Z')?.span as Span
    for (const text of ['2024-03-05T10:30:14Z', '2024-03-05T10:30:15Z', '2024-03-05T10:30:16Z']) {
      const stored = spanOf(text) as Span
      const holds = (prefix: DatePrefix): boolean => meets(stored, prefix, asked)
      expect([holds('lt'), holds('eq'), holds('gt')].filter(Boolean)).toHaveLength(1)
      expect(holds('le')).toBe(holds('lt') || holds('eq'))
      expect(holds('ge')).toBe(holds('gt') || holds('eq'))
      expect(holds('ne')).toBe(!holds('eq'))
      expect(holds('sa')).toBe(holds('gt'))
      expect(holds('eb')).toBe(holds('lt'))
      expect(holds('ap')).toBe(true)
    }
  })
})
