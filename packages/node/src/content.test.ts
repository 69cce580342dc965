import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { changesBetween, collect, definePlan, usCore } from '@s4s/core'
import { parseScope, readCallback } from '@s4s/core/smart'
import { memoryReader, pageOf } from '@s4s/core/testing'
import { describe, expect, test } from 'vitest'

const packages = fileURLToPath(new URL('../..', import.meta.url))

function* sources(): Iterable<[name: string, text: string]> {
  for (const name of ['core', 'browser', 'node'])
    for (const file of readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' })) {
      if (!/\.tsx?$/.test(file) || /\.test\.|test-support/.test(file)) continue
      yield [[name, ...file.split(sep)].join('/'), readFileSync(join(packages, name, 'src', file), 'utf8')]
    }
}

describe('what a record may hold', () => {
  test.each([
    [
      'T54 no markup is made of it',
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment/,
    ],
    ['T56 no XML is read, and no entity of it', /DOMParser|\bXMLHttp|from '(?:[^']*xml[^']*)'/i],
    ['T58 no pattern is made of it', /new RegExp\(|\bRegExp\(/],
    ['T57 nothing of it is run', /\beval\(|new Function\(|\bimport\([^'"]/],
  ])('%s: there is no such call in the packages', (_, call) => {
    const found = [...sources()].filter(([, text]) => call.test(text)).map(([name]) => name)
    expect(found).toEqual([])
  })

  test('T58 strings of 100 kB go through every parser', async () => {
    const long = [
      'a',
      '/',
      '|',
      '?',
      '%',
      '\\',
      '"reference":"',
      'Patient/',
      '(',
      '&state=',
      ' ',
      '\u2028',
    ].map((one) => one.repeat(100_000 / one.length))
    for (const text of long) {
      parseScope(`patient/Observation.rs?category=${text}`)
      parseScope(text)
      try {
        readCallback(`https://app.example/callback?state=${text}&code=${encodeURIComponent(text)}`)
      } catch {
        // A refusal is an answer too.
      }
      const resource = {
        resourceType: 'Observation',
        id: 'o1',
        category: [{ coding: [{ system: `http://x/${text}`, code: text }] }],
        subject: { reference: text },
        performer: [{ reference: `Practitioner/${text}` }, { reference: text }],
        note: [{ text }],
      }
      const reader = memoryReader({ patient: 'p1', search: () => [pageOf([resource])] })
      const record = await collect(reader, { plan: usCore.only('Laboratory', 'Clinicians') })
      expect(changesBetween([], record).removed).toEqual([])
    }
  }, 60_000)

  test('T57 fifty names of the insides of objects are data classes, ids and codes like others', async () => {
    const insides = [Object.prototype, Array.prototype].flatMap((one) => Object.getOwnPropertyNames(one))
    const names = [...new Set([...insides, 'prototype', 'then', 'toJSON'])].filter((name) =>
      /^\w+$/.test(name),
    )
    expect(names.length).toBeGreaterThan(45)
    const before = Object.getOwnPropertyNames(Object.prototype).length
    const plan = definePlan({
      id: 'names',
      title: 'Names',
      classes: names.map((name) => ({
        name,
        type: 'Observation' as const,
        searches: [{ code: name }],
        says: name,
        spec: '',
      })),
    })
    const reader = memoryReader({
      patient: 'p1',
      search: (_, { code }) => [
        pageOf([
          JSON.parse(
            `{"resourceType":"Observation","id":"${String(code).replaceAll('_', '-')}","code":{"coding":[{"code":"${code}"}]},"__proto__":{"polluted":1}}`,
          ),
        ]),
      ],
    })
    const record = await collect(reader, { plan })
    for (const name of names) expect([name, record.count(name)]).toEqual([name, 1])
    expect(Object.getOwnPropertyNames(Object.prototype).length).toBe(before)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })
})
