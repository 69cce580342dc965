import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { s4sPilot, usCore } from '../plans/index.js'
import {
  actionOf,
  allows,
  compareScopes,
  covers,
  granular,
  launchScope,
  narrow,
  normalize,
  parseScope,
  printScope,
  scopeFromUri,
  scopesOf,
  scopeToUri,
  splitScopes,
} from './scopes.js'

const category = 'http://terminology.hl7.org/CodeSystem/observation-category'
const lab = granular('Observation', { category: `${category}|laboratory` })

describe('a scope taken apart', () => {
  test('N-03 N-04 N-06 resource scopes of both syntaxes are read, with their constraint', () => {
    expect(parseScope(`patient/Observation.rs?category=${category}|laboratory`)).toEqual({
      level: 'patient',
      type: 'Observation',
      actions: 'rs',
      query: `category=${category}|laboratory`,
    })
    expect(parseScope('user/*.read')).toEqual({ level: 'user', type: '*', actions: 'rs' })
    expect(parseScope('system/Patient.cruds')).toEqual({ level: 'system', type: 'Patient', actions: 'cruds' })
    expect(lab).toBe(`patient/Observation.rs?category=${category}|laboratory`)
  })

  test.each([
    'openid',
    'launch/patient',
    'patient/Observation.sr',
    'patient/Observation.',
    'patient/.rs',
    'patient/Observation.constructor',
    'patient/Observation.rs?',
    'patient/Observation.rs?category',
    'practitioner/Observation.rs',
    'x'.repeat(100_000),
  ])('N-02 %.40s is not a resource scope', (text) => {
    expect(parseScope(text)).toBeUndefined()
  })

  test.each([
    ['create', 'c'],
    ['read', 'r'],
    ['vread', 'r'],
    ['history-instance', 'r'],
    ['update', 'u'],
    ['patch', 'u'],
    ['delete', 'd'],
    ['search', 's'],
    ['history-type', 's'],
    ['history-system', 's'],
  ] as const)('N-01 %s needs the action %s', (interaction, letter) => {
    expect(actionOf(interaction)).toBe(letter)
  })

  test('N-07 modifiers, chains and _filter in a constraint are kept', () => {
    const scope = 'patient/Observation.rs?code:in=http://x&subject.name=a%26b&_filter=status%20eq%20final'
    expect(printScope(parseScope(scope) as never)).toEqual([
      'patient/Observation.rs?_filter=status%20eq%20final&code:in=http://x&subject.name=a%26b',
    ])
  })

  test('N-12 scopes of an extension pass as they are', () => {
    const scopes = ['__vendor', 'https://ehr.example/scopes/x']
    expect(normalize(scopes)).toEqual(scopes)
    expect(covers(scopes, ['__vendor'])).toBe(true)
    expect(covers(scopes, ['__other'])).toBe(false)
  })

  test('N-15 the category that was published with a slip is the category that was meant', () => {
    const published = `patient/Observation.rs?category=http://terminology.hl7.org//CodeSystem-observation-category|social-history`
    expect(covers([published], [granular('Observation', { category: `${category}|social-history` })])).toBe(
      true,
    )
  })

  test('scopes are split at any white space, each once', () => {
    expect(splitScopes(' a  b\na ')).toEqual(['a', 'b'])
  })

  test('N-11 O-01 O-02 O-03 O-04 context scopes begin with launch, lower case, with at most one role', () => {
    expect(launchScope('patient')).toBe('launch/patient')
    expect(launchScope('Encounter')).toBe('launch/encounter')
    expect(launchScope('DiagnosticReport')).toBe('launch/diagnosticreport')
    expect(launchScope('Observation', 'https://ehr.example/role a')).toBe(
      'launch/observation?role=https://ehr.example/role%20a',
    )
  })

  test.each([
    ['patient/Observation.rs', 'http://smarthealthit.org/fhir/scopes/patient/Observation.rs'],
    ['launch/patient', 'http://smarthealthit.org/fhir/scopes/launch/patient'],
    ['openid', 'http://openid.net/specs/openid-connect-core-1_0#openid'],
    ['fhirUser', 'http://smarthealthit.org/fhir/scopes/fhirUser'],
    ['https://ehr.example/x', 'https://ehr.example/x'],
  ])('N-13 %s as a URI, and back', (scope, uri) => {
    expect(scopeToUri(scope)).toBe(uri)
    expect(scopeFromUri(uri)).toBe(scope)
  })
})

describe('what a plan asks for', () => {
  test('N-09 a v1 grant allows what a v2 plan needs', () => {
    expect(allows(['patient/*.read'], 'Observation', 's')).toBe(true)
    expect(allows(['patient/Observation.r'], 'Observation', 's')).toBe(false)
    expect(covers(['patient/*.read'], ['patient/Observation.rs', lab])).toBe(true)
    expect(covers(['patient/Observation.write'], ['patient/Observation.c'])).toBe(true)
  })

  test('A-18 N-05 the scopes of a plan are those of its types and no wildcard', () => {
    const scopes = scopesOf(usCore.only('Patient', 'Laboratory'), { dialect: 'v2', launch: 'launch/patient' })
    expect(scopes).toEqual([
      'launch/patient',
      'offline_access',
      'patient/Observation.rs',
      'patient/Patient.rs',
    ])
    for (const dialect of ['v1', 'v2'] as const)
      expect(scopesOf(s4sPilot, { dialect, launch: 'launch' }).join(' ')).not.toContain('*')
  })

  test('M-01 A-18 refresh is asked for as long as the study needs it, and no longer', () => {
    const asked = (access: 'once' | 'online' | 'ongoing'): string[] =>
      scopesOf(usCore.only('Patient'), { dialect: 'v2', launch: 'launch', access }).filter((scope) =>
        scope.endsWith('_access'),
      )
    expect([asked('once'), asked('online'), asked('ongoing')]).toEqual([
      [],
      ['online_access'],
      ['offline_access'],
    ])
  })

  test('N-06 N-14 classes are asked for by category where the server lists that scope', () => {
    const plan = usCore.only('Patient', 'Laboratory', 'Vital Signs')
    const vitals = granular('Observation', { category: `${category}|vital-signs` })
    const ask = (supported: string[], dialect: 'v1' | 'v2' = 'v2'): string[] =>
      scopesOf(plan, { dialect, launch: 'launch/patient', access: 'once', supported })
    expect(ask([lab, vitals])).toEqual(['launch/patient', lab, vitals, 'patient/Patient.rs'])
    expect(ask([lab])).toContain('patient/Observation.rs')
    expect(ask([lab, vitals], 'v1')).toContain('patient/Observation.read')
  })

  test('E-04 A-19 hints of context and identity are asked for beside the data', () => {
    const plan = usCore.only('Patient')
    expect(
      scopesOf(plan, { dialect: 'v2', launch: 'launch', identity: true, context: ['patient', 'encounter'] }),
    ).toEqual([
      'launch',
      'offline_access',
      'openid',
      'fhirUser',
      'launch/patient',
      'launch/encounter',
      'patient/Patient.rs',
    ])
  })
})

const scope = fc
  .record({
    level: fc.constantFrom('patient', 'user', 'system'),
    type: fc.constantFrom('*', 'Observation', 'Condition', 'Patient'),
    actions: fc.constantFrom('c', 'r', 'rs', 's', 'cud', 'cruds', 'read', 'write', '*', 'us'),
    query: fc.option(
      fc
        .array(
          fc.tuple(
            fc.constantFrom('category', 'status', 'code:in'),
            fc.constantFrom('a', 'b', 'a,b', `${category}|laboratory`, 'x y&z%', 'ü'),
          ),
          { minLength: 1, maxLength: 3 },
        )
        .map((pairs) => pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')),
      { nil: undefined },
    ),
  })
  .map(
    ({ level, type, actions, query }) =>
      `${level}/${type}.${actions}${query === undefined ? '' : `?${query}`}`,
  )
const scopes = fc.array(scope, { maxLength: 8 })
const runs = { numRuns: 2000 }

describe('the algebra', () => {
  test('N-02 N-03 what is printed is read again as the same', () => {
    fc.assert(
      fc.property(scope, (text) => {
        const read = parseScope(text)
        const [printed = ''] = printScope(read as never)
        expect(parseScope(printed)).toEqual(read)
        expect(printed).toMatch(/^[!#-[\]-~]+$/)
      }),
      runs,
    )
  })

  test('N-03 any text at all is a scope or not one, without a throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.string().map((text) => `patient/Patient.rs?${text}`),
        ),
        (text) => {
          parseScope(text)
          normalize([text])
          compareScopes([text], [text])
        },
      ),
      runs,
    )
  })

  test('N-08 the shortest form allows the same, scope by scope', () => {
    fc.assert(
      fc.property(scopes, scope, (list, one) => {
        const short = normalize(list)
        expect(covers(short, [one])).toBe(covers(list, [one]))
        expect(covers(short, list)).toBe(true)
        expect(normalize(short)).toEqual(short)
        expect(normalize([...list].reverse())).toEqual(short)
        expect(short.length).toBeLessThanOrEqual(new Set(list).size)
      }),
      runs,
    )
  })

  test('H-04 a union covers what its parts cover', () => {
    fc.assert(
      fc.property(scopes, scopes, (one, other) => {
        expect(covers([...one, ...other], one)).toBe(true)
        expect(covers(one, one)).toBe(true)
        expect(covers(normalize([...one, ...other]), other)).toBe(true)
      }),
      runs,
    )
  })

  test('M-04 what is narrowed is allowed by both, and is all that both allow', () => {
    fc.assert(
      fc.property(scopes, scopes, scope, (granted, wanted, one) => {
        const less = narrow(granted, wanted)
        expect(covers(granted, less)).toBe(true)
        expect(covers(wanted, less)).toBe(true)
        expect(covers(less, [one])).toBe(covers(granted, [one]) && covers(wanted, [one]))
      }),
      runs,
    )
  })

  test('N-09 in the v1 syntax nothing is asked for that is less', () => {
    fc.assert(
      fc.property(scope, (text) => {
        const read = parseScope(text)
        expect(covers(printScope(read as never, 'v1'), [text])).toBe(true)
      }),
      runs,
    )
  })

  test.each([
    ['the same', ['patient/Observation.rs'], ['patient/Observation.rs'], []],
    ['split', ['patient/Observation.rs'], ['patient/Observation.r', 'patient/Observation.s'], []],
    ['wider', ['patient/Observation.rs'], ['patient/*.cruds'], []],
    ['of another dialect', ['patient/Observation.rs'], ['patient/Observation.read'], []],
    [
      'fewer actions',
      ['patient/Observation.rs'],
      ['patient/Observation.r'],
      [['patient/Observation.rs', 'patient/Observation.r']],
    ],
    ['some of it', ['patient/Observation.rs'], [lab], [['patient/Observation.rs', lab]]],
    ['something else', ['patient/Observation.rs'], ['patient/Patient.rs'], [['patient/Observation.rs']]],
    [
      'nothing',
      ['patient/Observation.rs', 'offline_access'],
      [],
      [['patient/Observation.rs'], ['offline_access']],
    ],
  ])('H-04 N-10 a grant that is %s', (_, requested, granted, missing) => {
    expect(
      compareScopes(requested, granted).missing.map(({ scope: one, instead }) => [one, ...instead]),
    ).toEqual(missing)
  })
})
