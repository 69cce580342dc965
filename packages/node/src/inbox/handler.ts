import { isNoSpace } from '../durable.js'
import type { AuditEvent } from './audit.js'
import type { Keys } from './keys.js'
import { maxManifestBytes } from './manifest.js'
import { bearerOf, isAsSent, json, keyInForm, pathOf, readNotice } from './messages.js'
import { signInPage, statusPage } from './page.js'
import { readBody } from './parts.js'
import { Refusal } from './refusal.js'
import { openResumable } from './resumable.js'
import type { Signers } from './signing.js'
import type { Vault } from './vault.js'

export interface HandlerOptions {
  readonly vault: Vault
  readonly keys: Keys
  readonly signers: Signers
  readonly audit: (event: AuditEvent) => Promise<void>
  /** The path that everything is under, without a slash at its end. */
  readonly base: string
  /** Origins of the apps that deliver from a browser. */
  readonly origins: ReadonlySet<string>
}

/** The protocol of an inbox over HTTP. */
export function openHandler(options: HandlerOptions): (request: Request) => Promise<Response> {
  const { vault, keys, signers, audit, base, origins } = options
  const resumable = openResumable({ path: `${base}/uploads`, expected: vault.expected, put: vault.put })

  const sender = (request: Request): string => {
    const study = keys.delivers(bearerOf(request))
    if (study === undefined) throw new Refusal('key')
    return study
  }

  const open: Step = async (request) => {
    const study = sender(request)
    const bytes = await readBody(request.body, maxManifestBytes)
    if (!isAsSent(bytes, request.headers.get('content-digest')))
      throw new Refusal('digest', { part: 'manifest.json' })
    const opened = await vault.open(study, bytes)
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
    const signer = await signers.of(study)
    if (!signer) throw new Refusal('unknown')
    return json(200, { keys: [signer.publicKey] })
  }

  const lists: Readonly<Record<string, (study: string) => Promise<unknown>>> = {
    packages: vault.rows,
    withdrawals: vault.withdrawals,
    quarantine: vault.quarantined,
    duplicates: vault.duplicates,
  }

  const list: Step = async (request, [study = '', name = '']) => {
    if (keys.sees(bearerOf(request)) !== study) throw new Refusal('key')
    await audit({ event: 'listed', study })
    return json(200, await lists[name]?.(study))
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
    [/^\/studies\/([A-Za-z0-9._-]{1,64})\/(packages|withdrawals|quarantine|duplicates)$/, { GET: list }],
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

  return async (request) => {
    let response: Response
    try {
      response = await answer(request)
    } catch (error) {
      response = await refuse(error, request)
    }
    return withCors(request, response)
  }

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
    const answered = json(refusal.status, refusal)
    if (refusal.retryAfter !== undefined) answered.headers.set('retry-after', String(refusal.retryAfter))
    return answered
  }

  function withCors(request: Request, response: Response): Response {
    const origin = request.headers.get('origin')
    const allowed = origin !== null && origins.has(origin)
    if (request.method === 'OPTIONS' && origin !== null && !allowed)
      return new Response(null, { status: 403 })
    response.headers.append('vary', 'origin')
    if (allowed) {
      response.headers.set('access-control-allow-origin', origin)
      response.headers.set(
        'access-control-expose-headers',
        'location, retry-after, upload-length, upload-offset',
      )
    }
    return response
  }
}

type Step = (request: Request, matched: readonly string[]) => Promise<Response>

const preflight = {
  'access-control-allow-methods': 'GET, HEAD, PATCH, POST, PUT',
  'access-control-allow-headers':
    'authorization, content-digest, content-type, tus-resumable, upload-length, upload-metadata, upload-offset',
  'access-control-max-age': '600',
}
