import { afterEach, describe, expect, test } from 'vitest'
import { type ScriptedEhr, scriptedEhr, tokens } from '../test-support/ehr.js'
import { json, startServer, type TestServer } from '../test-support/server.js'
import { type Connection, explainGrant, isSmartError, loadStyle, usCore } from './index.js'

const opened: (ScriptedEhr | TestServer)[] = []
const ehr = async (options: Parameters<typeof scriptedEhr>[0] = {}): Promise<ScriptedEhr> => {
  const one = await scriptedEhr(options)
  opened.push(one)
  return one
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => ('server' in one ? one.server.stop() : one.stop())))
})
const codeOf = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  return isSmartError(error) ? error.code : `no SmartError: ${String(error)}`
}
const connectWith = async (
  answer: Record<string, unknown>,
): Promise<ScriptedEhr & { connection: Connection }> => {
  const one = await ehr()
  one.answers.set('/token', (_, response) => json(response, { ...tokens, ...answer }))
  return { ...one, connection: await one.connect() }
}

describe('the launch context', () => {
  test('H-07 O-08 O-10 O-11 E-08 E-09 all of it arrives, asked for or not', async () => {
    const { connection } = await connectWith({
      encounter: 'Encounter/e1',
      need_patient_banner: 'true',
      intent: 'reconcile-medications',
      tenant: 'north',
      fhirContext: [{ reference: 'Task/t1' }],
      'https://ehr.example/appContext': { study: 7 },
    })
    expect(connection.context).toEqual({
      patient: 'p1',
      encounter: 'e1',
      needPatientBanner: true,
      intent: 'reconcile-medications',
      tenant: 'north',
      fhirContext: [{ reference: 'Task/t1', role: 'launch' }],
      extensions: { 'https://ehr.example/appContext': { study: 7 } },
    })
  })

  test.each([
    [true, true],
    ['false', false],
    [undefined, undefined],
    ['yes', undefined],
    [1, undefined],
  ])('O-08 a banner of %j is %j', async (given, read) => {
    expect((await connectWith({ need_patient_banner: given })).connection.context.needPatientBanner).toBe(
      read,
    )
  })

  test('O-06 O-07 other resources come as objects or strings; a patient among them needs a role', async () => {
    const { connection } = await connectWith({
      fhirContext: [
        'ImagingStudy/1',
        { canonical: 'http://example.org/q', type: 'Questionnaire' },
        { identifier: { system: 'x', value: 'y' }, role: 'https://ehr.example/role' },
        { reference: 'Patient/p1' },
        { reference: 'Patient/p2', role: 'https://ehr.example/donor' },
        { role: 'launch' },
        5,
        null,
      ],
    })
    expect(connection.context.fhirContext).toEqual([
      { reference: 'ImagingStudy/1', role: 'launch' },
      { canonical: 'http://example.org/q', type: 'Questionnaire', role: 'launch' },
      { identifier: { system: 'x', value: 'y' }, role: 'https://ehr.example/role' },
      { reference: 'Patient/p2', role: 'https://ehr.example/donor' },
    ])
  })

  test.each(['../x', 'a/b', 'a?b', '%2e%2e', '.', '..', '', 'a b', 5, null])(
    'O-05 E-07 a patient of %j is none',
    async (patient) => {
      const one = await ehr()
      one.answers.set('/token', (_, response) => json(response, { ...tokens, patient }))
      expect(await codeOf(one.connect())).toBe('TOKEN_PATIENT_MISSING')
    },
  )

  test('M-09 F45 what a refresh leaves out stays, and fewer scopes are noted', async () => {
    const { connection, answers, client } = await connectWith({ encounter: 'e1', tenant: 'north' })
    answers.set('/token', (_, response) =>
      json(response, {
        access_token: 'a2',
        token_type: 'bearer',
        scope: 'patient/Patient.r',
        tenant: 'south',
      }),
    )
    await connection.refresh()
    const [now] = await client.connections()
    expect(now?.context).toMatchObject({ patient: 'p1', encounter: 'e1', tenant: 'south' })
    expect(now?.scopes).toEqual(['patient/Patient.r'])
    expect(now && explainGrant(now, usCore.only('Patient')).missing).toEqual([
      { scope: 'launch/patient', instead: [] },
      { scope: 'offline_access', instead: [] },
      { scope: 'patient/Patient.rs', instead: ['patient/Patient.r'] },
    ])
  })
})

describe('a grant for several servers', () => {
  test('H-08 L-02 each location is a connection with its own patient and scopes, and the token goes to no other', async () => {
    const old = await startServer((_, response) => json(response, { resourceType: 'Patient', id: 'old-1' }))
    opened.push(old)
    const { connection, server } = await connectWith({
      authorization_details: [
        {
          type: 'smart_on_fhir',
          locations: [`${old.url}/dstu2`],
          fhirVersions: ['1.0.2'],
          scope: 'patient/*.read',
          patient: 'old-1',
        },
        { type: 'other', locations: ['https://evil.example'] },
        { type: 'smart_on_fhir', locations: ['javascript:alert(1)', 'http://'], fhirVersions: 5 },
      ],
    })
    expect(connection.locations).toEqual([`${old.url}/dstu2`])
    const there = connection.forLocation(`${old.url}/dstu2/`)
    expect(there).toMatchObject({ patient: 'old-1', scopes: ['patient/*.read'] })
    expect((await there.read('Patient', 'old-1')).id).toBe('old-1')
    expect(old.heard[0]).toMatchObject({
      path: '/dstu2/Patient/old-1',
      headers: { authorization: 'Bearer access-1' },
    })
    expect(await codeOf(there.fetch(`${server.url}/fhir/Patient/p1`))).toBe('FHIR_FOREIGN_URL')
    expect(await codeOf(connection.fetch(`${old.url}/dstu2/Patient/old-1`))).toBe('FHIR_FOREIGN_URL')
    for (const other of ['https://evil.example', 'javascript:alert(1)', `${old.url}/other`])
      expect(() => connection.forLocation(other)).toThrow(/not for that server/)
  })
})

describe('the style of the EHR', () => {
  test('O-09 T22 T3 is loaded without a token, and only what can be nothing but style is taken', async () => {
    const one = await ehr()
    one.answers.set('/style.json', (_, response) =>
      json(response, {
        color_background: '#edeae3',
        color_text: 'rgb(0, 0, 0)',
        color_error: 'red;background:url(//evil)',
        color_success: 'expression(alert(1))',
        dim_font_size: '13px',
        dim_border_radius: 'calc(1px)',
        font_family_body: "Georgia, 'Times New Roman', serif",
        font_family_heading: 'x}body{display:none',
        __proto__: '1',
        other: '#fff',
      }),
    )
    one.answers.set('/token', (_, response) =>
      json(response, { ...tokens, smart_style_url: `${one.server.url}/style.json` }),
    )
    const connection = await one.connect()
    expect(await loadStyle(connection)).toEqual({
      version: `${one.server.url}/style.json`,
      properties: {
        '--smart-color-background': '#edeae3',
        '--smart-color-text': 'rgb(0, 0, 0)',
        '--smart-dim-font-size': '13px',
        '--smart-font-family-body': "Georgia, 'Times New Roman', serif",
      },
    })
    expect(one.server.heard.at(-1)?.headers.authorization).toBeUndefined()
  })

  test('O-09 none, one that fails and one that is no style', async () => {
    expect(await loadStyle((await connectWith({})).connection)).toBeUndefined()
    const { connection, answers } = await connectWith({ smart_style_url: 'http://styles.example/x' })
    expect(await codeOf(loadStyle(connection))).toBe('FHIR_UNREACHABLE')
    const one = await ehr()
    one.answers.set('/style.json', (_, response) => void response.end('body{}'))
    one.answers.set('/token', (_, response) =>
      json(response, { ...tokens, smart_style_url: `${one.server.url}/style.json` }),
    )
    expect(await codeOf(loadStyle(await one.connect()))).toBe('FHIR_RESPONSE_INVALID')
    expect(answers.size).toBeGreaterThan(0)
  })
})

test('T49 H-04 N-10 N-14 what was granted is told class by class, in words', async () => {
  const category = 'http://terminology.hl7.org/CodeSystem/observation-category'
  const { connection } = await connectWith({
    scope: `launch/patient patient/Patient.rs patient/Observation.rs?category=${category}|vital-signs patient/Observation.rs?category=${category}|survey`,
    refresh_token: undefined,
  })
  const grant = explainGrant(connection, usCore.only('Patient', 'Vital Signs', 'Immunizations'))
  expect(grant.classes.map(({ name, access, only }) => [name, access, only])).toEqual([
    ['Patient', 'granted', []],
    ['Vital Signs', 'partly', ['vital-signs', 'survey']],
    ['Immunizations', 'not-granted', []],
  ])
  expect(grant.classes.map(({ sentence }) => sentence)).toEqual([
    'Your name, date of birth, address and other facts about you: Mercy gives access.',
    'Blood pressure, weight, temperature and other vital signs: Mercy gives access to some of it (vital signs, survey).',
    'Vaccinations: left out, because it was not allowed at Mercy.',
  ])
  expect(grant.duration).toBe('Access is for this one time: Mercy did not allow more.')
})
