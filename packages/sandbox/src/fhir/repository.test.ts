import { describe, expect, test } from 'vitest'
import { createPages, type Findings } from './pages.js'
import { createRepository } from './repository.js'
import { asker } from './test-support/ask.js'

const observation = (
  id: string,
  patient: string,
): { resourceType: string; id: string; [element: string]: unknown } => ({
  resourceType: 'Observation',
  id,
  subject: { reference: `Patient/${patient}` },
})
const provenance = { resourceType: 'Provenance', id: 'p', target: [{ reference: 'Observation/o' }] }

describe('a repository', () => {
  test('a Provenance follows its target into the record where that is, whichever came first', () => {
    for (const order of [
      [observation('o', 'a'), provenance],
      [provenance, observation('o', 'a')],
    ]) {
      const repository = createRepository(order)
      expect(repository.get('Provenance', 'p')?.owners).toEqual(new Set(['a']))
      repository.put(observation('o', 'b'))
      expect(repository.get('Provenance', 'p')?.owners).toEqual(new Set(['b']))
      expect([...repository.of('a')]).toEqual([])
      expect([...repository.of('b', 'Provenance')].length).toBe(1)
    }
  })

  test('who only performed, recorded or subscribed does not own', () => {
    const repository = createRepository([
      { ...observation('o', 'child'), performer: [{ reference: 'Patient/parent' }] },
      {
        resourceType: 'Coverage',
        id: 'c',
        beneficiary: { reference: 'Patient/child' },
        subscriber: { reference: 'Patient/parent' },
      },
    ])
    expect([...repository.of('parent')]).toEqual([])
    expect([...repository.of('child')].length).toBe(2)
  })

  test('a resource that moves to another patient leaves the first', () => {
    const repository = createRepository([observation('o', 'a')])
    repository.put(observation('o', 'b'))
    expect([...repository.of('a')]).toEqual([])
    repository.remove('Observation', 'o')
    expect([...repository.of('b')]).toEqual([])
    expect(repository.removed('Observation', 'o')?.owners).toEqual(new Set(['b']))
  })

  test('the tombstone of another patient is not told of', async () => {
    const repository = createRepository([observation('o', 'a'), observation('mine', 'b')])
    repository.remove('Observation', 'o')
    repository.remove('Observation', 'mine')
    const asked = asker(repository, { scopes: ['patient/*.rs'], patient: 'b' })
    expect((await asked.request('Observation/o')).status).toBe(404)
    expect((await asked.request('Observation/mine')).status).toBe(410)
  })

  test('putting the same again changes nothing; the resource given out is a copy', () => {
    const repository = createRepository([
      { ...observation('o', 'a'), meta: { versionId: '1', lastUpdated: '2020-01-01T00:00:00Z' } },
    ])
    const given = repository.get('Observation', 'o')?.resource
    repository.put(given as never)
    expect(repository.get('Observation', 'o')?.version).toBe('1')
    Object.assign(given as object, { status: 'mine' })
    expect(repository.get('Observation', 'o')?.resource.status).toBeUndefined()
  })

  test('a version that could not stand in a header is not taken', async () => {
    const repository = createRepository([
      { ...observation('o', 'a'), meta: { versionId: '1"\r\nX-Evil: 1' } },
    ])
    const response = await asker(repository).request('Observation/o')
    expect(response.headers.get('etag')).toBe('W/"1"')
    expect(response.headers.get('x-evil')).toBeNull()
  })

  test('shared resources may refer to each other in circles', () => {
    const repository = createRepository([
      { ...observation('o', 'a'), performer: [{ reference: 'Organization/x' }] },
      { resourceType: 'Organization', id: 'x', partOf: { reference: 'Organization/y' } },
      { resourceType: 'Organization', id: 'y', partOf: { reference: 'Organization/x' } },
      { resourceType: 'Organization', id: 'z' },
    ])
    expect([...repository.shared('a')].sort()).toEqual(['Organization/x', 'Organization/y'])
  })
})

describe('page chains', () => {
  const findings = (size: number): Findings => ({
    matches: Array(size),
    includes: [],
    count: 1,
    self: '',
    issues: [],
    total: true,
    letters: ['s'],
  })

  test('the oldest expire when together they hold too much, never the one just asked for', () => {
    const pages = createPages(10)
    const first = pages.cursor(findings(6), 1)
    const kept = findings(4)
    const second = pages.cursor(kept, 1)
    expect(pages.open(first)).toBeDefined()
    pages.cursor(kept, 2)
    const third = pages.cursor(findings(5), 1)
    expect(
      [pages.open(first), pages.open(second), pages.open(third)].map((one) => one !== undefined),
    ).toEqual([false, true, true])
    const huge = pages.cursor(findings(100), 1)
    expect(pages.open(huge)).toBeDefined()
    expect(pages.open(third)).toBeUndefined()
  })
})
