import type { Manifest, ManifestPart } from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import { Refusal } from './refusal.js'

/** How the bytes of a part are read when it is verified. */
export type PartKind =
  | { readonly kind: 'consent' }
  | { readonly kind: 'resources'; readonly type: string; readonly count: number }
  | { readonly kind: 'provenance' }
  | { readonly kind: 'index' }
  | { readonly kind: 'attachment' }

/** Most bytes of a manifest; one with ten thousand parts has about 3 MB. */
export const maxManifestBytes: number = 16 * 1024 * 1024
const maxParts = 50_000
const maxSources = 500

/**
 * Reads a manifest, and makes sure that it is one in itself: its paths are safe, its counts add up, its consent is
 * one of its parts. Whether the parts are what it says is for later.
 *
 * @throws Refusal `manifest`, `consent`
 */
export function readManifest(bytes: Uint8Array): Manifest {
  const manifest = parseJsonBytes(bytes)
  if (!isObject(manifest) || manifest.format !== 's4s-package/1') throw bad()
  const { study, consent, software } = manifest
  if (!isObject(study) || !isText(study.id, 64) || !isText(study.title)) throw bad()
  if (!isText(manifest.participant, 200)) throw bad()
  if (!isDigest(manifest.withdrawalCommitment)) throw bad()
  if (!isObject(software) || !isText(software.name, 100) || !isText(software.version, 100)) throw bad()
  const sources = readSources(manifest.sources)
  const parts = readParts(manifest.parts, sources)
  if (!isObject(consent) || !isText(consent.id) || !isText(consent.version)) throw bad('consent.json')
  const agreed = parts.get('consent.json')
  if (consent.path !== 'consent.json' || agreed === undefined || agreed.sha256 !== consent.sha256) {
    throw new Refusal('consent', { part: 'consent.json' })
  }
  checkCounts(sources, parts.values())
  return manifest as unknown as Manifest
}

/** What a part is, by its path. The path was found safe before. */
export function kindOf(part: Pick<ManifestPart, 'path' | 'resources'>): PartKind {
  const name = part.path.replace(/^records\/\d{2,4}\//, '')
  if (name === 'consent.json') return { kind: 'consent' }
  if (name === 'provenance.ndjson') return { kind: 'provenance' }
  if (name === 'attachments.ndjson') return { kind: 'index' }
  const type = resourceFile.exec(name)?.[1]
  return type === undefined
    ? { kind: 'attachment' }
    : { kind: 'resources', type, count: part.resources ?? -1 }
}

interface Source {
  readonly folder: string
  readonly counts: Readonly<Record<string, unknown>>
}

function readSources(value: unknown): Map<string, Source> {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxSources) throw bad()
  const sources = new Map<string, Source>()
  for (const source of value as unknown[]) {
    if (!isObject(source)) throw bad()
    const { folder, provider, plan, completeness, counts, withheld } = source
    if (!isText(folder, 20) || !/^records\/\d{2,4}$/.test(folder) || sources.has(folder)) throw bad()
    if (!isObject(provider) || !isText(provider.id) || !isText(provider.name) || !isText(provider.iss))
      throw bad()
    if (provider.vendor !== undefined && !isText(provider.vendor, 64)) throw bad()
    if (!isText(source.connection) || !isText(source.patient)) throw bad()
    if (!isDate(source.startedAt) || !isDate(source.collectedAt)) throw bad()
    if (!isObject(plan) || !isText(plan.id) || !Array.isArray(plan.classes)) throw bad()
    if (!plan.classes.every((name) => isText(name, 100))) throw bad()
    if (!Array.isArray(completeness) || !completeness.every(isCompletenessRow)) throw bad()
    if (!Array.isArray(withheld) || !isObject(source.issues)) throw bad()
    if (!isObject(counts) || !Object.values(counts).every((count) => isCount(count) && count > 0)) throw bad()
    sources.set(folder, { folder, counts })
  }
  return sources
}

function isCompletenessRow(row: unknown): boolean {
  return isObject(row) && isText(row.dataClass, 100) && isText(row.status, 40) && isCount(row.count)
}

const resourceFile = /^([A-Z][A-Za-z]{0,63})-\d{4,8}\.ndjson$/

function readParts(value: unknown, sources: ReadonlyMap<string, Source>): Map<string, ManifestPart> {
  if (!Array.isArray(value) || value.length === 0 || value.length > maxParts) throw bad()
  const parts = new Map<string, ManifestPart>()
  const sizes = new Map<string, number>()
  // Two names that differ in case only are one file on some disks.
  const taken = new Set<string>()
  for (const part of value as unknown[]) {
    if (!isObject(part)) throw bad()
    const { path, contentType, size, sha256 } = part
    if (!isText(path, 255) || !isSafePath(path)) throw bad()
    if (taken.has(path.toLowerCase())) throw bad(path)
    taken.add(path.toLowerCase())
    if (!isText(contentType) || !isCount(size) || !isDigest(sha256)) throw bad(path)
    // The same bytes have one length.
    if ((sizes.get(sha256) ?? size) !== size) throw bad(path)
    sizes.set(sha256, size)
    const known = part as unknown as ManifestPart
    checkPlace(known, sources)
    parts.set(path, known)
  }
  return parts
}

// A part has its place: the consent at the top, everything else in the folder of a source.
function checkPlace(part: ManifestPart, sources: ReadonlyMap<string, Source>): void {
  const { path, resources } = part
  const counted = kindOf(part).kind === 'resources'
  if (counted ? !isCount(resources) || resources === 0 : resources !== undefined) throw bad(path)
  if (path === 'consent.json') return
  const folder = path.split('/').slice(0, 2).join('/')
  if (!sources.has(folder)) throw bad(path)
  const name = path.slice(folder.length + 1)
  const listed = name === 'provenance.ndjson' || name === 'attachments.ndjson' || resourceFile.test(name)
  if (!listed && !/^attachments\/[^/]+$/.test(name)) throw bad(path)
}

// Letters, digits, dots, dashes and underscores, in segments that begin with none of the latter three.
function isSafePath(path: string): boolean {
  return /^[A-Za-z0-9._/-]+$/.test(path) && path.split('/').every((segment) => /^[A-Za-z0-9]/.test(segment))
}

// One pass over the parts, however many sources there are.
function checkCounts(sources: ReadonlyMap<string, Source>, parts: Iterable<ManifestPart>): void {
  const found = new Map<string, Map<string, number>>()
  for (const part of parts) {
    const kind = kindOf(part)
    if (kind.kind !== 'resources') continue
    const folder = part.path.split('/', 2).join('/')
    const counted = found.get(folder) ?? new Map<string, number>()
    found.set(folder, counted.set(kind.type, (counted.get(kind.type) ?? 0) + kind.count))
  }
  for (const { folder, counts } of sources.values()) {
    const said = Object.entries(counts)
    const counted = found.get(folder)
    if (said.length !== (counted?.size ?? 0) || said.some(([type, count]) => counted?.get(type) !== count))
      throw bad()
  }
}

const isText = (value: unknown, most = 2000): value is string =>
  typeof value === 'string' && value !== '' && value.length <= most
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isDigest = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
const isDate = (value: unknown): boolean => isText(value, 40) && !Number.isNaN(Date.parse(value))
const bad = (part?: string): Refusal => new Refusal('manifest', part === undefined ? {} : { part })
