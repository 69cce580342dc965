import { FhirProblem } from './outcome.js'

const limit = 1_000_000

/** The body of a request as text, read no further than a megabyte. */
export async function readBody(request: Request): Promise<string> {
  if (!request.body) return ''
  const reader = request.body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    size += value.byteLength
    if (size > limit) {
      await reader.cancel()
      throw new FhirProblem(413, 'too-long', 'The body is longer than a megabyte.')
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** The body of a request as a JSON object. */
export async function readJson(request: Request): Promise<Readonly<Record<string, unknown>>> {
  try {
    const value: unknown = JSON.parse(await readBody(request))
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>
    }
  } catch (error) {
    if (error instanceof FhirProblem) throw error
  }
  throw new FhirProblem(400, 'structure', 'The body is no JSON object.')
}

/** The body of a request as form fields. */
export async function readForm(request: Request): Promise<URLSearchParams> {
  const type = (request.headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase()
  const text = await readBody(request)
  if (text === '') return new URLSearchParams()
  if (type !== 'application/x-www-form-urlencoded') {
    throw new FhirProblem(
      415,
      'not-supported',
      'A search by POST is sent as application/x-www-form-urlencoded.',
    )
  }
  return new URLSearchParams(text)
}
