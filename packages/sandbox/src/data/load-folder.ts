import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { compact, itemsOf, membersOf, rememberText } from '../fhir/json-text.js'
import type { Resource } from '../fhir/resource.js'

/** A file that cannot be served. The message names the file and what is wrong with it. */
export class DataError extends Error {
  readonly file: string
  constructor(file: string, reason: string) {
    super(`${file}: ${reason}`)
    this.name = 'DataError'
    this.file = file
  }
}

interface Found {
  readonly file: string
  readonly text: string
  readonly resource: Resource
  readonly fullUrl?: string
}

/**
 * The resources of all `.json` and `.ndjson` files below a folder: Bundles, single resources, or one a line.
 * References within a Bundle by `urn:uuid:`, and those by identifier as Synthea writes them, become `Type/id`
 * where their target is there. Numbers keep their digits. Of two resources with one id the last counts.
 *
 * @throws DataError for a file that is not FHIR JSON, or a folder without any
 */
export async function loadFolder(folder: string): Promise<Resource[]> {
  const found: Found[] = []
  for (const path of await filesBelow(folder)) {
    const file = relative(folder, path)
    const text = (await readFile(path, 'utf8')).replace(/^\uFEFF/, '')
    if (path.endsWith('.ndjson')) {
      text.split('\n').forEach((line, index) => {
        if (line.trim() !== '')
          found.push({ file, text: line, resource: parse(line, `${file}, line ${index + 1}`) })
      })
    } else found.push(...resourcesOf(text, file))
  }
  if (found.length === 0) throw new DataError(folder, 'there is no FHIR in this folder (.json or .ndjson)')

  const targets = targetsOf(found)
  const loaded = new Map<string, Resource>()
  for (const { file, text, resource } of found) {
    const { resourceType, id } = resource
    if (typeof id !== 'string' || id === '') throw new DataError(file, `a ${resourceType} has no id`)
    const linked = compact(withTargets(text, targets))
    loaded.set(`${resourceType}/${id}`, rememberText(JSON.parse(linked) as Resource, linked))
  }
  return [...loaded.values()]
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      throw new DataError(
        folder,
        error.code === 'ENOENT' ? 'there is no such folder' : `cannot be read (${error.code ?? 'unknown'})`,
      )
    },
  )
  return entries
    .filter((entry) => entry.isFile() && /\.(nd)?json$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort()
}

function resourcesOf(text: string, file: string): Found[] {
  const whole = parse(text, file)
  if (whole.resourceType !== 'Bundle') return [{ file, text, resource: whole }]
  const entry = membersOf(text, text.indexOf('{')).findLast(({ key }) => key === 'entry')
  if (!entry) return []
  if (text[entry.start] !== '[') throw new DataError(file, 'the entry of the Bundle is not a list')
  return itemsOf(text, entry.start).flatMap(({ start, end }) => {
    if (text[start] !== '{') return []
    const members = membersOf(text.slice(start, end))
    const slice = (key: string): string | undefined => {
      const member = members.findLast((one) => one.key === key)
      return member && text.slice(start + member.start, start + member.end)
    }
    const resource = slice('resource')
    if (resource === undefined) return []
    const fullUrl = slice('fullUrl')
    return [
      {
        file,
        text: resource,
        resource: parse(resource, file),
        ...(fullUrl === undefined ? {} : { fullUrl: String(JSON.parse(fullUrl)) }),
      },
    ]
  })
}

function parse(text: string, where: string): Resource {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new DataError(where, 'not JSON')
  }
  if (typeof value !== 'object' || value === null || typeof (value as Resource).resourceType !== 'string') {
    throw new DataError(where, 'not a FHIR resource')
  }
  return value as Resource
}

// By full URL, and by `Type?identifier=system|value`.
function targetsOf(found: readonly Found[]): ReadonlyMap<string, string> {
  const targets = new Map<string, string>()
  for (const { resource, fullUrl } of found) {
    const target = `${resource.resourceType}/${String(resource.id)}`
    if (fullUrl !== undefined) targets.set(fullUrl, target)
    const identifiers = Array.isArray(resource.identifier)
      ? (resource.identifier as { system?: unknown; value?: unknown }[])
      : []
    for (const { system, value } of identifiers) {
      if (typeof system === 'string' && typeof value === 'string')
        targets.set(`${resource.resourceType}?identifier=${system}|${value}`, target)
    }
  }
  return targets
}

// On the text and not on the object: everything but the references stays as it was written.
function withTargets(text: string, targets: ReadonlyMap<string, string>): string {
  return text.replace(
    /("(?:reference|url)"\s*:\s*)("(?:[^"\\]|\\.)*")/g,
    (whole, key: string, quoted: string) => {
      const target = targets.get(String(JSON.parse(quoted)))
      return target === undefined ? whole : `${key}${JSON.stringify(target)}`
    },
  )
}
