import { isObject, parseJsonBytes } from '../json.js'

/** A body that is not what the route takes, as an HTTP status and a word. */
export interface BadBody {
  readonly status: 400 | 408 | 413
  readonly error: 'body' | 'timeout' | 'too-large'
}

const mostBytes = 1024 * 1024
const patience = 30_000

/** True for a request that says it sends JSON: no form of another site can say so. */
export function saysJson(request: Request): boolean {
  return /^application\/json\s*(?:;|$)/i.test(request.headers.get('content-type') ?? '')
}

/** The JSON object that a request sends, `{}` when it sends nothing. At most 1 MiB, within half a minute. */
export async function readBody(request: Request): Promise<{ value: Record<string, unknown> } | BadBody> {
  if (Number(request.headers.get('content-length') ?? 0) > mostBytes) return tooLarge
  const reader = request.body?.getReader()
  if (!reader) return { value: {} }
  const chunks: Uint8Array[] = []
  let size = 0
  let late = false
  const timer = setTimeout(() => {
    late = true
    reader.cancel().catch(() => {})
  }, patience)
  timer.unref()
  try {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      size += value?.byteLength ?? 0
      if (size > mostBytes) {
        reader.cancel().catch(() => {})
        return tooLarge
      }
      if (value) chunks.push(value)
    }
  } catch {
    return broken
  } finally {
    clearTimeout(timer)
  }
  if (late) return { status: 408, error: 'timeout' }
  const value = size === 0 ? {} : parseJsonBytes(Buffer.concat(chunks))
  return isObject(value) ? { value } : broken
}

const tooLarge: BadBody = { status: 413, error: 'too-large' }
const broken: BadBody = { status: 400, error: 'body' }

/** A member that is a list of texts; undefined when it is absent, null when it is anything else. */
export function textsIn(body: Readonly<Record<string, unknown>>, name: string): string[] | undefined | null {
  const value = Object.hasOwn(body, name) ? body[name] : undefined
  if (value === undefined) return undefined
  return Array.isArray(value) && value.every((one) => typeof one === 'string') ? [...value] : null
}
