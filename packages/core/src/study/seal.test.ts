import { compactDecrypt, exportJWK, generateKeyPair, importJWK } from 'jose'
import { expect, test } from 'vitest'
import {
  collect,
  createPackage,
  defineStudy,
  openSeal,
  type Package,
  type PrivateKey,
  type PublicKey,
  type Resource,
  recordConsent,
  seal,
  usCore,
} from '../index.js'
import { memoryReader, pageOf } from '../record/memory-reader.js'

const plan = usCore.only('Patient', 'Laboratory', 'Problems')
const study = defineStudy({
  id: 'sleep',
  title: 'Sleep',
  purpose: 'Rest',
  plan,
  recipient: 'https://intake.sleep.example/inbox',
  consent: { version: '3', text: 'I agree to all of this.' },
})
const subject = { reference: 'Patient/p1' }
const findings = (resourceType: string, count: number) =>
  Array.from({ length: count }, (_, at) => ({
    resourceType,
    id: `${resourceType}-${at}`,
    subject,
    note: [{ text: 'Canary' }],
  }))
const sealable = async () => ({
  record: await collect(
    memoryReader({
      patient: 'p1',
      id: 'mercy:p1',
      provider: { id: 'mercy', name: 'Mercy', iss: 'https://mercy.example/r4' },
      search: (type) => [pageOf(findings(type, 20) as unknown as Resource[])],
    }),
    { plan },
  ),
  consent: recordConsent(study, { participant: 'p-1', signature: 'Ada Canary' }),
})

const { record, consent } = await sealable()
const pack = await createPackage([record], { study, consent })

const pair = async (alg: string, options = {}): Promise<{ to: PublicKey; key: PrivateKey }> => {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true, ...options })
  return {
    to: { ...(await exportJWK(publicKey)), kid: 'study-1' } as PublicKey,
    key: (await exportJWK(privateKey)) as PrivateKey,
  }
}
const ec = await pair('ECDH-ES+A256KW')
const outerOf = (sealed: Package) => JSON.parse(new TextDecoder().decode(sealed.manifestBytes))
const reader = (sealed: Package) => async (digest: string) => {
  const part = sealed.parts.find((one) => one.sha256 === digest)
  return (await part?.open()) ?? new Uint8Array()
}

test.each([
  ['P-256', ec],
  ['X25519', await pair('ECDH-ES+A256KW', { crv: 'X25519' })],
  ['RSA', await pair('RSA-OAEP-256')],
])('F14 what is sealed to a key of %s is opened with it, byte for byte', async (_, { to, key }) => {
  const sealed = await seal(pack, { to, consent })
  const opened = await openSeal(outerOf(sealed), [ec.key, key], reader(sealed))
  expect(Buffer.from(opened.manifestBytes).equals(Buffer.from(pack.manifestBytes))).toBe(true)
  for (const part of pack.parts) {
    expect(Buffer.from(await opened.open(part.sha256)).equals(Buffer.from(await part.open()))).toBe(true)
  }
})

test('F14 any tool that knows JWE opens the package’s key', async () => {
  const sealed = await seal(pack, { to: ec.to, consent })
  const { plaintext, protectedHeader } = await compactDecrypt(
    outerOf(sealed).key,
    await importJWK(ec.key, 'ECDH-ES+A256KW'),
  )
  expect(plaintext.length).toBe(32)
  expect(protectedHeader).toMatchObject({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', kid: 'study-1' })
})

test('T76 whoever has no key reads the study, the participant’s pseudonym and sizes, and nothing of the record', async () => {
  const sealed = await seal(pack, { to: ec.to, consent })
  const wire = [sealed.manifestBytes, ...(await Promise.all(sealed.parts.map((part) => part.open())))]
    .map((bytes) => Buffer.from(bytes).toString('latin1'))
    .join('\n')
  for (const canary of [
    'Canary',
    'Observation',
    'Laboratory',
    'Mercy',
    'mercy',
    consent.signature,
    consent.sealingKey,
    consent.withdrawalKey,
    consent.text,
  ])
    expect(wire).not.toContain(canary)
  expect(Object.keys(outerOf(sealed)).sort()).toEqual([
    'consent',
    'digest',
    'format',
    'key',
    'participant',
    'parts',
    'resources',
    'software',
    'study',
    'withdrawalCommitment',
  ])
})

test('F14 the same package under the same consent has the same sealed parts, and under another none of them', async () => {
  const [a, b] = [await seal(pack, { to: ec.to, consent }), await seal(pack, { to: ec.to, consent })]
  expect(a.digest).toBe(pack.digest)
  expect(a.parts.map((part) => part.sha256)).toEqual(b.parts.map((part) => part.sha256))
  const other = await sealable()
  const c = await seal(pack, { to: ec.to, consent: other.consent })
  const digests = new Set(a.parts.map((part) => part.sha256))
  expect(c.parts.filter((part) => digests.has(part.sha256))).toEqual([])
})

test('F14 no two parts share a key or a nonce', async () => {
  const sealed = await seal(pack, { to: ec.to, consent })
  const nonces = await Promise.all(
    sealed.parts.map(
      async (part) =>
        Buffer.from(await part.open())
          .toString()
          .split('.')[2],
    ),
  )
  expect(new Set(nonces).size).toBe(sealed.parts.length)
})

test('T76 a part that was changed, moved or left out does not open', async () => {
  const sealed = await seal(pack, { to: ec.to, consent })
  const read = reader(sealed)
  const refused = expect.objectContaining({ code: 'SHARE_SEAL_INVALID', remedy: 'contact-provider' })
  const first = pack.parts[0] as Package['parts'][number]
  for (let at = 0; at < 40; at++) {
    const changed = async (digest: string): Promise<Uint8Array> => {
      const bytes = (await read(digest)).slice()
      if (digest === sealed.parts[1]?.sha256) {
        const place = Math.floor((bytes.length * at) / 40)
        bytes[place] = bytes[place] === 65 ? 66 : 65
      }
      return bytes
    }
    const opened = await openSeal(outerOf(sealed), [ec.key], changed)
    await expect(opened.open(first.sha256)).rejects.toEqual(refused)
  }
  const swapped = outerOf(sealed)
  ;[swapped.parts[1], swapped.parts[2]] = [swapped.parts[2], swapped.parts[1]]
  await expect((await openSeal(swapped, [ec.key], read)).open(first.sha256)).rejects.toEqual(refused)
  const short = { ...outerOf(sealed), parts: outerOf(sealed).parts.slice(0, 1) }
  await expect((await openSeal(short, [ec.key], read)).open(first.sha256)).rejects.toEqual(refused)
  const other = { ...outerOf(sealed), digest: '0'.repeat(64) }
  await expect(openSeal(other, [ec.key], read)).rejects.toEqual(refused)
})

test('another key opens nothing, and says no more than that', async () => {
  const sealed = await seal(pack, { to: ec.to, consent })
  const wrong = await pair('ECDH-ES+A256KW')
  await expect(openSeal(outerOf(sealed), [wrong.key], reader(sealed))).rejects.toMatchObject({
    code: 'SHARE_SEAL_INVALID',
  })
})

test.each([
  [
    'a key for signing only',
    { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
  ],
  ['an algorithm that nobody should use', { ...ec.to, alg: 'RSA1_5' }],
  ['half a key', { kty: 'EC', crv: 'P-256', x: 'AA' }],
])('%s cannot be sealed to', async (_, to) => {
  await expect(seal(pack, { to: to as PublicKey, consent })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})
