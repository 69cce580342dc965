import { SmartError } from '@s4s/core'
import { isObject, parseJson } from '../json.js'

/** One file of an export. */
export interface ExportFile {
  readonly kind: 'output' | 'error' | 'deleted'
  readonly type: string
  readonly url: string
  /** Lines, as the server counts them. */
  readonly count?: number
}

/** What an export consists of. */
export interface ExportManifest {
  /** The instant whose state it shows, as the server wrote it. */
  readonly transactionTime: string
  readonly requiresAccessToken: boolean
  readonly files: readonly ExportFile[]
}

const mostFiles = 200_000

/**
 * Reads the manifest of an export.
 *
 * @throws SmartError `FHIR_RESPONSE_INVALID`
 * @see https://hl7.org/fhir/uv/bulkdata/STU2/export.html#response---output-manifest
 */
export function readManifest(
  text: string,
  provider: { readonly id: string; readonly name: string },
): ExportManifest {
  const value = parseJson(text)
  const invalid = (what: string): SmartError =>
    new SmartError('FHIR_RESPONSE_INVALID', `the manifest of an export of ${provider.name} ${what}`, {
      subject: provider.id,
    })
  if (!isObject(value)) throw invalid('is no JSON object')
  const { transactionTime, requiresAccessToken } = value
  if (typeof transactionTime !== 'string' || Number.isNaN(Date.parse(transactionTime)))
    throw invalid('has no transactionTime')
  if (typeof requiresAccessToken !== 'boolean') throw invalid('does not say whether files need a token')
  if (!Array.isArray(value.output)) throw invalid('has no output')
  const rows = (kind: ExportFile['kind']): ExportFile[] => {
    const list = value[kind] ?? []
    if (!Array.isArray(list)) throw invalid(`has ${kind} that is no list`)
    return list.map((row: unknown) => {
      const { type, url, count } = isObject(row) ? row : {}
      if (typeof url !== 'string' || url.length > 16_384) throw invalid('names a file without a URL')
      // Of errors the guide leaves the type out in an older version.
      const named = typeof type === 'string' ? type : kind === 'error' ? 'OperationOutcome' : ''
      if (!/^[A-Z][A-Za-z]{1,63}$/.test(named)) throw invalid('names a file without a type')
      const counted = typeof count === 'number' && Number.isSafeInteger(count) && count >= 0
      return Object.freeze({ kind, type: named, url, ...(counted ? { count } : {}) })
    })
  }
  const files = [...rows('output'), ...rows('error'), ...rows('deleted')]
  if (files.length > mostFiles) throw invalid(`has more than ${mostFiles} files`)
  return Object.freeze({ transactionTime, requiresAccessToken, files: Object.freeze(files) })
}
