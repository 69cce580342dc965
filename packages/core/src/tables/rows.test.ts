import { generateRecords, people } from '@s4s/sandbox'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Cell, type ColumnType, type Line, rowsOf, rowsOfLine, tables } from './index.js'

const source = { package: 'a'.repeat(64), participant: 'p-1', provider: 'mercy', folder: 'records/01' }

/** The rows of one resource in one table, by the names of their columns. */
const rowsIn = (table: string, resource: unknown, type?: string): Record<string, Cell>[] => {
  const line = typeof resource === 'string' ? resource : JSON.stringify(resource)
  const named = type ?? (JSON.parse(line) as { resourceType: string }).resourceType
  return [...rowsOfLine({ type: named, line, source })]
    .filter((row) => row.table.name === table)
    .map((row) => Object.fromEntries(row.table.columns.map(({ name }, at) => [name, row.cells[at] as Cell])))
}
const rowIn = (table: string, resource: unknown): Record<string, Cell> => {
  const rows = rowsIn(table, resource)
  expect(rows).toHaveLength(1)
  return rows[0] as Record<string, Cell>
}

const isOf: Record<ColumnType, (cell: Exclude<Cell, null>) => boolean> = {
  string: (cell) => typeof cell === 'string' && cell !== '',
  decimal: (cell) => typeof cell === 'string' && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(cell),
  integer: (cell) => Number.isInteger(cell) && Math.abs(cell as number) < 2 ** 31,
  double: (cell) => typeof cell === 'number' && Number.isFinite(cell),
  boolean: (cell) => typeof cell === 'boolean',
  date: (cell) =>
    typeof cell === 'string' && /^\d{4}-\d\d-\d\d$/.test(cell) && !Number.isNaN(Date.parse(cell)),
  timestamp: (cell) => typeof cell === 'string' && new Date(cell).toISOString() === cell,
}

const faultsIn = (lines: Iterable<Line>): string[] => {
  const faults: string[] = []
  for (const line of lines) {
    for (const { table, cells } of rowsOfLine(line)) {
      if (cells.length !== table.columns.length) faults.push(`${table.name} has ${cells.length} cells`)
      table.columns.forEach(({ name, type }, at) => {
        const cell = cells[at] as Cell
        if (cell !== null && !isOf[type](cell)) faults.push(`${table.name}.${name}: ${typeof cell}`)
      })
    }
  }
  return faults
}

describe('the patients of the sandbox', () => {
  const records = [...generateRecords({ only: people.map(({ id }) => id).filter((id) => id !== 'priya') })]
  const lines = records.map((resource) => ({
    type: resource.resourceType,
    line: JSON.stringify(resource),
    source,
  }))

  test('a researcher finds every resource in its table and in `resources`, and every cell as its column says', async () => {
    const counts = new Map<string, number>()
    for await (const { table, cells } of rowsOf(lines)) {
      const part = table.columns.findIndex(({ name }) => ['component', 'condition', 'answer'].includes(name))
      if (part >= 0 && cells[part] !== null) continue
      counts.set(table.name, (counts.get(table.name) ?? 0) + 1)
    }
    expect(counts.get('resources')).toBe(records.length)
    for (const { name, types } of tables.filter(({ types }) => types.length > 0)) {
      const expected = records.filter(({ resourceType }) => types.includes(resourceType)).length
      expect([name, counts.get(name) ?? 0]).toEqual([name, expected])
    }
    expect(counts.get('observations')).toBeGreaterThan(1000)
    expect(faultsIn(lines)).toEqual([])
  })

  test('the columns that a study begins with are filled', () => {
    const filled = new Set<string>()
    for (const line of lines)
      for (const { table, cells } of rowsOfLine(line))
        for (const [at, { name }] of table.columns.entries())
          if (cells[at] !== null) filled.add(`${table.name}.${name}`)
    const wanted = {
      patients: 'birth_date_date gender race race_text ethnicity birth_sex languages state postal_code',
      conditions:
        'clinical_status verification_status categories code code_system onset_date abatement_date recorded_time encounter',
      allergies:
        'clinical_status categories criticality code manifestations manifestation_texts severities recorded_time',
      medication_requests:
        'status intent categories reported code authored_time dosage_text route refills quantity supply encounter',
      medication_dispenses: 'status type code quantity supply handed_over_time prescription',
      immunizations: 'status code occurrence_time lot_number primary_source',
      observations:
        'categories data_classes code effective_time issued value value_digits value_unit_code value_code value_text interpretations reference_low reference_high specimen encounter component',
      procedures: 'status code performed_time performed_end_time encounter',
      encounters: 'status class code start_time end_time service_provider location',
      diagnostic_reports: 'status categories code effective_time issued results',
      documents: 'status document_status categories code written_time content_type size title encounter',
      care_plans: 'status intent categories start_date',
      care_teams: 'status title roles',
      goals: 'status achievement code_text start_date due_date',
      devices: 'status code device_identifier udi lot_number',
      service_requests: 'status intent categories code authored_time',
      specimens: 'status code collected_time',
      coverages: 'status code relationship payor start_date',
      family_history: 'status relationship condition_code condition_text onset_age',
      questionnaire_responses:
        'answer status questionnaire authored_time link_id question value_type value_code value_text',
      resources: 'resource_type data_classes json last_updated',
    }
    const columns = Object.entries(wanted).flatMap(([table, names]) =>
      names.split(' ').map((name) => `${table}.${name}`),
    )
    expect(columns.filter((name) => !filled.has(name))).toEqual([])
  })
})

test('PR-11 a number keeps its digits in a column of its own, however it was written', () => {
  const observation = (number: string) =>
    `{"resourceType":"Observation","id":"o","valueQuantity":{"value":${number},"unit":"mg/dL","comparator":"<"}}`
  for (const [written, number] of [
    ['1.00', 1],
    ['1', 1],
    ['-0.0', -0],
    ['100e-2', 1],
    ['0.1', 0.1],
    ['12345678901234567890', Number('12345678901234567890')],
    ['1e999', null],
  ] as const) {
    expect(rowIn('observations', observation(written))).toMatchObject({
      value: number,
      value_digits: written,
      value_text: `< ${written} mg/dL`,
    })
  }
  expect(rowIn('resources', observation('1.00')).json).toBe(observation('1.00'))
})

test('PR-11 any decimal that a server writes is in the export as it was written', () => {
  fc.assert(
    fc.property(
      fc.tuple(
        fc.constantFrom('', '-'),
        fc.bigInt({ min: 0n, max: 10n ** 17n }),
        fc.option(fc.stringMatching(/^[0-9]{1,17}$/), { nil: undefined }),
        fc.option(fc.integer({ min: -20, max: 20 }), { nil: undefined }),
      ),
      ([sign, whole, fraction, exponent]) => {
        const written = `${sign}${whole}${fraction === undefined ? '' : `.${fraction}`}${exponent === undefined ? '' : `e${exponent}`}`
        const line = `{"resourceType":"Observation","note":[{"text":"\\"7.00, ${written}"}],"valueQuantity":{"value":${written}}}`
        const row = rowIn('observations', line)
        expect([row.value_digits, row.value, row.notes]).toEqual([
          written,
          Number(written),
          `"7.00, ${written}`,
        ])
      },
    ),
  )
})

test('a date that is known to the year or to the month gets no day that nobody wrote', () => {
  const onset = (onsetDateTime: unknown) => {
    const row = rowIn('conditions', { resourceType: 'Condition', onsetDateTime })
    return [row.onset, row.onset_date, row.onset_precision, row.onset_time]
  }
  expect(onset('2020')).toEqual(['2020', null, 'year', null])
  expect(onset('2020-05')).toEqual(['2020-05', null, 'month', null])
  expect(onset('2020-05-04')).toEqual(['2020-05-04', '2020-05-04', 'day', null])
  // The day is that of the place, the instant that of the world.
  expect(onset('2020-05-04T23:30:00.125-05:00')).toEqual([
    '2020-05-04T23:30:00.125-05:00',
    '2020-05-04',
    'time',
    '2020-05-05T04:30:00.125Z',
  ])
  expect(onset('2020-05-04T23:30:00')).toEqual(['2020-05-04T23:30:00', '2020-05-04', 'time', null])
  for (const wrong of ['2020-02-30', '2020-13', '0000', 'yesterday', '2020-05-04T25:00:00Z'])
    expect(onset(wrong)).toEqual([wrong, null, null, null])
  for (const none of [2020, ['x', 1], {}, '', null, true]) expect(onset(none)[1]).toBeNull()
})

test('a blood pressure is one observation and two components, each with its own code and value', () => {
  const rows = rowsIn('observations', {
    resourceType: 'Observation',
    id: 'bp',
    status: 'final',
    category: [
      {
        coding: [
          { system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs' },
        ],
      },
    ],
    code: { coding: [{ system: 'http://loinc.org', code: '85354-9' }] },
    effectiveDateTime: '2026-01-02',
    component: [
      {
        code: { coding: [{ system: 'http://loinc.org', code: '8480-6' }] },
        valueQuantity: { value: 112, code: 'mm[Hg]' },
      },
      { code: { coding: [{ system: 'http://loinc.org', code: '8462-4' }] }, valueInteger: 70 },
    ],
  })
  const same = {
    resource_id: 'bp',
    status: 'final',
    categories: 'vital-signs',
    data_classes: 'Vital Signs',
    effective_date: '2026-01-02',
  }
  expect(rows).toMatchObject([
    { ...same, component: null, code: '85354-9', value: null, value_type: null },
    { ...same, component: 1, code: '8480-6', value: 112, value_unit_code: 'mm[Hg]', value_type: 'Quantity' },
    { ...same, component: 2, code: '8462-4', value: 70, value_digits: '70', value_type: 'Integer' },
  ])
})

test('a value that is no number is in words: a code, a range, a titre, a yes', () => {
  const value = (value: object) => rowIn('observations', { resourceType: 'Observation', ...value })
  expect(
    value({
      valueCodeableConcept: {
        text: 'Pregnant',
        coding: [{ system: 'http://snomed.info/sct', code: '77386006', display: 'Pregnant (finding)' }],
      },
    }),
  ).toMatchObject({
    value_type: 'CodeableConcept',
    value_code: '77386006',
    value_code_display: 'Pregnant (finding)',
    value_text: 'Pregnant',
  })
  expect(value({ valueRatio: { numerator: { value: 1 }, denominator: { value: 128 } } }).value_text).toBe(
    '1:128',
  )
  expect(
    value({ valueRange: { low: { value: 1, unit: 'g' }, high: { value: 2, unit: 'g' } } }).value_text,
  ).toBe('1 g - 2 g')
  expect(value({ valueBoolean: true })).toMatchObject({ value_boolean: true, value_text: 'true' })
  expect(value({ valueString: 'Teacher' })).toMatchObject({ value_type: 'String', value_text: 'Teacher' })
  expect(value({ valuePeriod: { start: '2020', end: '2021' } }).value_text).toBe('2020/2021')
})

test('a questionnaire has a row for each answer, wherever it is nested, and for each question without one', () => {
  const rows = rowsIn(
    'questionnaire_responses',
    `{"resourceType":"QuestionnaireResponse","id":"q","status":"completed","authored":"2026-04","item":[
      {"linkId":"1","text":"Group","item":[
        {"linkId":"1.1","text":"Sleep?","answer":[{"valueDecimal":7.50},{"valueBoolean":false,
          "item":[{"linkId":"1.1.1","answer":[{"valueString":"late"}]}]}]},
        {"linkId":"1.2","text":"Dreams?"}]},
      {"linkId":"2","answer":[{"valueCoding":{"system":"http://loinc.org","code":"LA6568-5","display":"Not at all"}}]}]}`,
  )
  expect(rows.map((row) => [row.answer, row.link_id, row.question, row.value_type, row.value_text])).toEqual([
    [null, null, null, null, null],
    [1, '1.1', 'Sleep?', 'Decimal', '7.50'],
    [2, '1.1', 'Sleep?', 'Boolean', 'false'],
    [3, '1.1.1', null, 'String', 'late'],
    [4, '1.2', 'Dreams?', null, null],
    [5, '2', null, 'Coding', 'Not at all'],
  ])
  expect(rows[1]).toMatchObject({
    value: 7.5,
    value_digits: '7.50',
    status: 'completed',
    authored: '2026-04',
  })
  expect(rows[5]).toMatchObject({ value_code: 'LA6568-5', value_code_display: 'Not at all', value: null })
})

test('the code of a column is of the system that the researcher can use, and every other coding is kept', () => {
  const row = rowIn('medication_requests', {
    resourceType: 'MedicationRequest',
    contained: [
      {
        resourceType: 'Medication',
        id: 'm',
        code: {
          coding: [
            { system: 'urn:oid:1.2.3', code: '17', display: 'Local' },
            { system: 'http://www.nlm.nih.gov/research/umls/rxnorm', code: '310410', display: 'folic acid' },
          ],
        },
      },
    ],
    medicationReference: { reference: '#m' },
    dispenseRequest: { numberOfRepeatsAllowed: 3, quantity: { value: 90, unit: 'tablet' } },
  })
  expect(row).toMatchObject({
    code: '310410',
    code_display: 'folic acid',
    code_codings: 'urn:oid:1.2.3|17; http://www.nlm.nih.gov/research/umls/rxnorm|310410',
    refills: 3,
    quantity: 90,
    quantity_unit: 'tablet',
  })
})

test('an extension that may change what a resource means is told of', () => {
  const modifierExtension = [{ url: 'https://mercy.example/not', valueBoolean: true }]
  expect(rowIn('procedures', { resourceType: 'Procedure', modifierExtension }).has_modifier).toBe(true)
  expect(rowIn('procedures', { resourceType: 'Procedure' }).has_modifier).toBe(false)
})

test('names, telephone numbers and record numbers of a patient are in no column but the whole resource', () => {
  const patient = {
    resourceType: 'Patient',
    id: 'p1',
    name: [{ text: 'Ada Canary', family: 'Canary', given: ['Ada'] }],
    telecom: [{ value: '555-Canary' }],
    identifier: [{ value: 'MRN-Canary' }],
    address: [{ line: ['1 Canary Street'], city: 'Canary', postalCode: '60601' }],
    birthDate: '1990-05',
  }
  const row = rowIn('patients', patient)
  expect(row).toMatchObject({ birth_date: '1990-05', birth_date_date: null, postal_code: '60601' })
  expect(JSON.stringify(row)).not.toContain('Canary')
  expect(rowIn('resources', patient).json).toContain('MRN-Canary')
})

describe('a resource that is not what it should be', () => {
  const words = [
    ...new Set(
      tables
        .flatMap(({ columns }) => columns.flatMap(({ from }) => from.split(/[^A-Za-z]+/)))
        .filter(Boolean),
    ),
    ...[
      'coding',
      'system',
      'code',
      'display',
      'text',
      'reference',
      'valueQuantity',
      'valueRange',
      'onsetAge',
    ],
    ...[
      'contained',
      'medicationReference',
      'extension',
      'url',
      '__proto__',
      'constructor',
      'toString',
      'length',
    ],
  ]
  const leaf = fc.oneof(
    { arbitrary: fc.constant('x'.repeat(100_001)), weight: 1 },
    { arbitrary: fc.string({ unit: 'binary' }), weight: 9 },
    {
      arbitrary: fc.constantFrom(
        '2020-02-31',
        '=1+1',
        '#m',
        '\u0001',
        '\u00011.0',
        '\u0001x',
        '\ud800',
        '\u0000',
        '9'.repeat(5000),
      ),
      weight: 9,
    },
    { arbitrary: fc.oneof(fc.double(), fc.boolean(), fc.constant(null)), weight: 9 },
  )
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 6, depthSize: 'small' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.array(fc.tuple(fc.constantFrom(...words), tie('tree')), { maxLength: 8 }).map(record),
    ),
  }))
  // Also `__proto__` as a member of its own, as JSON has it.
  function record(entries: readonly (readonly [string, unknown])[]): object {
    const members = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value) ?? 'null'}`)
    return JSON.parse(`{${members.join(',')}}`) as object
  }
  const resource = fc.array(fc.tuple(fc.constantFrom(...words), tree), { maxLength: 20 }).map(record)
  const type = fc.constantFrom(...tables.flatMap(({ types }) => types), 'Basic')

  test('T57 arrays, objects, huge texts and __proto__ in the place of anything give nulls, and never an error', () => {
    fc.assert(
      fc.property(type, resource, (type, resource) => {
        expect(faultsIn([{ type, line: JSON.stringify(resource), source }])).toEqual([])
      }),
      { numRuns: 400 },
    )
    expect(({} as Record<string, unknown>).code).toBeUndefined()
  })

  test('T61 a line that is no JSON, or nested without end, is one row of nulls, so that the counts stay right', () => {
    for (const line of [
      '',
      '{',
      '[1]',
      'null',
      '"x"',
      '['.repeat(200_000),
      '{"a":'.repeat(5000),
      '1'.repeat(9999),
    ]) {
      const [row, ...more] = rowsIn('conditions', line, 'Condition')
      expect(more).toEqual([])
      expect(row).toMatchObject({
        package: source.package,
        participant: 'p-1',
        resource_id: null,
        code: null,
      })
      expect(rowsIn('resources', line, 'Condition')).toMatchObject([{ resource_type: 'Condition' }])
    }
  })

  test('T61 a resource that is made to take all memory is kept as text and not read', () => {
    const numbers = `{"resourceType":"Observation","id":"o","component":[${'1.0,'.repeat(200_000)}1.0]}`
    expect(rowsIn('observations', numbers, 'Observation')).toHaveLength(1)
    expect(rowsIn('resources', numbers, 'Observation')).toMatchObject([{ resource_id: null, json: numbers }])
  })

  test('T61 a resource of a million parts has rows for ten thousand of them, and is whole in `resources`', () => {
    const parts = `{"resourceType":"Observation","id":"o","component":[${'{},'.repeat(999_999)}{}]}`
    const counts = new Map<string, number>()
    for (const { table } of rowsOfLine({ type: 'Observation', line: parts, source }))
      counts.set(table.name, (counts.get(table.name) ?? 0) + 1)
    expect(Object.fromEntries(counts)).toEqual({ resources: 1, observations: 10_001 })
  })

  test('characters that no file can hold are replaced', () => {
    const row = rowIn('conditions', {
      resourceType: 'Condition',
      code: { text: 'a\u0000b\ud800c\nd', coding: [{ code: '\u00011.00' }] },
    })
    expect([row.code_text, row.code]).toEqual(['a\ufffdb\ufffdc\nd', null])
  })
})

test('every column is documented, in words of its own', () => {
  for (const { says, columns } of tables) {
    expect(says).toMatch(/^[A-Z]/)
    for (const { says, from } of columns) {
      expect(says.length).toBeGreaterThan(3)
      expect(from.length).toBeGreaterThan(0)
    }
  }
  expect(new Set(tables.map(({ name }) => name)).size).toBe(tables.length)
})
