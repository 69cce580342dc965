import { namesOfPatients } from '@s4s/core/confidential'
import { isObject } from '../json.js'
import type { Fetched } from './download.js'
import { type BulkIssue, type BulkIssues, createBulkIssues } from './issues.js'
import { linesOf } from './lines.js'
import type { ExportFile } from './manifest.js'
import { keyedLine, keyedLines, type Shelves, shelfOfKey, shelfOfPatient } from './shelves.js'

/** What an export turned out to hold, and to lack. */
export interface Staged {
  readonly lines: number
  /** Types of which something is missing, and why; of `*`, it may be any. */
  readonly incomplete: Readonly<Record<string, string>>
  /** What the server remarked. */
  readonly warnings: readonly { readonly type: string; readonly code: string }[]
  /** `Type/id` of what was deleted at the server. */
  readonly removed: readonly string[]
  readonly issues: readonly BulkIssue[]
}

/** What the files of one export are sorted with. */
export interface Sorting {
  readonly shelves: Shelves
  /** The FHIR base. */
  readonly iss: string
  /** The types that were asked for. */
  readonly types: ReadonlySet<string>
  /** The only patients whose records are wanted. */
  readonly patients?: ReadonlySet<string>
  readonly maxLineBytes: number
  readonly signal?: AbortSignal
  readonly onFile: () => void
}

const idForm = /^[A-Za-z0-9\-.]{1,128}$/
const isId = (id: unknown): id is string => typeof id === 'string' && idForm.test(id) && !/^\.+$/.test(id)
const mostRemoved = 100_000

/**
 * Sorts the files of an export by whose record their lines belong to. What belongs to nobody, such as a clinician, is
 * found by what points to it; what points to others, such as a Provenance, goes where these are.
 */
export async function stage(
  sorting: Sorting,
  files: readonly { readonly file: ExportFile; readonly fetched: Fetched; readonly path: string }[],
  read: (path: string) => AsyncIterable<Uint8Array>,
): Promise<Staged> {
  const issues = createBulkIssues()
  const incomplete: Record<string, string> = Object.create(null) as Record<string, string>
  const warnings = new Map<string, { type: string; code: string }>()
  const removed: string[] = []
  let lines = 0
  const hasProvenance = files.some(({ file }) => file.kind === 'output' && file.type === 'Provenance')
  const lack = (type: string, why: string): void => {
    incomplete[type] ??= why
  }

  for (const { file, fetched, path } of files) {
    if (fetched.fault !== undefined) {
      issues.add('file', file.type, fetched.fault)
      if (file.kind !== 'deleted') lack(file.kind === 'output' ? file.type : '*', fetched.fault)
    }
    for await (const line of linesOf(read(path), sorting.maxLineBytes)) {
      sorting.signal?.throwIfAborted()
      lines++
      if ('bad' in line) {
        issues.add('invalid-line', file.type, line.bad)
        if (file.kind !== 'deleted') lack(file.kind === 'output' ? file.type : '*', 'structure')
      } else if (line.resource.resourceType === 'OperationOutcome') {
        for (const { type, code, isError } of remarksOf(line.resource)) {
          if (isError) {
            issues.add('server', type, code)
            lack(type, code)
          } else if (warnings.size < 50) warnings.set(`${type} ${code}`, { type, code })
        }
      } else if (file.kind === 'deleted') {
        for (const key of deletionsIn(line.resource)) if (removed.length < mostRemoved) removed.push(key)
      } else if (file.kind === 'output') await place(sorting, issues, line.resource, line.text, hasProvenance)
    }
    sorting.onFile()
  }
  await sorting.shelves.flush()
  if (hasProvenance) await join(sorting.shelves)
  return {
    lines,
    incomplete: { ...incomplete },
    warnings: [...warnings.values()],
    removed: [...new Set(removed)],
    issues: issues.list(),
  }
}

async function place(
  { shelves, iss, types, patients }: Sorting,
  issues: BulkIssues,
  resource: Record<string, unknown>,
  text: string,
  hasProvenance: boolean,
): Promise<void> {
  const type = String(resource.resourceType)
  if (!types.has(type) && type !== 'Binary')
    return issues.add('unexpected-type', /^[A-Z][A-Za-z]{1,63}$/.test(type) ? type : '')
  const { id } = resource
  if (!isId(id)) return issues.add('invalid-id', type)
  const line = text.includes('\r') ? text.replaceAll('\r', ' ') : text
  const names = ownersOf(resource, iss)
  if (names === undefined || !names.every(isId)) return issues.add('unplaced', type)
  const targets = type === 'Provenance' && names.length === 0 ? targetsOf(resource, iss) : []
  for (const target of targets) await shelves.put(shelfOfKey('targets', target), keyedLine(target, line))
  if (targets.length > 0) return
  if (names.length === 0) {
    const key = `${type}/${id}`
    await shelves.put(shelfOfKey('shared', key), keyedLine(key, line))
    const practitioner = type === 'PractitionerRole' ? practitionerOf(resource) : undefined
    if (practitioner === undefined) return
    await shelves.put(shelfOfKey('shared', practitioner), keyedLine(practitioner, line))
    return
  }
  const wanted = patients ? names.filter((name) => patients.has(name)) : names
  if (wanted.length === 0) return issues.add('other-patient', type)
  for (const name of wanted) {
    await shelves.put(shelfOfPatient(name), line, `#${name}`)
    if (hasProvenance) {
      const key = `${type}/${id}`
      await shelves.put(shelfOfKey('keys', key), keyedLine(key, name))
    }
  }
}

// The file of a document says by its security context whose it is.
function ownersOf(resource: Record<string, unknown>, iss: string): readonly string[] | undefined {
  if (resource.resourceType !== 'Binary') return namesOfPatients(resource, iss)
  const { securityContext } = resource
  return namesOfPatients({ resourceType: 'Binary', subject: securityContext }, iss)
}

// Both halves of what belongs together lie in parts of the same number, so that one part is held at a time.
async function join(shelves: Shelves): Promise<void> {
  for await (const name of shelves.names('targets')) {
    const part = name.split('/')[1] ?? ''
    const owners = new Map<string, Set<string>>()
    for await (const { key, text } of keyedLines(shelves, `keys/${part}/all`)) {
      const known = owners.get(key)
      if (known) known.add(text)
      else owners.set(key, new Set([text]))
    }
    for await (const { key, text } of keyedLines(shelves, name))
      for (const owner of owners.get(key) ?? []) await shelves.put(shelfOfPatient(owner), text, `#${owner}`)
  }
  await shelves.flush()
}

function targetsOf({ target }: Record<string, unknown>, iss: string): string[] {
  return [
    ...new Set(
      [target].flat().flatMap((one) => localKey(isObject(one) ? one.reference : undefined, iss) ?? []),
    ),
  ]
}

function practitionerOf({ practitioner }: Record<string, unknown>): string | undefined {
  const reference = isObject(practitioner) ? practitioner.reference : undefined
  const [, id] = /(?:^|\/)Practitioner\/([A-Za-z0-9\-.]{1,128})$/.exec(String(reference)) ?? []
  return id === undefined ? undefined : roleKey(id)
}

/** The key of the roles of a clinician. */
export const roleKey = (practitioner: string): string => `PractitionerRole?practitioner=${practitioner}`

/** A reference to something of this server as `Type/id`, its version dropped. */
export function localKey(reference: unknown, iss: string): string | undefined {
  if (typeof reference !== 'string') return undefined
  const base = `${iss.replace(/\/$/, '')}/`
  const local = reference.startsWith(base) ? reference.slice(base.length) : reference
  return /^([A-Z][A-Za-z]{1,63}\/[A-Za-z0-9\-.]{1,128})(?:\/_history\/[A-Za-z0-9\-.]{1,64})?$/.exec(
    local,
  )?.[1]
}

function* remarksOf({
  issue,
}: Record<string, unknown>): Generator<{ type: string; code: string; isError: boolean }> {
  for (const one of [issue].flat().filter(isObject)) {
    const code =
      typeof one.code === 'string' && /^[a-z]{2,15}(-[a-z]{2,15})?$/.test(one.code) ? one.code : 'unknown'
    const places = [one.expression, one.location].flat().map(String)
    const [type = '*'] = places.flatMap((place) => /^([A-Z][A-Za-z]{1,63})(?:[./[]|$)/.exec(place)?.[1] ?? [])
    const isError = one.severity === 'error' || one.severity === 'fatal'
    yield { type, code, isError }
  }
}

function* deletionsIn({ resourceType, entry }: Record<string, unknown>): Generator<string> {
  if (resourceType !== 'Bundle') return
  for (const one of [entry].flat()) {
    const request = isObject(one) && isObject(one.request) ? one.request : {}
    const key = request.method === 'DELETE' ? localKey(request.url, '') : undefined
    if (key !== undefined) yield key
  }
}
