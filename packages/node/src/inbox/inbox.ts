import { join } from 'node:path'
import { type PrivateKey, SmartError, type WithdrawalNotice } from '@s4s/core'
import { isNoSpace } from '../durable.js'
import { fileLock } from '../file-lock.js'
import { isObject, parseJsonBytes } from '../json.js'
import type { Sql } from '../store/sql.js'
import { type AuditEvent, type AuditVerification, openAudit } from './audit.js'
import { type Duplicates, hintsIn } from './duplicates.js'
import { type InboxStudy, readKeys } from './keys.js'
import { maxManifestBytes } from './manifest.js'
import { signInPage, statusPage } from './page.js'
import { readBody } from './parts.js'
import { namingBy } from './pseudonyms.js'
import type { QuarantineRow } from './quarantine.js'
import { Refusal } from './refusal.js'
import { openResumable } from './resumable.js'
import type { PackageRow, WithdrawalRow } from './rows.js'
import { createSigner, type Signer } from './signing.js'
import { openSqlIndex } from './sql-index.js'
import type { StoredPackage } from './stored.js'
import { openVault } from './vault.js'
import type { Verification } from './verification.js'
import type { Deletion } from './withdrawals.js'

export interface InboxOptions {
  /** Where packages are kept. On one disk, readable by nobody else. */
  readonly folder: string
  readonly studies: readonly InboxStudy[]
  /** The path that the inbox is served under, such as `/inbox`. Default: the root. */
  readonly basePath?: string
  /** Most bytes of one package. Default 2 GiB. */
  readonly maxBytes?: number
  /** Most bytes of all packages together. Default: what the disk holds. */
  readonly quotaBytes?: number
  /** How many days what arrived whole but is no package is kept, with the reason. Default 30. */
  readonly quarantineDays?: number
  /**
   * Where lists are read from: a `Pool` of `pg`, or a `PGlite`. The folder stays the truth; what the database missed it
   * is told at the next start. Default: the folder.
   */
  readonly index?: Sql
  /** The schema of the index, which is made when it is not there. Default `s4s_inbox`. */
  readonly indexSchema?: string
  /** Origins of the apps that deliver from a browser. */
  readonly allowOrigins?: readonly string[]
}

/** The study's side: receives packages, verifies them, stores each whole or not at all, and heeds withdrawals. */
export interface Inbox {
  /** Serves the inbox; give it to `serve`, to `toExpress` or to any framework that speaks Request and Response. */
  handler(request: Request): Promise<Response>
  /** The packages of a study, newest first. */
  packages(study: string): Promise<PackageRow[]>
  /** The withdrawals of a study, newest first. */
  withdrawals(study: string): Promise<WithdrawalRow[]>
  /** What looks the same at several providers of one participant, by ids only. Hints: nothing is removed for them. */
  duplicates(study: string): Promise<Duplicates>
  /** Makes the index anew from the folder; without an index there is nothing to do. */
  reindex(): Promise<void>
  /** The name under which a study's lists show a participant of the portal. @see InboxStudy.pseudonymKey */
  pseudonym(study: string, participant: string): string
  /** What proves that a package was removed: its files by digest and size, when, and the receipt, signed. */
  deletion(study: string, digest: string): Promise<Deletion | undefined>
  /** What arrived whole but is no package of a study, with the reasons, newest first. It is never read as one. */
  quarantined(study: string): Promise<QuarantineRow[]>
  /** Reads a stored package again and says what is no longer as it was sent. */
  verify(digest: string): Promise<Verification>
  /**
   * Reads the audit log, in which each line holds the digest of the one before.
   *
   * @param since the `head` of an earlier verification, noted elsewhere: shows that nothing was cut off the end
   */
  verifyAudit(since?: string): Promise<AuditVerification>
  /**
   * The packages of a study, oldest first, open to be read.
   *
   * @param keys open those that are sealed; default: the study's `openKeys`
   * @throws SmartError `SHARE_SEAL_INVALID` at a package that none of the keys opens
   */
  stored(study: string, keys?: readonly PrivateKey[]): AsyncIterable<StoredPackage>
}

/**
 * Opens an inbox on a folder.
 *
 * @example
 * const inbox = createInbox({ folder: './packages', studies: [{ id: 'sleep-2026', key, teamKey }] })
 * await serve(inbox.handler, { port: 5000 })
 * @throws SmartError `CONFIG_INVALID`
 */
export function createInbox(options: InboxOptions): Inbox {
  const {
    folder,
    studies,
    basePath = '',
    maxBytes = 2 * 1024 ** 3,
    quotaBytes = Number.POSITIVE_INFINITY,
    quarantineDays = 30,
  } = options
  if (typeof folder !== 'string' || folder === '') throw invalid('folder is missing')
  if (!/^(\/[A-Za-z0-9._~-]+)*\/?$/.test(basePath)) throw invalid('basePath is not a path such as /inbox')
  if (!(maxBytes > 0) || !(quotaBytes > 0)) throw invalid('maxBytes and quotaBytes are numbers above zero')
  if (!(quarantineDays > 0 && quarantineDays <= 36_500)) throw invalid('quarantineDays is no number of days')
  const base = basePath.replace(/\/$/, '')
  const origins = new Set((options.allowOrigins ?? []).map(checkedOrigin))
  const keys = readKeys(studies)
  const ids = studies.map(({ id }) => id)
  const nameOf = namingBy(studies)
  const signers = new Map(
    studies.flatMap(({ id, signingKey }) =>
      signingKey ? [[id, lazily(() => createSigner(signingKey))]] : [],
    ),
  )
  const log = openAudit(join(folder, 'audit.ndjson'), fileLock(join(folder, 'locks')))
  const audit = (event: AuditEvent): Promise<void> => log.append(event)
  const vault = openVault({
    folder,
    maxBytes,
    quotaBytes,
    quarantineFor: quarantineDays * 24 * 3_600_000,
    onQuarantined: (study, digest, reason) => audit({ event: 'quarantined', study, digest, reason }),
    sign: async (study, claims) => (await signers.get(study)?.())?.sign(claims) ?? claims,
    nameOf,
    studies: ids,
    ...(options.index ? { index: openSqlIndex(options.index, options.indexSchema ?? 's4s_inbox') } : {}),
    onBehind: () => void audit({ event: 'failed', reason: 'index' }),
    openKeys: (study) => studies.find(({ id }) => id === study)?.openKeys ?? [],
  })
  const resumable = openResumable({ path: `${base}/uploads`, expected: vault.expected, put: vault.put })

  const sender = (request: Request): string => {
    const study = keys.delivers(bearerOf(request))
    if (study === undefined) throw new Refusal('key')
    return study
  }

  const open: Step = async (request) => {
    const study = sender(request)
    const opened = await vault.open(study, await readBody(request.body, maxManifestBytes))
    if (opened.kind === 'stored') {
      await audit({ event: 'stored-already', study, digest: opened.receipt.digest })
      return json(200, { receipt: opened.receipt })
    }
    await audit({ event: 'opened', study, digest: opened.digest })
    const { digest, missing, sealed } = opened
    return json(201, { digest, missing, ...(sealed === undefined ? {} : { sealed }) })
  }

  const put: Step = async (request, [digest = '', sha256 = '']) => {
    await vault.put(sender(request), digest, sha256, request.body)
    return new Response(null, { status: 204 })
  }

  const piece: Step = async (request) => resumable(request, sender(request))

  const complete: Step = async (request, [digest = '']) => {
    const study = sender(request)
    const { created, receipt } = await vault.complete(study, digest)
    const { resources, bytes } = receipt
    if (created) await audit({ event: 'stored', study, digest, resources, bytes })
    return json(created ? 201 : 200, { receipt })
  }

  const withdrawal: Step = async (request) => {
    const study = sender(request)
    const notice = readNotice(await readBody(request.body, 64 * 1024))
    if (notice.study !== study) throw new Refusal('key')
    const receipt = await vault.withdraw(study, notice)
    await audit({
      event: 'withdrawn',
      study,
      digest: notice.digest,
      reason: receipt.deleted ? 'delete' : 'stop',
      ...(receipt.removed ? { packages: receipt.removed.length } : {}),
    })
    return json(200, receipt)
  }

  // Public, as they are for everybody who looks at a receipt.
  const publicKeys: Step = async (_, [study = '']) => {
    const signer = await signers.get(study)?.()
    if (!signer) throw new Refusal('unknown')
    return json(200, { keys: [signer.publicKey] })
  }

  const list: Step = async (request, [study = '']) => {
    if (keys.sees(bearerOf(request)) !== study) throw new Refusal('key')
    await audit({ event: 'listed', study })
    return json(200, await vault.rows(study))
  }

  const status: Step = async (request) => {
    const key = request.method === 'POST' ? await keyInForm(request) : bearerOf(request)
    if (key === '') return signInPage(false)
    const study = keys.sees(key)
    if (study === undefined) {
      await audit({ event: 'refused', reason: 'key' })
      return signInPage(true)
    }
    await audit({ event: 'listed', study })
    const [packages, withdrawals, quarantined] = await Promise.all([
      vault.rows(study),
      vault.withdrawals(study),
      vault.quarantined(study),
    ])
    return statusPage(study, { packages, withdrawals, quarantined, at: new Date() })
  }

  const routes: readonly (readonly [RegExp, Partial<Record<string, Step>>])[] = [
    [/^\/packages$/, { POST: open }],
    [/^\/packages\/([0-9a-f]{64})\/parts\/([0-9a-f]{64})$/, { PUT: put }],
    [/^\/packages\/([0-9a-f]{64})\/complete$/, { POST: complete }],
    [/^\/uploads$/, { POST: piece }],
    [/^\/uploads\/[0-9a-f]{64}-[0-9a-f]{64}$/, { HEAD: piece, PATCH: piece }],
    [/^\/withdrawals$/, { POST: withdrawal }],
    [/^\/studies\/([A-Za-z0-9._-]{1,64})\/keys$/, { GET: publicKeys }],
    [/^\/studies\/([A-Za-z0-9._-]{1,64})\/packages$/, { GET: list }],
    [/^\/?$/, { GET: status, POST: status }],
  ]

  const answer = async (request: Request): Promise<Response> => {
    const path = pathOf(request)
    const below = path === base || path.startsWith(`${base}/`) ? path.slice(base.length) : undefined
    for (const [pattern, methods] of below === undefined ? [] : routes) {
      const match = pattern.exec(below as string)
      if (!match) continue
      if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: preflight })
      const step = methods[request.method]
      if (!step) throw new Refusal('method')
      return step(request, match.slice(1))
    }
    throw new Refusal('unknown')
  }

  return Object.freeze({
    async handler(request: Request): Promise<Response> {
      let response: Response
      try {
        response = await answer(request)
      } catch (error) {
        response = await refuse(error, request)
      }
      return withCors(request, response)
    },
    packages: (study: string) => (ids.includes(study) ? vault.rows(study) : Promise.resolve([])),
    withdrawals: (study: string) => (ids.includes(study) ? vault.withdrawals(study) : Promise.resolve([])),
    duplicates: (study: string) =>
      ids.includes(study) ? vault.duplicates(study) : Promise.resolve(hintsIn([], [])),
    reindex: vault.reindex,
    pseudonym: nameOf,
    async deletion(study: string, digest: string) {
      const known = ids.includes(study) && /^[0-9a-f]{64}$/.test(digest)
      return known ? vault.deletion(study, digest) : undefined
    },
    quarantined: (study: string) => (ids.includes(study) ? vault.quarantined(study) : Promise.resolve([])),
    verify: (digest: string) => vault.verify(ids, digest),
    verifyAudit: (since?: string) => log.verify(since),
    async *stored(study: string, keys?: readonly PrivateKey[]) {
      if (!ids.includes(study)) return
      for await (const pack of vault.stored(study, keys)) {
        await audit({ event: 'read', study, digest: pack.digest })
        yield pack
      }
    },
  } satisfies Inbox)

  async function refuse(error: unknown, request: Request): Promise<Response> {
    const refusal = error instanceof Refusal ? error : isNoSpace(error) ? new Refusal('full') : undefined
    const digest = /\/packages\/([0-9a-f]{64})\//.exec(pathOf(request))?.[1]
    const about = digest === undefined ? {} : { digest }
    if (!refusal) {
      // What went wrong inside is for the operator; the sender may try again.
      await audit({ event: 'failed', ...about })
      return json(500, { error: 'internal' })
    }
    if (refusal.word !== 'unknown' && refusal.word !== 'method') {
      await audit({ event: 'refused', reason: refusal.word, ...about })
    }
    return json(refusal.status, refusal)
  }

  function withCors(request: Request, response: Response): Response {
    const origin = request.headers.get('origin')
    const allowed = origin !== null && origins.has(origin)
    if (request.method === 'OPTIONS' && origin !== null && !allowed)
      return new Response(null, { status: 403 })
    response.headers.append('vary', 'origin')
    if (allowed) {
      response.headers.set('access-control-allow-origin', origin)
      response.headers.set('access-control-expose-headers', 'location, upload-length, upload-offset')
    }
    return response
  }
}

// Made when it is first needed, and again when that failed.
function lazily(make: () => Promise<Signer>): () => Promise<Signer> {
  let made: Promise<Signer> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

type Step = (request: Request, matched: readonly string[]) => Promise<Response>

const preflight = {
  'access-control-allow-methods': 'GET, HEAD, PATCH, POST, PUT',
  'access-control-allow-headers':
    'authorization, content-type, tus-resumable, upload-length, upload-metadata, upload-offset',
  'access-control-max-age': '600',
}

function pathOf(request: Request): string {
  return new URL(request.url).pathname
}

function bearerOf(request: Request): string {
  return /^Bearer ([A-Za-z0-9._~+/=-]{1,500})$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
}

async function keyInForm(request: Request): Promise<string> {
  const bytes = await readBody(request.body, 4096)
  return new URLSearchParams(Buffer.from(bytes).toString('utf8')).get('key') ?? ''
}

function readNotice(bytes: Uint8Array): WithdrawalNotice {
  const notice = parseJsonBytes(bytes)
  const texts = ['study', 'participant', 'digest', 'consent', 'at', 'key'] as const
  const good =
    isObject(notice) &&
    notice.format === 's4s-withdrawal/1' &&
    texts.every((key) => typeof notice[key] === 'string') &&
    /^[0-9a-f]{64}$/.test(notice.digest as string) &&
    (notice.ask === 'stop' || notice.ask === 'delete')
  if (!good) throw new Refusal('notice')
  return notice as unknown as WithdrawalNotice
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  })
}

function checkedOrigin(text: string): string {
  let origin: string | undefined
  try {
    origin = new URL(text).origin
  } catch {}
  if (origin === undefined || origin !== text) throw invalid('allowOrigins holds what is not an origin')
  return origin
}

const invalid = (what: string): SmartError => new SmartError('CONFIG_INVALID', what)
