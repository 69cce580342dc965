import type { CryptoPort } from '../ports.js'
import { sha256 } from '../util/bytes.js'
import type { Package, PackagePart } from './package.js'

/**
 * The bytes of a part, if they are still those that the manifest promises: a record that was wiped has others, and who
 * takes them on other roads than an inbox does not look.
 */
export async function openedPart(part: PackagePart, crypto: CryptoPort): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await part.open()
  if (bytes.length !== part.size || (await sha256(crypto, bytes)) !== part.sha256)
    throw new TypeError(`${part.path} is no longer what was packed`)
  return bytes
}

/** The lines of a part of NDJSON. */
export async function linesOf(part: PackagePart, crypto: CryptoPort): Promise<string[]> {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(await openedPart(part, crypto))
  return text.split('\n').filter((line) => line !== '')
}

/** A file that a record's documents point to, and the resources that do. */
export interface SharedFile {
  readonly part: PackagePart
  readonly sources: readonly string[]
}

/** What one source has in a package. */
export interface SourceParts {
  /** Parts of resources, one a line, what others refer to first. */
  readonly resources: readonly PackagePart[]
  readonly files: readonly SharedFile[]
}

/** The parts of a source, in the order in which whoever looks up references takes them. */
export async function partsOf(pack: Package, folder: string, crypto: CryptoPort): Promise<SourceParts> {
  const mine = new Map(
    pack.parts.flatMap((part) =>
      part.path.startsWith(`${folder}/`) ? [[part.path.slice(folder.length + 1), part] as const] : [],
    ),
  )
  const resources = [...mine].filter(([name]) => /^[A-Z][A-Za-z]*-\d+\.ndjson$/.test(name))
  const index = mine.get('attachments.ndjson')
  const files = new Map<string, string[]>()
  for (const line of index ? await linesOf(index, crypto) : []) {
    const { path, source } = JSON.parse(line) as { path?: string; source: string }
    if (path !== undefined) files.set(path, [...(files.get(path) ?? []), source])
  }
  return {
    resources: resources.sort(([a], [b]) => rankOf(a) - rankOf(b)).map(([, part]) => part),
    files: [...files].flatMap(([path, sources]) => {
      const part = mine.get(path.slice(folder.length + 1))
      return part ? [{ part, sources: [...new Set(sources)] }] : []
    }),
  }
}

// What nearly everything refers to, in the order in which they refer to each other.
const first = ['Organization', 'Location', 'Practitioner', 'PractitionerRole', 'Patient', 'RelatedPerson']
const then = ['Device', 'Medication', 'Specimen', 'Condition', 'Encounter', 'ServiceRequest', 'Observation']
const last = ['DiagnosticReport', 'DocumentReference', 'ExplanationOfBenefit', 'Provenance']

function rankOf(name: string): number {
  const type = name.slice(0, name.indexOf('-'))
  const early = [...first, ...then].indexOf(type)
  return early >= 0 ? early : 100 + last.indexOf(type)
}
