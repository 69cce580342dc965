import { createHash } from 'node:crypto'
import type { WithdrawalNotice } from '@s4s/core'
import { isObject, parseJsonBytes } from '../json.js'
import { readBody } from './parts.js'
import { Refusal } from './refusal.js'

export function pathOf(request: Request): string {
  return new URL(request.url).pathname
}

/** The key that a request comes with, or nothing. */
export function bearerOf(request: Request): string {
  return /^Bearer ([A-Za-z0-9._~+/=-]{1,500})$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? ''
}

/** The key that the page's form was sent with, or nothing. */
export async function keyInForm(request: Request): Promise<string> {
  const bytes = await readBody(request.body, 4096)
  return new URLSearchParams(Buffer.from(bytes).toString('utf8')).get('key') ?? ''
}

/** @throws Refusal `notice` */
export function readNotice(bytes: Uint8Array): WithdrawalNotice {
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

/** An answer that nobody keeps. */
export function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    },
  })
}

/**
 * False when the sender says that it sent something else: what was changed on its way would pass for another package.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9530#section-2
 */
export function isAsSent(bytes: Uint8Array, contentDigest: string | null): boolean {
  const said = /(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):/.exec(contentDigest ?? '')?.[1]
  return said === undefined || said === createHash('sha256').update(bytes).digest('base64')
}
