import type { Binary, DocumentReference } from 'fhir/r4.js'
import { ambientCrypto } from '../ambient.js'
import type { CryptoPort } from '../ports.js'
import { base64 } from '../util/bytes.js'
import { parseJson, stringAt } from '../util/json.js'
import { sha1Base64 } from '../util/old-hash.js'
import { join } from '../util/url.js'
import { type ConsentDocument, parseDocument } from './consent.js'
import { consentToFhir } from './consent-fhir.js'
import { names, uuidOf } from './fhir-names.js'
import { linesOf, openedPart, partsOf, type SharedFile } from './opened.js'
import type { ManifestSource, Package } from './package.js'
import { provenanceOf } from './provenance.js'
import type { Study } from './study.js'

export interface BundleOptions {
  /** Adds to the Consent of what types the data classes are, and what was withheld. */
  readonly study?: Study
  /** False leaves the files out. Default true. */
  readonly attachments?: boolean
  readonly crypto?: CryptoPort
}

/**
 * A package as one FHIR `Bundle` of type `collection`, in pieces: the Consent, then for each source its resources as the
 * server wrote them, its files as Binary with a DocumentReference that says whose they are, and a Provenance. It takes
 * no more memory than the largest part. The same package gives the same bytes.
 *
 * @example for await (const bytes of bundleOf(pack, { study })) await file.write(bytes)
 * @throws TypeError when the package is sealed, or no longer what was packed
 * @see https://hl7.org/fhir/R4/bundle.html#collection
 */
export function bundleOf(pack: Package, options: BundleOptions = {}): AsyncIterable<Uint8Array<ArrayBuffer>> {
  if (pack.sealed) throw new TypeError('a sealed package cannot be read as FHIR')
  return inPieces(textOf(pack, options))
}

async function* textOf(pack: Package, options: BundleOptions): AsyncIterable<string> {
  const { study, attachments = true, crypto = ambientCrypto } = options
  const { sources } = pack.manifest
  const timestamp = sources
    .map((source) => source.collectedAt)
    .sort()
    .at(-1)
  const head = {
    resourceType: 'Bundle',
    identifier: { system: names.package, value: pack.digest },
    type: 'collection',
    ...(timestamp === undefined ? {} : { timestamp }),
  }
  yield `${JSON.stringify(head).slice(0, -1)},"entry":[\n`
  const consent = await consentIn(pack, crypto)
  yield entry(uuidOf(consent.id), JSON.stringify(consentToFhir(consent, study ? { study } : {})))
  // A URL names one resource of a bundle; what two sources have of the same server has its name once.
  const named = new Set<string>()
  const repeated = new Set(sources.map(({ provider }) => provider.iss)).size < sources.length
  for (const source of sources) {
    const { resources, files } = await partsOf(pack, source.folder, crypto)
    for (const part of resources)
      for (const line of await linesOf(part, crypto)) {
        const url = join(source.provider.iss, nameOf(line))
        yield `,\n${entry(named.has(url) ? undefined : url, line)}`
        if (repeated) named.add(url)
      }
    if (attachments) for (const file of files) yield* entriesOf(pack, source, file, crypto)
    const provenance = provenanceOf(recordOf(source), source.counts)
    if (provenance.target.length > 0)
      yield `,\n${entry(uuidOf(pack.digest, source.folder), JSON.stringify(provenance))}`
  }
  yield '\n]}\n'
}

/** The consent that a package holds. */
export async function consentIn(pack: Package, crypto: CryptoPort): Promise<ConsentDocument> {
  const part = pack.parts.find(({ path }) => path === pack.manifest.consent.path)
  if (!part) throw new TypeError('the package holds no consent')
  return parseDocument(parseJson(new TextDecoder().decode(await openedPart(part, crypto))))
}

/** A source as far as its Provenance needs to know it. */
export function recordOf(source: ManifestSource): Parameters<typeof provenanceOf>[0] {
  const { provider, startedAt, collectedAt } = source
  return { provider, startedAt: new Date(startedAt), collectedAt: new Date(collectedAt) }
}

/** `Type/id` of a resource. */
export function nameOf(line: string): string {
  const resource = parseJson(line)
  return `${stringAt(resource, 'resourceType')}/${stringAt(resource, 'id')}`
}

function entry(fullUrl: string | undefined, resource: string): string {
  return `{${fullUrl === undefined ? '' : `"fullUrl":${JSON.stringify(fullUrl)},`}"resource":${resource}}`
}

async function* entriesOf(
  pack: Package,
  source: ManifestSource,
  file: SharedFile,
  crypto: CryptoPort,
): AsyncIterable<string> {
  const bytes = await openedPart(file.part, crypto)
  const { iss } = source.provider
  const urls = {
    binary: uuidOf(pack.digest, file.part.path),
    subject: join(iss, `Patient/${source.patient}`),
    sources: file.sources.map((one) => join(iss, one)),
  }
  const { document, binary } = fileOf(file, bytes, urls)
  yield `,\n${entry(uuidOf(pack.digest, file.part.path, 'document'), JSON.stringify(document))}`
  yield `,\n{"fullUrl":"${urls.binary}","resource":${JSON.stringify(binary).slice(0, -1)},"data":"`
  // A multiple of three, so that the pieces of base64 are the base64 of the whole.
  for (let from = 0; from < bytes.length; from += 49_152) yield base64(bytes.subarray(from, from + 49_152))
  yield '"}}'
}

/** A file as FHIR: its bytes, which are still to be put in, and what says whose they are. */
export function fileOf(
  { part }: SharedFile,
  bytes: Uint8Array,
  urls: { readonly binary: string; readonly subject: string; readonly sources: readonly string[] },
): { readonly document: DocumentReference; readonly binary: Binary } {
  const contentType = /^[\w.+-]+\/[\w.+-]+(;.*)?$/.test(part.contentType)
    ? part.contentType
    : 'application/octet-stream'
  return {
    binary: { resourceType: 'Binary', contentType },
    document: {
      resourceType: 'DocumentReference',
      status: 'current',
      subject: { reference: urls.subject },
      content: [
        { attachment: { contentType, url: urls.binary, size: bytes.length, hash: sha1Base64(bytes) } },
      ],
      context: { related: urls.sources.map((reference) => ({ reference })) },
    },
  }
}

const pieceLength = 65_536

async function* inPieces(text: AsyncIterable<string>): AsyncIterable<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  let piece: string[] = []
  let length = 0
  for await (const one of text) {
    piece.push(one)
    length += one.length
    if (length < pieceLength) continue
    yield encoder.encode(piece.join(''))
    piece = []
    length = 0
  }
  if (length > 0) yield encoder.encode(piece.join(''))
}
