import { createHash } from 'node:crypto'
import type { Manifest } from '@s4s/core'

/** A package made by hand, so that each of its faults can be made too. */
export interface Made {
  readonly digest: string
  readonly bytes: string
  readonly manifest: Manifest
  readonly parts: ReadonlyMap<string, string>
  readonly withdrawalKey: string
}

export interface Wanted {
  readonly participant?: string
  readonly patient?: string
  /** Laid over the consent before it is signed. */
  readonly consent?: Record<string, unknown>
  /** Changes the consent after it was signed. */
  readonly alteredConsent?: boolean
  /** Parts in place of the usual ones. */
  readonly parts?: Readonly<Record<string, string>>
  /** The manifest's commitment, where it is not that of the usual key. */
  readonly commitment?: string
  /** The name of the provider. */
  readonly provider?: string
  /** Resources of further providers, by the providers' ids. */
  readonly more?: Readonly<Record<string, readonly { readonly resourceType: string; readonly id: string }[]>>
  /** Bytes of one attachment. */
  readonly attachment?: string
}

export function makePackage(wanted: Wanted = {}): Made {
  const { participant = 'p-1', patient = 'p1' } = wanted
  const withdrawalKey = 'the-withdrawal-key'
  const study = { id: 'sleep', title: 'Sleep' }
  const consent = {
    format: 's4s-consent/1',
    id: 'consent-1',
    study,
    participant,
    version: '3',
    text: 'I agree.',
    dataClasses: ['Patient', 'Problems'],
    signature: 'Ada Canary',
    givenAt: '2026-01-02T03:04:05.678Z',
    withdrawalCommitment: sha256(withdrawalKey),
    ...wanted.consent,
  }
  const signed = { ...consent, digest: sha256(JSON.stringify(consent)) }
  if (wanted.alteredConsent) signed.signature = 'Eve'
  const files: Record<string, string> = {
    'consent.json': JSON.stringify(signed),
    'records/01/Condition-0001.ndjson':
      '{"resourceType":"Condition","id":"c1","note":[{"text":"Canary"}]}\n{"resourceType":"Condition","id":"c2"}\n',
    'records/01/Patient-0001.ndjson': `{"resourceType":"Patient","id":"${patient}","name":[{"family":"Canary"}]}\n`,
    'records/01/attachments.ndjson':
      '{"source":"DocumentReference/d1","status":"missing","contentType":"text/plain"}\n',
    'records/01/provenance.ndjson': '{"resourceType":"Provenance"}\n',
    ...(wanted.attachment === undefined
      ? {}
      : { [`records/01/attachments/${sha256(wanted.attachment)}.bin`]: wanted.attachment }),
    ...wanted.parts,
  }
  const more = Object.entries(wanted.more ?? {}).map(([id, resources], at) => {
    const folder = `records/${String(at + 2).padStart(2, '0')}`
    const types = [...new Set(resources.map(({ resourceType }) => resourceType))]
    const lines = (type: string) => resources.filter(({ resourceType }) => resourceType === type)
    for (const type of types)
      files[`${folder}/${type}-0001.ndjson`] = lines(type)
        .map((one) => `${JSON.stringify(one)}\n`)
        .join('')
    return { id, folder, counts: Object.fromEntries(types.map((type) => [type, lines(type).length])) }
  })
  const parts = new Map(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)))
  const counts: Record<string, number> = {
    'records/01/Condition-0001.ndjson': 2,
    'records/01/Patient-0001.ndjson': 1,
  }
  for (const { folder, counts: theirs } of more)
    for (const [type, count] of Object.entries(theirs)) counts[`${folder}/${type}-0001.ndjson`] = count
  const at = '2026-01-02T03:04:05.678Z'
  const row = (dataClass: string, type: string, count: number) =>
    ({ dataClass, type, status: 'received', count, warnings: [], queries: [] }) as const
  const manifest: Manifest = {
    format: 's4s-package/1',
    study,
    participant,
    consent: {
      id: (wanted.consent?.id as string | undefined) === 'consent-other' ? 'consent-1' : consent.id,
      version: '3',
      sha256: sha256(files['consent.json'] as string),
      path: 'consent.json',
    },
    withdrawalCommitment: wanted.commitment ?? sha256(withdrawalKey),
    sources: [
      {
        folder: 'records/01',
        connection: 'mercy-1',
        provider: { id: 'mercy', name: wanted.provider ?? 'Mercy', iss: 'https://mercy.example/fhir' },
        patient,
        startedAt: at,
        collectedAt: at,
        plan: { id: 'us-core', classes: ['Patient', 'Problems'] },
        completeness: [row('Patient', 'Patient', 1), row('Problems', 'Condition', 2)],
        issues: {},
        withheld: [],
        counts: { Condition: 2, Patient: 1 },
      },
      ...more.map(({ id, folder, counts: theirs }) => ({
        folder,
        connection: `${id}-1`,
        provider: { id, name: id, iss: `https://${id}.example/fhir` },
        patient,
        startedAt: at,
        collectedAt: at,
        plan: { id: 'us-core', classes: ['Patient', 'Problems'] },
        completeness: [row('Problems', 'Condition', 1)],
        issues: {},
        withheld: [],
        counts: theirs,
      })),
    ],
    parts: [...parts].map(([path, text]) => ({
      path,
      contentType: 'application/fhir+ndjson',
      size: Buffer.byteLength(text),
      sha256: sha256(text),
      ...(counts[path] === undefined ? {} : { resources: counts[path] }),
    })),
    software: { name: '@s4s/core', version: '0.0.0' },
  }
  const bytes = JSON.stringify(manifest)
  return { digest: sha256(bytes), bytes, manifest, parts, withdrawalKey }
}

export const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
