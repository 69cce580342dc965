import { ambientClock, ambientCrypto } from '../ambient.js'
import { isSmartError } from '../errors.js'
import type { Page, PageEntry, Reader, Resource, SearchParams } from '../fhir/types.js'
import type { DataClass, Plan } from '../plans/plan.js'
import type { Checkpoint, FileShelf, Platform } from '../ports.js'
import { orAborted } from '../util/abort.js'
import { createGate, type Gate, pool } from '../util/async.js'
import { isObject } from '../util/json.js'
import { onOneLine } from '../util/line.js'
import { tell } from '../util/tell.js'
import { type AttachmentShelf, attachmentLimit, fetchAttachments } from './attachments.js'
import { classesOf, isOfAnother } from './classify.js'
import {
  addWarnings,
  alongRow,
  completenessOf,
  createRun,
  notGrantedRow,
  partlyGrantedRow,
  type Run,
  throughOthersRow,
} from './completeness.js'
import { createIssues, type Issues, type RecordIssue } from './issues.js'
import { type Journal, openJournal } from './journal.js'
import { ladderOf } from './ladders.js'
import { isAboutAnother } from './patient-guard.js'
import { createRecord, type PatientRecord } from './record.js'
import { createReferences, type Miss, type References, typesOf } from './references.js'
import { longestFirst, type Query, schedule } from './schedule.js'
import { createShelf, type Shelf } from './shelf.js'
import { datedSince } from './since.js'
import { divided, dividedBy, type Part } from './split.js'

export interface CollectOptions {
  /** What to ask for. */
  readonly plan: Plan
  /**
   * Only what changed after this, and a week before it, since servers are slow to show what they have; where a server
   * does not know what changed, by clinical date, else everything. The patient's own resource is read in any case.
   * `changesBetween` tells of a record without it what was removed.
   */
  readonly since?: Date
  /** Queries under way at a time. Default 4. */
  readonly concurrency?: number
  readonly signal?: AbortSignal
  /** Called after each page and each file. */
  readonly onProgress?: (progress: Progress) => void
  /** Most resources that one query may bring; beyond it the class is `truncated`. Default 100,000. */
  readonly maxResources?: number
  /** Most bytes of one file. Default 25 MiB. */
  readonly maxAttachmentBytes?: number
  /**
   * Whether a long search may be divided by date and its parts be walked side by side, as far as `concurrency` allows.
   * Default true; not done with a checkpoint, nor where the server does not say how many results there are.
   */
  readonly split?: boolean
  /** Where it keeps how far it is: one that was cut off goes on from there. `checkpointOf(connection)` */
  readonly checkpoint?: Checkpoint
  /** Where files go in place of memory: `filesOf(connection)` keeps them with the connection. */
  readonly files?: FileShelf
  readonly platform?: Pick<Platform, 'crypto' | 'clock'>
}

/** How far a collection is. */
export interface Progress {
  /** Queries answered. */
  readonly done: number
  /** Queries to answer. */
  readonly total: number
  /** Resources in the record so far. */
  readonly resources: number
  /** Files in the record so far. */
  readonly attachments: number
  /** The data class that the latest answer belongs to. */
  readonly dataClass: string
  readonly provider: { readonly id: string; readonly name: string }
}

/**
 * Collects a patient's record: every data class of the plan that was granted, page by page, with its files.
 * What one query meets does not stop the others; the record says of each class how complete it is.
 *
 * @example const record = await collect(connection, { plan: usCore.only('Patient', 'Laboratory') })
 * @throws SmartError when nothing at all could be read; the signal's reason when aborted
 */
export function collect(reader: Reader, options: CollectOptions): Promise<PatientRecord> {
  const { plan, since, concurrency = 4, maxResources = 100_000 } = options
  if (!Array.isArray(plan?.classes)) throw new TypeError('collect needs a plan')
  if (new Set(plan.classes.map((row) => row.name)).size !== plan.classes.length) {
    throw new TypeError('a plan names each data class once')
  }
  if (since && Number.isNaN(since.getTime())) throw new TypeError('since is not a date')
  if (!(concurrency >= 1)) throw new TypeError('concurrency is at least 1')
  if (!(maxResources >= 1)) throw new TypeError('maxResources is at least 1')
  const platform = options.platform ?? { crypto: ambientCrypto, clock: ambientClock }
  return gather(reader, { ...options, concurrency, maxResources, platform })
}

type Settings = CollectOptions & Required<Pick<CollectOptions, 'concurrency' | 'maxResources' | 'platform'>>

/** What the parts of one collection share. */
interface Work {
  readonly reader: Reader
  readonly settings: Settings
  readonly shelf: Shelf
  readonly issues: Issues
  readonly report: (dataClass: string) => void
  readonly runs: Run[]
  /** Chains of pages under way at a time, of queries and of their parts. */
  readonly chains: Gate
  readonly journal?: Journal
  /** The classes of the plan that were granted. */
  readonly granted: readonly DataClass[]
  readonly references: References
  /** Parameters that this server has refused, and answered without. */
  readonly refused: Set<string>
  /** Set once nothing more can be read, because access has ended. */
  over?: unknown
  /** The first error of a query, thrown when it turns out that none was answered. */
  failure?: unknown
}

async function gather(given: Reader, settings: Settings): Promise<PatientRecord> {
  const { plan, signal, platform, concurrency } = settings
  signal?.throwIfAborted()
  const now = platform.clock.now()
  const journal = settings.checkpoint
    ? await orAborted(signal, () =>
        openJournal(settings.checkpoint as Checkpoint, {
          reader: given,
          plan,
          now,
          ...(settings.since ? { since: settings.since } : {}),
        }),
      )
    : undefined
  const reader = journal?.reader(given) ?? given
  const startedAt = journal?.startedAt ?? new Date(now)
  const { vendor, ...provider } = reader.provider
  const { queries, notGranted, partlyGranted, known } = schedule(plan, reader.scopes, settings.since, vendor)
  const granted = plan.classes.filter((row) => !notGranted.includes(row))
  const asked = queries.map(createRun)
  const runs = [...asked, ...known.map(knownRefusal)]
  const state = { done: 0, attachments: 0 }
  const work: Work = {
    reader,
    settings,
    shelf: createShelf(),
    issues: createIssues(),
    runs,
    chains: createGate(concurrency),
    ...(journal ? { journal } : {}),
    refused: new Set(),
    granted,
    references: createReferences({
      reader,
      classes: granted,
      concurrency,
      ...(signal ? { signal } : {}),
      mark: (key, classes) => work.shelf.mark(key, classes),
      keep: (entry, classes) =>
        put(
          work,
          entry,
          plan.classes.filter(({ name }) => classes.includes(name)),
        ),
      known: (key) => journal?.referenced(key),
      keepFor: async (entries) => journal?.keepReferenced(entries),
      unresolved: (miss) => noteMiss(work, miss),
      isOver: () => work.over !== undefined,
      // What changed is asked for; what did not change is in an earlier record.
      ...(settings.since
        ? {}
        : { belongs: (entry: PageEntry) => classesOf(entry, granted).map(({ name }) => name) }),
    }),
    report: (dataClass) =>
      tell(settings.onProgress, {
        ...state,
        total: queries.length,
        resources: work.shelf.size,
        dataClass,
        provider: { id: reader.provider.id, name: reader.provider.name },
      }),
  }

  await pool(
    concurrency,
    longestFirst(asked.filter(isQuestion), ({ query }) => query).map((run) => async () => {
      await work.chains(async () => {
        await ask(work, run)
        await climb(work, run)
        // It may bring more, and nobody has to have it.
        const lacks = run.ended === 'refused' || run.ended === 'not-supported'
        if (run.query.optional && (lacks || (run.ended === 'failed' && run.query.kind === 'operation')))
          run.superseded = true
      })
      state.done++
      work.report(nameOf(run))
    }),
  )
  const questions = runs.filter(isQuestion)
  if (questions.length > 0 && questions.every((run) => run.ended === 'failed')) throw work.failure
  await work.references.finish()
  for (const run of asked) {
    if (isQuestion(run)) continue
    state.done++
    work.report(nameOf(run))
  }

  const files = await attachmentsOf(work, (dataClass) => {
    state.attachments++
    work.report(dataClass)
  })
  signal?.throwIfAborted()
  const counts = countByClass(plan, work.shelf)
  const record = createRecord({
    connection: reader.id,
    provider: Object.freeze(provider),
    patient: reader.patient,
    plan,
    startedAt,
    collectedAt: new Date(platform.clock.now()),
    ...(settings.since ? { since: settings.since } : {}),
    completeness: Object.freeze(
      plan.classes.map((row) => {
        if (notGranted.includes(row)) return notGrantedRow(row)
        const own = runs.filter((run) => run.query.classes.includes(row))
        const count = counts.get(row.name) ?? 0
        const found = row.by === 'revinclude' ? alongRow(row, own, count) : completenessOf(row, own, count)
        const whole =
          row.by === undefined
            ? found
            : throughOthersRow(
                found,
                runs.filter(({ query }) => query.kind !== 'reference'),
              )
        return partlyGranted.includes(row) ? partlyGrantedRow(whole) : whole
      }),
    ),
    issues: work.issues.list(),
    shelf: work.shelf,
    files,
  })
  // What was cut short may be had by a later one, which goes on from here.
  if (work.over === undefined && !runs.some((run) => run.ended === 'failed')) await journal?.close()
  return record
}

// Said in the report and no reason to call the class incomplete: there is nothing behind it.
const knownRefusal = (query: Query): Run => ({
  ...createRun(query),
  ended: 'not-supported',
  superseded: true,
})

const isQuestion = (run: Run): boolean => run.query.kind !== 'reference'

async function ask(work: Work, run: Run): Promise<void> {
  const { settings } = work
  const { signal } = settings
  for (let again = true; again; ) {
    again = false
    if (work.over !== undefined) return end(run, 'failed', work.over)
    const known = work.journal?.ending(run.query)
    if (known?.ended === 'refused' || known?.ended === 'not-supported') {
      Object.assign(run, { ended: known.ended, reason: known.reason, forbidden: known.forbidden })
      return
    }
    try {
      await (run.query.kind === 'read' ? readPatient(work, run) : readPages(work, run))
      if (run.shifted && !run.restarted && run.ended === undefined && work.over === undefined) {
        // Pages that moved while they were read may have hidden something: once more, and each is held once.
        Object.assign(run, { restarted: true, shifted: false, pages: 0, total: undefined })
        again = true
        continue
      }
      // Its own count says that there is more: not an error, and not to be kept quiet about.
      if (run.ended === undefined && (run.total ?? 0) > run.brought.size)
        addWarnings(run, [{ severity: 'warning', code: 'incomplete' }])
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      again = mayAskAgain(run, error, settings.since)
      if (again) continue
      if (isSmartError(error) && error.code === 'TOKEN_ENDED') work.over ??= error
      work.failure ??= error
      run.forbidden = isSmartError(error) && error.code === 'FHIR_FORBIDDEN'
      end(run, endingOf(run, error), error)
      await work.journal?.keepEnding(run)
    }
  }
}

// A search that was refused may be granted in another form. What was refused stays in the report.
async function climb(work: Work, run: Run): Promise<void> {
  if (run.query.kind !== 'search' || run.ended !== 'refused') return
  const { _revinclude: _, _include: __, _lastUpdated: ___, ...search } = run.query.search
  for (const rung of ladderOf(run.query.type, search, run.forbidden ? 'forbidden' : 'invalid')) {
    if (rung.length === 0 || work.over !== undefined) continue
    const tried = rung.map((one) =>
      createRun({ ...run.query, search: { ...run.search, ...cleared(search), ...one } }),
    )
    for (const other of tried) await ask(work, other)
    if (tried.every((other) => other.ended === 'refused')) continue
    run.superseded = true
    work.runs.push(...tried)
    return
  }
}

const cleared = (search: SearchParams): SearchParams =>
  Object.fromEntries(Object.keys(search).map((name) => [name, undefined]))

function end(run: Run, ended: NonNullable<Run['ended']>, error: unknown): void {
  run.ended = ended
  const reason = reasonOf(error)
  if (reason !== undefined) run.reason = reason
}

function reasonOf(error: unknown): string | undefined {
  if (!isSmartError(error)) return undefined
  return error.code === 'FHIR_BAD_REQUEST' || error.code === 'FHIR_FORBIDDEN'
    ? (error.reason ?? error.code)
    : error.code
}

function endingOf(run: Run, error: unknown): NonNullable<Run['ended']> {
  if (run.pages > 0) return 'truncated'
  if (!isSmartError(error)) return 'failed'
  if (error.code === 'FHIR_FORBIDDEN' || error.code === 'FHIR_BAD_REQUEST') return 'refused'
  return error.code === 'FHIR_NOT_FOUND' && run.query.kind !== 'read' ? 'not-supported' : 'failed'
}

// Some refusals have a remedy that costs one more query: a cursor that has expired half-way, and a parameter that the
// server does not know. What comes twice is held once.
function mayAskAgain(run: Run, error: unknown, since?: Date): boolean {
  if (!isSmartError(error)) return false
  const unknownPage = ['FHIR_GONE', 'FHIR_NOT_FOUND', 'FHIR_BAD_REQUEST'].includes(error.code)
  if (run.pages > 0 && unknownPage && !run.restarted) {
    run.restarted = true
    return true
  }
  const tooMuch =
    error.code === 'FHIR_RESPONSE_TOO_LARGE' || error.code === 'FHIR_TIMEOUT' || error.status === 504
  if (run.pages === 0 && tooMuch && run.query.kind === 'search' && run.search._count === undefined) {
    run.search = { ...run.search, _count: 50 }
    return true
  }
  if (run.pages > 0 || error.code !== 'FHIR_BAD_REQUEST') return false
  const dated = since ? Object.keys(datedSince(run.query.type, since)) : []
  const [name] = [...optional, ...dated].filter((one) => run.search[one] !== undefined)
  if (name === undefined) return false
  without(run, name, since)
  run.dropped = name
  return true
}

// What a search does without: what would come along is had by references or reported, what is old comes once more.
const optional = ['_revinclude', '_include', '_lastUpdated'] as const
const isOptional = (name: string): boolean => optional.some((one) => one === name)

function without(run: Run, name: string, since?: Date): void {
  const { [name]: _, ...others } = run.search
  const instead = since && name === '_lastUpdated' ? datedSince(run.query.type, since) : {}
  run.search = { ...others, ...instead }
  if (name === '_revinclude') run.alone = true
}

async function readPatient(work: Work, run: Run): Promise<void> {
  const { reader, settings } = work
  const { signal } = settings
  const kept = work.journal?.pages(run.query)[0]?.page.entries[0]
  const patient =
    kept ??
    (await orAborted(signal, () => reader.readEntry('Patient', reader.patient, signal ? { signal } : {})))
  run.pages = 1
  if (!kept && isObject(patient?.resource))
    await work.journal?.keepPage(run, { entries: [patient], outcomes: [], invalid: 0, last: true })
  if (!isObject(patient?.resource)) work.issues.add({ kind: 'invalid-entry', dataClass: nameOf(run) })
  else keep(work, run, patient)
}

const mostPages = 10_000
const mostEmptyPages = 20

async function readPages(work: Work, run: Run): Promise<void> {
  const { reader, settings } = work
  const { signal } = settings
  let empty = 0
  // False when nothing more is to be read of it.
  const take = (page: Page): boolean => {
    if (page.total !== undefined && reader.provider.vendor?.totals?.value !== false) {
      // The size of the page is no count of the results.
      const isCount = page.total !== page.entries.length
      if (isCount && run.total !== undefined && run.total !== page.total) run.shifted = true
      run.total = page.total
    }
    addWarnings(run, page.outcomes)
    if (page.invalid > 0) work.issues.add({ kind: 'invalid-entry', dataClass: nameOf(run) }, page.invalid)
    for (const entry of page.entries) {
      // A limit that is just met is no loss: only one resource more makes it one.
      if (run.brought.size >= settings.maxResources && !run.brought.has(keyOf(entry))) {
        truncate(run, 'limit')
        return false
      }
      keep(work, run, entry)
    }
    empty = page.entries.length === 0 ? empty + 1 : 0
    work.references.found(
      page.entries,
      run.query.classes.map(({ name }) => name),
    )
    work.report(nameOf(run))
    if (run.pages >= mostPages || empty >= mostEmptyPages) {
      truncate(run, 'endless')
      return false
    }
    return true
  }

  const { type, operation } = run.query
  const base = reader.provider.iss.replace(/\/$/, '')
  let from =
    operation === undefined
      ? undefined
      : `${base}/${type}/${operation}?patient=${encodeURIComponent(reader.patient)}`
  if (!run.resumed) {
    run.resumed = true
    const kept = work.journal?.pages(run.query) ?? []
    for (const { page, search, alone } of kept) {
      run.pages++
      Object.assign(run, { search, alone })
      if (!take(page)) return
      noteErrors(work, run, page)
    }
    if (kept.at(-1)?.page.last) return
    const next = kept.at(-1)?.page.next
    // Of a chain that cannot be gone on with, all is asked again.
    if (next === undefined) run.pages = 0
    else from = next
  }
  for (const name of work.refused) if (run.search[name] !== undefined) without(run, name, settings.since)
  const search = Object.fromEntries(
    Object.entries({ patient: reader.patient, ...run.search }).map(([name, value]) => [
      name,
      value === '{patient}' ? reader.patient : value,
    ]),
  )
  const pages = reader
    .search(run.query.type, search, {
      ...(signal ? { signal } : {}),
      ...(from === undefined ? {} : { from }),
    })
    .pages()
    [Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value: page } = await orAborted(signal, () => pages.next())
      if (done) return
      run.pages++
      if (run.dropped && isOptional(run.dropped)) work.refused.add(run.dropped)
      await work.journal?.keepPage(run, page)
      if (!take(page)) return
      if (work.over !== undefined) return end(run, 'truncated', work.over)
      noteErrors(work, run, page)
      if (run.pages === 1 && isWorthDividing(work, run, page)) {
        // What does not add up is walked as one chain, as if nothing had been.
        if (await orAborted(signal, () => walkParts(work, run, search, page, take))) return
      }
    }
  } finally {
    // Not awaited: a reader that hangs in next may hang in return.
    void (async () => pages.return?.())().catch(() => {})
  }
}

/** Below this the counting takes longer than the walk. */
const leastPages = 30

function isWorthDividing({ settings, journal }: Work, run: Run, page: Page): boolean {
  const { query } = run
  const { next } = page
  const { total = 0 } = run
  const own = page.entries.filter(({ mode }) => mode === 'match').length
  return (
    settings.split !== false &&
    query.kind === 'search' &&
    settings.concurrency > 1 &&
    journal === undefined &&
    next !== undefined &&
    own > 0 &&
    total >= own * leastPages &&
    total < settings.maxResources &&
    dividedBy(query.type) !== undefined
  )
}

/** Walks the parts of a search side by side: true when all of its results have come. */
async function walkParts(
  work: Work,
  run: Run,
  search: SearchParams,
  first: Page,
  take: (page: Page) => boolean,
): Promise<boolean> {
  const { reader, settings, chains } = work
  const { total = 0 } = run
  const name = dividedBy(run.query.type) as string
  const over = new AbortController()
  const signal = settings.signal ? AbortSignal.any([settings.signal, over.signal]) : over.signal
  // A search that already has a date of its own, as in a collection of what is new, keeps it beside.
  const own = search[name]
  const of = (part: Part): SearchParams =>
    own === undefined || part[name] === undefined
      ? { ...search, ...part }
      : { ...search, [name]: [own, part[name]].flat() as string[] }
  const count = (part: Part): Promise<number | undefined> =>
    chains(async () => {
      signal.throwIfAborted()
      const { _include: _, _revinclude: __, ...plain } = of(part)
      const asked = { ...plain, _summary: 'count' }
      for await (const page of reader.search(run.query.type, asked, { signal }).pages()) return page.total
      return undefined
    })
  try {
    // Each part is a few pages long at least: counting is not for nothing.
    const wanted = Math.min(settings.concurrency * 3, Math.ceil(total / first.entries.length / 4))
    const parts = await divided(name, total, wanted, settings.platform.clock.now(), count)
    const walk = async (): Promise<void> => {
      for (let part = parts?.shift(); part; part = parts?.shift())
        for await (const page of reader.search(run.query.type, of(part), { signal }).pages()) {
          signal.throwIfAborted()
          run.pages++
          // The count of a part is not that of the search.
          const { total: _, ...part } = page
          take(part)
        }
    }
    // One in the place of the chain itself, the others where places are free.
    if (parts)
      await Promise.all([walk(), ...Array.from({ length: settings.concurrency - 1 }, () => chains(walk))])
    return run.matches === total
  } catch {
    // The chain finds out by itself what is wrong.
    return false
  } finally {
    over.abort()
  }
}

function truncate(run: Run, reason: string): void {
  run.ended = 'truncated'
  run.reason = reason
}

// An error among the results, or that some were held back, says that they are not all; the pages that follow are
// read nevertheless.
function noteErrors({ reader }: Work, run: Run, page: Page): void {
  const heldBack = reader.provider.vendor?.heldBack?.value ?? []
  const error = page.outcomes.find(
    ({ severity, detail = '' }) => severity === 'error' || severity === 'fatal' || heldBack.includes(detail),
  )
  if (error) truncate(run, error.code)
}

function keep(work: Work, run: Run, entry: PageEntry): void {
  const key = keyOf(entry)
  let of = run.query.classes
  if (isOfAnother(entry, run.search)) {
    // The server has not looked at the category: what it sent belongs where it says itself that it does.
    of = classesOf(entry, work.granted)
    work.issues.add({ kind: 'other-class', dataClass: nameOf(run) })
    if (of.length === 0) return void run.brought.add(key)
  }
  const names = put(work, entry, of, nameOf(run))
  if (run.brought.has(key)) return
  run.brought.add(key)
  if (entry.resource.resourceType === run.query.type) run.matches++
  for (const name of names) run.counts.set(name, (run.counts.get(name) ?? 0) + 1)
}

/** The names of the classes that it is a resource of, and not only something that came along. */
function put(work: Work, entry: PageEntry, of: readonly DataClass[], asked = of[0]?.name ?? ''): string[] {
  const { resourceType: type, id = '', meta } = entry.resource
  const classes = of.filter((row) => row.type === type || row.includes?.some((included) => included === type))
  const [first] = classes
  const issue = first ? quarantine(entry.resource, work.reader.patient) : unexpected(type)
  const dataClass = first?.name ?? asked
  if (issue) {
    work.issues.add({ ...issue, dataClass })
    return []
  }
  const names = classes.map((row) => row.name)
  const { conflict } = work.shelf.put({ type, id, meta }, onOneLine(entry.text), names)
  if (conflict) work.issues.add({ kind: 'two-versions', dataClass, resource: `${type}/${id}` })
  return classes.filter((row) => row.type === type).map(({ name }) => name)
}

// A class that is had by reference is not whole when one of its own could not be had.
function noteMiss(work: Work, { type, id, reason, error, classes }: Miss): void {
  if (isSmartError(error) && error.code === 'TOKEN_ENDED') work.over ??= error
  const [dataClass = ''] = classes
  work.issues.add({
    kind: 'reference',
    dataClass,
    ...(id === undefined ? {} : { resource: `${type}/${id}` }),
    detail: `${type}:${reason}`,
  })
  for (const run of work.runs) {
    const [row] = run.query.classes
    if (run.query.kind !== 'reference' || !row || !classes.includes(row.name) || reason === 'foreign')
      continue
    if (typesOf(row).some((one) => one === type)) end(run, missEnding(error), error)
  }
}

function missEnding(error: unknown): NonNullable<Run['ended']> {
  return isSmartError(error) && error.code === 'FHIR_FORBIDDEN' ? 'refused' : 'failed'
}

const keyOf = ({ resource }: PageEntry): string => `${resource.resourceType}/${resource.id}`

type Finding = Omit<RecordIssue, 'dataClass' | 'count'>

function unexpected(type: unknown): Finding {
  const printable = typeof type === 'string' && /^[A-Z][A-Za-z]{0,63}$/.test(type)
  return printable ? { kind: 'unexpected-type', detail: type } : { kind: 'unexpected-type' }
}

function quarantine(resource: Resource, patient: string): Finding | undefined {
  const { resourceType: type, id } = resource
  // Ids become names of files and of database rows further on: `../../x` is none.
  if (typeof id !== 'string' || !/^[A-Za-z0-9\-.]{1,128}$/.test(id) || /^\.+$/.test(id)) {
    return { kind: 'invalid-id', detail: type }
  }
  return isAboutAnother(resource, patient) ? { kind: 'other-patient', resource: `${type}/${id}` } : undefined
}

async function attachmentsOf(work: Work, received: (dataClass: string) => void): Promise<AttachmentShelf> {
  const { reader, settings, issues, shelf } = work
  const { signal } = settings
  return fetchAttachments(shelf.all(), {
    reader,
    crypto: settings.platform.crypto,
    concurrency: settings.concurrency,
    ...(signal ? { signal } : {}),
    maxBytes: settings.maxAttachmentBytes ?? attachmentLimit,
    ...(settings.files ? { shelf: settings.files } : {}),
    dataClasses: settings.plan.classes.filter((row) => row.attachments === true).map((row) => row.name),
    isOver: () => (work.over === undefined ? undefined : reasonOf(work.over)),
    over: (error) => {
      if (isSmartError(error) && error.code === 'TOKEN_ENDED') work.over ??= error
    },
    onReceived: ({ status, source, dataClass, reason }) => {
      if (status === 'received') return received(dataClass)
      issues.add({
        kind: 'attachment',
        dataClass,
        resource: source,
        detail: reason === undefined ? status : `${status}:${reason}`,
      })
    },
  })
}

function countByClass(plan: Plan, shelf: Shelf): Map<string, number> {
  const types = new Map(plan.classes.map((row) => [row.name, row.type as string]))
  const counts = new Map<string, number>()
  for (const held of shelf.all()) {
    for (const name of held.classes) {
      if (types.get(name) === held.type) counts.set(name, (counts.get(name) ?? 0) + 1)
    }
  }
  return counts
}

const nameOf = (run: Run): string => run.query.classes[0]?.name ?? ''
