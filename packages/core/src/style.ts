import { type Connection, coreOf } from './connection.js'
import { SmartError } from './errors.js'
import { isObject, parseJson } from './util/json.js'

/** How the EHR wants an app to look, as CSS custom properties such as `--smart-color-background`. */
export interface SmartStyle {
  /** The address that it came from; a new style has a new address. */
  readonly version: string
  readonly properties: Readonly<Record<string, string>>
}

const color = /^(#[0-9a-f]{3,8}|(rgb|hsl)a?\([0-9.,%\s/]{3,60}\)|[a-z]{3,30})$/i
const length = /^\d{1,4}(\.\d{1,4})?(px|rem|em|pt|%)?$/
const font = /^[\w\s,'"-]{1,200}$/
const forms: Readonly<Record<string, RegExp>> = {
  color_background: color,
  color_error: color,
  color_highlight: color,
  color_modal_backdrop: color,
  color_success: color,
  color_text: color,
  dim_border_radius: length,
  dim_font_size: length,
  dim_spacing_size: length,
  font_family_body: font,
  font_family_heading: font,
}

/**
 * Loads the style that the EHR named at launch; undefined when it named none. No token is sent. Only values of the
 * standard's properties that can be nothing but a color, a length or a font's name are taken.
 *
 * @throws SmartError `FHIR_UNREACHABLE`, `FHIR_RESPONSE_INVALID`
 * @see https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html#styling
 */
export async function loadStyle(
  connection: Connection,
  options: { readonly signal?: AbortSignal } = {},
): Promise<SmartStyle | undefined> {
  const { stored, world } = coreOf(connection)
  const url = stored.context.smartStyleUrl
  if (url === undefined) return undefined
  const subject = stored.provider
  const answer = await world
    .transport({
      url,
      headers: { accept: 'application/json' },
      maxBytes: 64 * 1024,
      totalTimeout: 15_000,
      ...options,
    })
    .catch((cause: unknown) => {
      if (options.signal?.aborted) throw options.signal.reason
      throw new SmartError('FHIR_UNREACHABLE', 'the style of the EHR cannot be loaded', { subject, cause })
    })
  const value = answer.status === 200 ? parseJson(answer.text()) : undefined
  if (!isObject(value))
    throw new SmartError('FHIR_RESPONSE_INVALID', 'the style of the EHR is not JSON', { subject })
  const properties = Object.entries(forms).flatMap(([name, form]) => {
    const given = value[name]
    return typeof given === 'string' && form.test(given)
      ? [[`--smart-${name.replaceAll('_', '-')}`, given]]
      : []
  })
  return Object.freeze({ version: url, properties: Object.freeze(Object.fromEntries(properties)) })
}
