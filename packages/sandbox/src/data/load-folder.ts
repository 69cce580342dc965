import { readdir, readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { compact, itemsOf, membersOf, rememberText } from '../fhir/json-text.js'
import type { Resource } from '../fhir/resource.js'

/** A file of records that could not be read, and why. */
export class RecordFileError extends Error {
  readonly code = 'RECORD_FILE_UNREADABLE'
  readonly file: string
  readonly reason: string

  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options)
    this.name = 'RecordFileError'
    this.file = file
    this.reason = reason
  }
}

const maxFileSize = 256 * 1024 * 1024

/**
 * The resources of a folder and the folders in it: Bundles in `.json`, one resource a line in `.ndjson`. What was
 * written digit for digit is served so. References within a Bundle by `urn:uuid:` and references by identifier
 * become `Type/id` where the resource is there. Of two with one id the last is taken, in the order of file names.
 *
 * @throws RecordFileError naming the file and the reason.
 */
export async function loadFolder(folder: string): Promise<Resource[]> {
  const root = resolve(folder)
  const found = new Map<string, Raw>()
  for (const file of await filesOf(root)) {
    for (const raw of await readRecords(file)) found.set(`${raw.type}/${raw.id}`, raw)
  }
  const byIdentifier = new Map<string, string>()
  for (const [key, raw] of found) {
    for (const identifier of identifiersOf(raw.resource)) byIdentifier.set(`${raw.type}?${identifier}`, key)
  }
  return [...found.values()].map(({ resource, text }) => {
    const resolved = resolveConditional(text, byIdentifier)
    return rememberText(resolved === text ? resource : (JSON.parse(resolved) as Resource), resolved)
  })
}

interface Raw {
  readonly type: string
  readonly id: string
  readonly text: string
  readonly resource: Resource
}

async function filesOf(folder: string): Promise<string[]> {
  let entries: string[]
  try {
    entries = await readdir(folder, { recursive: true })
  } catch (cause) {
    throw new RecordFileError(folder, 'there is no such folder', { cause })
  }
  const files = entries.filter((name) => /\.(json|ndjson|jsonl)$/i.test(name)).sort()
  if (files.length === 0) throw new RecordFileError(folder, 'there is no .json or .ndjson file in it')
  return files.map((name) => join(folder, name))
}

async function readRecords(file: string): Promise<Raw[]> {
  const text = await readText(file)
  if (/\.json$/i.test(file)) return readJson(file, text)
  return text.split('\n').flatMap((line, index) => {
    const trimmed = line.trim()
    return trimmed === ''
      ? []
      : [rawOf(file, `line ${index + 1}`, trimmed, parse(file, `line ${index + 1} `, trimmed))]
  })
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > maxFileSize) throw new RecordFileError(file, 'it is larger than 256 MB')
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '')
  } catch (cause) {
    throw cause instanceof RecordFileError ? cause : new RecordFileError(file, 'it cannot be read', { cause })
  }
}

function readJson(file: string, text: string): Raw[] {
  const value = parse(file, '', text)
  if (!isObject(value)) throw new RecordFileError(file, 'it holds no JSON object')
  if (value.resourceType !== 'Bundle') return [rawOf(file, 'the resource', compact(text.trim()), value)]
  const entries = value.entry ?? []
  if (!Array.isArray(entries)) throw new RecordFileError(file, 'the entry of the Bundle is no list')
  const slices = entrySlices(text)
  const byFullUrl = new Map<string, string>()
  const raws: Raw[] = []
  for (const [index, entry] of (entries as unknown[]).entries()) {
    if (!isObject(entry)) throw new RecordFileError(file, `entry ${index + 1} of the Bundle is no object`)
    const { resource, fullUrl } = entry
    const slice = slices[index]
    if (resource === undefined || slice === undefined) continue
    const place = `entry ${index + 1}`
    // In a transaction the id may be in the fullUrl only.
    const uuid =
      typeof fullUrl === 'string' ? /^urn:(?:uuid|oid):([A-Za-z0-9\-.]{1,64})$/.exec(fullUrl)?.[1] : undefined
    const raw = rawOf(file, place, compact(slice), resource, uuid)
    if (raw.type === 'OperationOutcome') continue
    if (typeof fullUrl === 'string') byFullUrl.set(fullUrl, `${raw.type}/${raw.id}`)
    raws.push(raw)
  }
  return raws.map((raw) => {
    const resolved = resolveFullUrls(raw.text, byFullUrl)
    return resolved === raw.text
      ? raw
      : { ...raw, text: resolved, resource: JSON.parse(resolved) as Resource }
  })
}

function entrySlices(text: string): (string | undefined)[] {
  const entries = membersOf(text).findLast(({ key }) => key === 'entry')
  if (!entries) return []
  return itemsOf(text, entries.start).map(({ start }) => {
    const resource = membersOf(text, start).findLast(({ key }) => key === 'resource')
    return resource && text.slice(resource.start, resource.end)
  })
}

function rawOf(file: string, place: string, text: string, value: unknown, fallbackId?: string): Raw {
  if (
    !isObject(value) ||
    typeof value.resourceType !== 'string' ||
    !/^[A-Z][A-Za-z]{1,63}$/.test(value.resourceType)
  ) {
    throw new RecordFileError(file, `${place} has no resourceType`)
  }
  const type = value.resourceType
  const id = value.id ?? fallbackId
  if (typeof id !== 'string' || !/^[A-Za-z0-9\-.]{1,64}$/.test(id)) {
    throw new RecordFileError(
      file,
      `${place} (${type}) has no id of 1 to 64 letters, digits, hyphens or dots`,
    )
  }
  if (value.id === id) return { type, id, text, resource: value as Resource }
  const withId = text.replace(/\}\s*$/, `,"id":${JSON.stringify(id)}}`)
  return { type, id, text: withId, resource: JSON.parse(withId) as Resource }
}

// References are replaced in the text, so that nothing else of it changes. A quotation mark within
// a JSON string has a backslash before it, so these patterns meet members only.
function resolveFullUrls(text: string, byFullUrl: ReadonlyMap<string, string>): string {
  return text.replace(
    /("(?:reference|url)":)("(?:[^"\\]|\\.){1,512}")/g,
    (whole, name: string, value: string) => {
      const key = byFullUrl.get(JSON.parse(value) as string)
      return key === undefined ? whole : `${name}${JSON.stringify(key)}`
    },
  )
}

function resolveConditional(text: string, byIdentifier: ReadonlyMap<string, string>): string {
  return text.replace(
    /("reference"\s*:\s*)("[A-Z][A-Za-z]{1,63}\?identifier=(?:[^"\\]|\\.){1,512}")/g,
    (whole, name: string, value: string) => {
      const [type = '', query = ''] = (JSON.parse(value) as string).split('?')
      const identifier = new URLSearchParams(query).get('identifier') ?? ''
      const key = byIdentifier.get(`${type}?${identifier}`)
      return key === undefined ? whole : `${name}${JSON.stringify(key)}`
    },
  )
}

function identifiersOf(resource: Resource): string[] {
  return [resource.identifier].flat().flatMap((one) => {
    if (!isObject(one) || typeof one.value !== 'string') return []
    return typeof one.system === 'string' ? [`${one.system}|${one.value}`, one.value] : [one.value]
  })
}

function parse(file: string, place: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RecordFileError(file, `${place}is no JSON`, { cause })
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
