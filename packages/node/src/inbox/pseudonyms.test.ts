import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { createInbox } from './index.js'
import { desks, teamKey } from './test-support/desk.js'
import { makePackage, sha256 } from './test-support/make-package.js'

const open = desks()
const pseudonymKey = 'a-secret-of-the-study-team-2026'
const participant = 'ada@example.org'
const consent = { givenBy: { name: 'Byron Canary', relationship: 'father' }, replaces: 'e'.repeat(64) }
const wrong = { 'records/01/Condition-0001.ndjson': '{"resourceType":"Goal"}\n\n' }

test('F19 with a key of pseudonyms a study team sees the name of the portal nowhere', async () => {
  const desk = await open({ study: { pseudonymKey } })
  const [kept, gone, aside] = [
    makePackage({ participant, consent }),
    makePackage({ participant, consent: { id: 'consent-2' } }),
    makePackage({ participant, consent: { id: 'consent-3' }, parts: wrong }),
  ]
  for (const made of [kept, gone, aside]) await desk.deliver(made)
  await desk.withdraw(gone)
  const name = desk.inbox.pseudonym('sleep', participant)
  expect(name).toMatch(/^P-([0-9A-Z]{5}-){3}[0-9A-Z]{5}$/)

  const shown = [
    await desk.inbox.packages('sleep'),
    await desk.inbox.withdrawals('sleep'),
    await desk.inbox.quarantined('sleep'),
    await desk.inbox.deletion('sleep', gone.digest),
    await (await desk.call('GET', '/studies/sleep/packages', undefined, teamKey)).json(),
    await (await desk.call('GET', '/', undefined, teamKey)).text(),
  ]
  for (const what of shown) {
    expect(JSON.stringify(what)).toContain(name)
    expect(JSON.stringify(what)).not.toContain(participant)
  }
  for await (const pack of desk.inbox.stored('sleep')) {
    expect([pack.participant, pack.manifest.participant]).toEqual([name, name])
    const texts: Record<string, string> = {}
    for (const { path } of pack.manifest.parts)
      for await (const chunk of pack.read(path)) texts[path] = Buffer.from(chunk).toString('utf8')
    expect(JSON.stringify(texts)).not.toContain(participant)
    expect(JSON.parse(texts['consent.json'] ?? '')).toMatchObject({
      ...{ id: 'consent-1', participant: name, dataClasses: ['Patient', 'Problems'] },
      givenBy: { relationship: 'father' },
    })
    expect(texts['consent.json']).not.toContain('Canary')
    // Nothing that was made from the name of the portal, so that no guess at it can be tried.
    const { consent: agreed, parts } = pack.manifest
    const told = parts.find((part) => part.path === 'consent.json')
    const original = JSON.parse(kept.parts.get('consent.json') ?? '') as { digest: string }
    for (const made of [original.digest, kept.manifest.consent.sha256, 'e'.repeat(64)])
      expect(JSON.stringify([texts, pack.manifest])).not.toContain(made)
    // What the manifest says of the consent is true of the one that is read.
    expect(sha256(texts['consent.json'] ?? '')).toBe(agreed.sha256)
    expect(told).toMatchObject({ sha256: agreed.sha256, size: texts['consent.json']?.length })
    // Everything else is as it was sent.
    const path = 'records/01/Condition-0001.ndjson'
    expect(texts[path]).toBe(kept.parts.get(path))
  }
  expect((await desk.inbox.verify(kept.digest)).ok).toBe(true)
})

test('F19 a pseudonym is one participant’s for as long as the study lives, and no other study’s', () => {
  const studies = ['sleep', 'heart'].map((id) => ({ id, key: `study-key-${id}` }))
  const inboxOf = (keys: readonly string[]) =>
    createInbox({
      folder: '/nowhere',
      studies: studies.map((study, at) => ({ ...study, pseudonymKey: keys[at] as string })),
    })
  const [one, same, other] = [
    inboxOf([pseudonymKey, `${pseudonymKey}-2`]),
    inboxOf([pseudonymKey, `${pseudonymKey}-3`]),
    inboxOf([`${pseudonymKey}-4`, pseudonymKey]),
  ]
  expect(one.pseudonym('sleep', participant)).toBe(same.pseudonym('sleep', participant))
  const names = [
    one.pseudonym('sleep', participant),
    one.pseudonym('heart', participant),
    // The very same key in another study.
    other.pseudonym('heart', participant),
    other.pseudonym('sleep', participant),
    one.pseudonym('sleep', `${participant} `),
  ]
  expect(new Set(names).size).toBe(names.length)
  const many = Array.from({ length: 20_000 }, (_, at) => one.pseudonym('sleep', `p-${at}`))
  expect(new Set(many).size).toBe(many.length)
  // Whoever has the key can make the name again with nothing of ours.
  const mac = createHmac('sha256', pseudonymKey)
    .update(JSON.stringify(['s4s-pseudonym/1', 'sleep', participant]))
    .digest()
  const letters = Array.from(mac.subarray(0, 20), (byte) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[byte % 32])
  expect(one.pseudonym('sleep', participant).replaceAll('-', '')).toBe(`P${letters.join('')}`)
})

test('a key of pseudonyms that is short, or a key for something else, opens no inbox', () => {
  const key = 'study-key-sleep-of-this-study'
  for (const wrongKey of ['short', key, '', 7 as never])
    expect(() =>
      createInbox({ folder: '/nowhere', studies: [{ id: 'sleep', key, pseudonymKey: wrongKey }] }),
    ).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})
