import { FhirProblem } from './outcome.js'

interface Range {
  readonly type: string
  readonly quality: number
}

/** FHIR JSON, the one format in which resources are served. */
export const fhirJson = 'application/fhir+json; charset=utf-8'

const jsonTypes: ReadonlySet<string> = new Set(['application/fhir+json', 'application/json', 'text/json'])

/**
 * Refuses a request that accepts nothing of what this server speaks.
 *
 * @see https://hl7.org/fhir/R4/http.html#mime-type
 */
export function requireJson(request: Request, parameters: URLSearchParams): void {
  const format = parameters.get('_format')
  if (format !== null && format !== '') {
    const plain = (format.split(';')[0] ?? '').trim().toLowerCase().replace(' ', '+')
    if (plain !== 'json' && !jsonTypes.has(plain)) throw notAcceptable()
    return
  }
  const ranges = accepted(request)
  if (ranges.length > 0 && !ranges.some(({ type }) => acceptsJson(type))) throw notAcceptable()
}

/** True when a Binary is asked for as a resource; else its bytes are. */
export function wantsResource(request: Request, parameters: URLSearchParams, contentType: string): boolean {
  const format = parameters.get('_format')
  if (format !== null && /json/i.test(format)) return true
  const best = accepted(request).sort((a, b) => b.quality - a.quality)[0]
  if (best === undefined || best.type === (contentType.split(';')[0] ?? '').trim().toLowerCase()) return false
  return jsonTypes.has(best.type)
}

function acceptsJson(type: string): boolean {
  return type === '*/*' || type === 'application/*' || jsonTypes.has(type)
}

function accepted(request: Request): Range[] {
  const header = request.headers.get('accept')
  if (header === null || header.trim() === '') return []
  return header
    .split(',')
    .slice(0, 32)
    .map((part) => {
      const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase())
      const quality = Number(parameters.find((piece) => piece.startsWith('q='))?.slice(2) ?? 1)
      return { type, quality: Number.isNaN(quality) ? 0 : quality }
    })
    .filter(({ quality }) => quality > 0)
}

function notAcceptable(): FhirProblem {
  return new FhirProblem(406, 'not-supported', 'Only JSON is served here: application/fhir+json.')
}
