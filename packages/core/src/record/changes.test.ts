import { type Sandbox, startSandbox } from '@s4s/sandbox'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Connection, changesBetween, collect, createClient, inventoryOf, usCore } from '../index.js'
import { testPlatform } from '../testing/index.js'
import { vendors } from '../vendors/index.js'

let sandbox: Sandbox
beforeEach(async () => {
  sandbox = await startSandbox({ people: ['daniel'] })
})
afterEach(() => sandbox.stop())

async function connect(): Promise<Connection> {
  const client = createClient({
    platform: testPlatform(),
    redirectUri: 'http://127.0.0.1:9/callback',
    providers: [sandbox.provider],
    plan: usCore,
    vendors,
  })
  const { url } = await client.authorize(sandbox.provider.id)
  return client.callback(await sandbox.approve(url, { patient: 'daniel' }))
}

const plan = usCore.only('Patient', 'Allergies', 'Goals', 'Immunizations', 'Laboratory', 'Procedures')
const goal = (id: string, text: string) => ({
  resourceType: 'Goal',
  id,
  lifecycleStatus: 'active',
  description: { text },
  subject: { reference: 'Patient/daniel' },
})

test('4.7 what is new, what has changed and what is gone', async () => {
  const connection = await connect()
  sandbox.records.put(goal('stays', 'walk'))
  sandbox.records.put(goal('changes', 'swim'))
  const first = await collect(connection, { plan })
  const known = JSON.parse(JSON.stringify(inventoryOf(first)))
  expect(changesBetween(known, first)).toEqual({ added: [], changed: [], removed: [], unseen: [] })

  sandbox.records.put(goal('comes', 'climb'))
  sandbox.records.put(goal('changes', 'dive'))
  const [immunization] = first.resources('Immunization')
  sandbox.records.remove('Immunization', immunization?.id ?? '')
  const gone = `Immunization/${immunization?.id}`

  const since = new Date(Date.now() + 6.9 * 86_400_000)
  const recent = await collect(connection, { plan, since })
  expect(recent.count('Goals')).toBe(3)
  // What did not change for a week is not asked for, and nothing is called gone that was not asked for.
  expect(recent.count('Laboratory')).toBe(0)
  const some = changesBetween(known, recent)
  expect(some).toMatchObject({ added: ['Goal/comes'], changed: ['Goal/changes'], removed: [] })
  expect(some.unseen).toContain(gone)

  const whole = changesBetween(known, await collect(connection, { plan }))
  expect(whole).toEqual({ added: ['Goal/comes'], changed: ['Goal/changes'], removed: [gone], unseen: [] })
})

test('4.7 nothing is called gone of a type that did not come whole', async () => {
  const connection = await connect()
  const known = inventoryOf(await collect(connection, { plan }))
  sandbox.faults.add({
    match: ({ path }) => path.startsWith('/fhir/Immunization'),
    respond: () => new Response('', { status: 403 }),
  })
  const changes = changesBetween(known, await collect(connection, { plan }))
  expect(changes.removed).toEqual([])
  expect(changes.unseen.every((key) => key.startsWith('Immunization/'))).toBe(true)
  expect(changes.unseen.length).toBeGreaterThan(0)
})

test('Q73 Epic lastUpdated: where it is ignored, what is new is asked for by clinical date, else all of it', async () => {
  await sandbox.stop()
  sandbox = await startSandbox({ people: ['daniel'], behavesLike: 'epic' })
  const connection = await connect()
  const { completeness } = await collect(connection, { plan, since: new Date() })
  const searchOf = (name: string) =>
    completeness.find(({ dataClass }) => dataClass === name)?.queries[0]?.search ?? {}
  expect(Object.keys(searchOf('Procedures'))).toContain('date')
  expect(Object.keys(searchOf('Goals'))).not.toContain('_lastUpdated')
  expect(sandbox.requests.some(({ path }) => path.includes('_lastUpdated'))).toBe(false)
})
